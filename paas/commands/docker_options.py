"""docker-options:* — Docker's flags for the builds and the containers of an app."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, KEY, Argument, Flag, app_argument
from paas.commands.report import Report, show
from paas.errors import InvalidInput, UsageError
from paas.names import ProcessType, shown
from paas.output import to_json
from paas.runtime import flags as docker
from paas.state.apps import App

_PHASES = ("build", "deploy", "run")
_PROCESS = Flag("--process", "only for one process type, in the deploy phase", "PROCESS", parse=ProcessType)

Change = Callable[[App], Mapping[str, str | None]]


@command(
    "docker-options:add",
    _PROCESS,
    app_argument(),
    Argument("phases"),
    Argument("option", rest=True),
    examples=(
        "docker-options:add shop build --build-arg NODE_ENV=production",
        "docker-options:add shop build --secret id=npm,env=NPM_TOKEN",
        "docker-options:add shop deploy,run --shm-size 256m",
        "docker-options:add --process worker shop deploy --ulimit nofile=4096",
    ),
)
def add(ctx: Context, app: str, phases: str, option: list[str], process: ProcessType | None) -> None:
    """Add an option to the builds (build), the processes (deploy) or the one-off containers (run) of an app.

    Phases are separated by commas. In the build phase: --build-arg NAME=VALUE, or NAME for the value of the config var
    of this name; --secret id=ID,env=CONFIGVAR for RUN --mount=type=secret; --target STAGE; --no-cache. It holds from
    the next build on.

    In the others, those of docker run that make a container what it is: --add-host --cap-add --cap-drop --cpu-shares
    --cpus --dns --dns-search --entrypoint --env --hostname --init --label --memory --memory-reservation --memory-swap
    --mount --no-init --pids-limit --read-only --restart --security-opt no-new-privileges --shm-size --stop-signal
    --stop-timeout --tmpfs --ulimit --user --volume --workdir. Instances are replaced by such with the option, without
    losing a request. Values are kept as they are typed: secrets belong into config:set.
    """
    found, wanted, text = ctx.app(app), _wanted(phases, process), _text(option)
    options, platform = ctx.platform.container_options, ctx.platform
    for phase in wanted:
        if phase == "build":
            platform.build_settings.check(text)
        else:
            options.check(text, ctx.who, phase)
    if "build" in wanted:
        platform.build_settings.add(found, text)
    _change(ctx, found, wanted, process, lambda app, phase, kind: options.added(app, phase, kind, text), "Add", option)
    ctx.out.heading(f"Added to {', '.join(wanted)}")


@command(
    "docker-options:remove",
    _PROCESS,
    app_argument(),
    Argument("phases"),
    Argument("option", rest=True),
    examples=("docker-options:remove shop build --build-arg NODE_ENV=production",),
)
def remove(ctx: Context, app: str, phases: str, option: list[str], process: ProcessType | None) -> None:
    """Take an option away, written as it was added."""
    found, wanted, text = ctx.app(app), _wanted(phases, process), _text(option)
    options, platform = ctx.platform.container_options, ctx.platform
    for phase in wanted:
        if phase != "build":
            options.removed(found, phase, process or "", text)
    if "build" in wanted:
        platform.build_settings.remove(found, text)
    _change(
        ctx, found, wanted, process, lambda app, phase, kind: options.removed(app, phase, kind, text), "Remove", option
    )
    ctx.out.heading(f"Removed from {', '.join(wanted)}")


@command(
    "docker-options:clear",
    _PROCESS,
    app_argument(),
    Argument("phases", optional=True),
    examples=("docker-options:clear shop", "docker-options:clear shop deploy"),
)
def clear(ctx: Context, app: str, phases: str | None, process: ProcessType | None) -> None:
    """Take all options of an app away, or those of some phases."""
    found = ctx.app(app)
    wanted = _wanted(phases or ("deploy" if process else "build,deploy,run"), process)
    options = ctx.platform.container_options
    if "build" in wanted:
        ctx.platform.build_settings.clear(found)

    def cleared(app: App, phase: str, kind: str) -> dict[str, str | None]:
        kinds = [kind] if kind or phase == "run" else ["", *options.processes(app)]
        return {f"docker-options:{phase}" + (f"@{each}" if each else ""): None for each in kinds}

    _change(ctx, found, wanted, process, cleared, "Clear", [])
    ctx.out.heading(f"Cleared {', '.join(wanted)}")


@command(
    "docker-options:list",
    Flag("--phase", "build, deploy or run", "PHASE"),
    _PROCESS,
    FORMAT,
    app_argument(),
    examples=("docker-options:list --phase deploy shop",),
    effect="reads",
)
def list_options(ctx: Context, app: str, phase: str | None, process: ProcessType | None, format: str | None) -> None:
    """List the options of a phase, one a line, as they were added."""
    found = ctx.app(app)
    if phase is None:
        raise UsageError("--phase is missing", hint=f"Usage: docker-options:list --phase {'|'.join(_PHASES)} <app>")
    (wanted,) = _wanted(phase, process)[:1]
    listed = _listed(ctx, found, wanted, process or "")
    if format == "json":
        ctx.out.line(to_json(listed))
        return
    for option in listed:
        ctx.out.line(option)


@command(
    "docker-options:report",
    FORMAT,
    KEY,
    app_argument(optional=True),
    examples=("docker-options:report shop",),
    effect="reads",
)
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None) -> None:
    """Show the options of an app, or of all, as they were added."""
    found = [ctx.app(app)] if app else ctx.platform.apps.list()
    show(ctx, "docker options", [(each.name, _report(ctx, each)) for each in found], format, KEY)


def _report(ctx: Context, app: App) -> Report:
    found: Report = {f"docker-options-{phase}": " ".join(_listed(ctx, app, phase, "")) for phase in _PHASES}
    for process in ctx.platform.container_options.processes(app):
        found[f"docker-options-deploy.{process}"] = " ".join(_listed(ctx, app, "deploy", process))
    return found


def _listed(ctx: Context, app: App, phase: str, process: str) -> list[str]:
    if phase == "build":
        return ctx.platform.build_settings.listed(app)
    return ctx.platform.container_options.listed(app, phase, process)


def _change(
    ctx: Context,
    app: App,
    phases: list[str],
    process: ProcessType | None,
    rows: Callable[[App, str, str], Mapping[str, str | None]],
    verb: str,
    option: list[str],
) -> None:
    """One release for what changes of the phases that are part of releases."""
    names = _nameless(option)
    why = " ".join(word for word in (verb, "docker-options", ",".join(phases), process or "", names) if word)
    ours = [phase for phase in phases if phase != "build"]
    if ours:
        ctx.platform.changes.properties(
            app.name,
            lambda app: {row: text for phase in ours for row, text in rows(app, phase, process or "").items()},
            why,
            ctx.request(),
        )


def _wanted(text: str, process: ProcessType | None) -> list[str]:
    wanted = list(dict.fromkeys(text.split(",")))
    unknown = [name for name in wanted if name not in _PHASES]
    if unknown:
        raise InvalidInput(f"{shown(unknown[0])} is not a phase", hint=f"Known: {', '.join(_PHASES)}")
    if process and wanted != ["deploy"]:
        raise InvalidInput("Only the deploy phase knows process types", hint="Leave --process out, or name deploy.")
    return wanted


def _text(option: list[str]) -> str:
    """One word is an option as it was typed, perhaps with a space in it; several are quoted where they have to be."""
    return option[0] if len(option) == 1 else shlex.join(option)


def _nameless(option: list[str]) -> str:
    """The flags without their values, which may be secret."""
    try:
        words = [name for name, _ in docker.words(_text(option))] if option else []
    except InvalidInput:
        words = [option[0].split("=")[0].split()[0]]
    return " ".join(words)
