"""releases:* — everything an app has been, and the way back to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, app_argument
from paas.commands.properties import define
from paas.deploy.retention import PROPERTIES
from paas.errors import InvalidInput
from paas.model import PHASES, Mount, Release
from paas.names import shown
from paas.output import ago, pairs, table, to_json
from paas.runtime import flags
from paas.schedulers.checks import title_of
from paas.state import releases
from paas.state.declared import words

define(
    "releases",
    "old releases",
    {item.key: item.help for item in PROPERTIES},
    ("releases:set wiki retention 50", "releases:set --global disk 2g"),
)


def number(text: str) -> int:
    """`7` or `v7`. Raises InvalidInput."""
    digits = text.removeprefix("v")
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 1 << 31):
        raise InvalidInput(f"{shown(text)} is not the number of a release", hint="`releases` lists them.")
    return int(digits)


@command(
    "releases",
    FORMAT,
    app_argument(),
    aliases=("releases:list",),
    needs="view",
    examples=("releases wiki",),
    page="releases",
)
def list_releases(ctx: Context, app: str, format: str | None) -> None:
    """List the releases of an app that are kept, newest first.

    Each deploy and each change of config vars, scale, ports, storage, domains or of another setting that changes what
    runs is a release. What serves is marked with *.
    """
    found = ctx.app(app)
    listed = releases.listing(ctx.platform.db, found)
    if format == "json":
        ctx.out.line(to_json([_summary(release, found.release) for release in listed]))
        return
    rows = [
        (
            ("*" if release.number == found.release else "") + f"v{release.number}",
            release.commit[:10],
            release.image_id.removeprefix("sha256:")[:12],
            ago(release.created, datetime.now(UTC)),
            release.who,
            release.why,
        )
        for release in listed
    ]
    ctx.out.result(f"Releases of {found.name}")
    for line in table(("release", "commit", "image", "when", "who", "why"), rows):
        ctx.out.line(line)


def _summary(release: Release, current: int | None) -> dict[str, object]:
    return {
        "number": release.number,
        "current": release.number == current,
        "commit": release.commit,
        "image": release.image_id,
        "created": release.created,
        "who": release.who,
        "why": release.why,
    }


@command(
    "releases:info",
    FORMAT,
    app_argument(),
    Argument("number", number, optional=True),
    needs="view",
    examples=("releases:info wiki", "releases:info wiki 7 --format json"),
)
def info(ctx: Context, app: str, number: int | None, format: str | None) -> None:
    """Show what a release is: image, commit, processes, ports, storage, domains and the names of its config vars."""
    found = ctx.app(app)
    release = _find(ctx, app, number)
    if format == "json":
        about = _summary(release, found.release) | {
            "config": sorted(release.config),
            "processes": {p.type: {"count": p.count, "command": p.command} for p in release.processes},
            "ports": [str(port) for port in release.ports],
            "mounts": [str(mount) for mount in release.mounts],
            "domains": release.settings.domains,
            "properties": _properties(release),
            "checks": words(release.declared)["checks"],
            "cron": words(release.declared)["cron"],
        }
        ctx.out.line(to_json(about))
        return
    ctx.out.result(f"Release v{release.number} of {found.name}")
    shown_pairs = [
        ("serves", "yes" if release.number == found.release else "no"),
        ("why", release.why),
        ("who", release.who),
        ("created", release.created),
        *((key, value) for key, value in _essence(release).items() if not key.startswith("config ")),
        ("config", " ".join(sorted(release.config)) or "(none)"),
    ]
    for line in pairs(shown_pairs, indent="       "):
        ctx.out.line(line)


@command(
    "releases:diff",
    FORMAT,
    app_argument(),
    Argument("number", number),
    Argument("other", number, optional=True),
    needs="view",
    examples=("releases:diff wiki 7", "releases:diff wiki 7 9"),
)
def diff(ctx: Context, app: str, number: int, other: int | None, format: str | None) -> None:
    """Show what differs between two releases, or one and that which serves. Values of config vars are masked."""
    old, new = _find(ctx, app, number), _find(ctx, app, other)
    before, after = _essence(old), _essence(new)
    changed = [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]
    entries = [(key, _masked(key, before), _masked(key, after)) for key in changed]
    if format == "json":
        ctx.out.line(to_json([{"what": key, "from": a, "to": b} for key, a, b in entries]))
        return
    ctx.out.result(f"From v{old.number} to v{new.number} of {old.app}")
    for key, gone, came in entries:
        if gone is not None:
            ctx.out.line(f"- {key}: {gone}")
        if came is not None:
            ctx.out.line(f"+ {key}: {came}")
    if not entries:
        ctx.out.detail("Nothing differs")


@command(
    "releases:rollback",
    app_argument(),
    Argument("number", number, optional=True),
    aliases=("rollback",),
    examples=("releases:rollback wiki", "releases:rollback wiki 7"),
)
def rollback(ctx: Context, app: str, number: int | None) -> None:
    """Let an app be what it was at an earlier release, by default the one before that which serves.

    Its image, processes, config vars, ports, storage, scale, domains and other settings come back, as a new release,
    through the same checks as a deploy; what is set for all apps holds as it is now. Nothing is built.
    """
    old, new = ctx.platform.rollbacks.rollback(ctx.app(app).name, number, ctx.request())
    ctx.out.heading(f"Rolled back to v{old.number}, as v{new.number}")


def _find(ctx: Context, app: str, number: int | None) -> Release:
    """The release with a number, or that which serves."""
    found = ctx.app(app)
    if number is None:
        return ctx.platform.changes.deployed(found)
    return releases.get(ctx.platform.db, found, number)


def _essence(release: Release) -> dict[str, str]:
    """What a release is, one word or line for each thing that may differ."""
    domains, declared = release.settings.domains, release.declared
    return {
        "image": release.image_id.removeprefix("sha256:")[:12],
        "commit": release.commit or "(none)",
        **{f"scale {p.type}": str(p.count) for p in release.processes},
        **{f"command {p.type}": " ".join(p.command) for p in release.processes if p.command is not None},
        **{f"port {port.scheme}:{port.host}": str(port.container) for port in release.ports},
        **{" ".join(("mount", mount.target, *mount.processes, *_only(mount))): str(mount) for mount in release.mounts},
        **{
            f"check {kind}.{number}": f"{check.kind} {title_of(check)}"
            for kind, checks in declared.checks.items()
            for number, check in enumerate(checks, 1)
        },
        **{f"cron {task.text}": task.schedule for task in declared.cron},
        "domains": "(below the global domains)" if domains is None else " ".join(domains) or "(none)",
        **_properties(release),
        **{f"config {key}": value for key, value in release.config.items()},
    }


def _only(mount: Mount) -> tuple[str, ...]:
    return () if mount.phases == PHASES else tuple(f"({phase} only)" for phase in mount.phases)


def _properties(release: Release) -> dict[str, str]:
    """What is set; the values of variables among Docker's flags are masked, as those of config vars are."""
    return {
        row: _without_values(text) if row.startswith("docker-options:") else text
        for row, text in release.settings.properties.items()
    }


def _without_values(options: str) -> str:
    pairs = [pair for option in json.loads(options) for pair in flags.words(option)]
    shown_pairs = [(name, value.partition("=")[0] + "=*****" if name == "--env" else value) for name, value in pairs]
    return " ".join(f"{name} {value}" for name, value in shown_pairs)


def _masked(key: str, values: Mapping[str, str]) -> str | None:
    value = values.get(key)
    return "*****" if value is not None and key.startswith("config ") else value
