"""app.json: what a repository says about its app, in the format of Dokku and Heroku. Pure.

Keys that only others know (name, description, addons, ...) are passed over, as Dokku does.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.apps import healthchecks, jsonc
from paas.apps.healthchecks import process_type
from paas.apps.nodes import Node
from paas.apps.processes import MAXIMUM
from paas.declared import Declared
from paas.errors import InvalidInput
from paas.names import EnvKey, ProcessType, env_value

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Variable:
    """A config var that the app wants to have."""

    key: EnvKey
    value: str | None
    generated: bool
    required: bool
    sync: bool
    """Set at every deploy, whatever it was."""


@dataclass(frozen=True, slots=True)
class Scripts:
    predeploy: str = ""
    postdeploy: str = ""
    first_postdeploy: str = ""
    """After the first deploy only."""


@dataclass(frozen=True, slots=True)
class AppJson:
    env: tuple[Variable, ...] = ()
    scripts: Scripts = field(default_factory=Scripts)
    declared: Declared = field(default_factory=Declared)
    buildpacks: Node | None = None
    """As it stands there: an app that is built from a Dockerfile need not have packs that are known here."""
    warnings: tuple[InvalidInput, ...] = ()


def parse(data: bytes, file: str = "app.json") -> AppJson:
    """Raises InvalidInput with file and line."""
    node = jsonc.parse(data, file)
    warnings: list[InvalidInput] = []
    formation, parallel = _formation(node.get("formation"))
    checks, cron = node.get("healthchecks"), node.get("cron")
    for entries in checks.mapping().values() if checks else ():
        for entry in entries.items():
            warnings += entry.unknown(healthchecks.CHECK_KEYS)
    for entry in cron.items() if cron else ():
        warnings += entry.unknown(healthchecks.TASK_KEYS)
    return AppJson(
        env=tuple(_variable(key, value) for key, value in env.mapping().items()) if (env := node.get("env")) else (),
        scripts=_scripts(node.get("scripts")),
        declared=Declared(
            checks=healthchecks.checks(checks) if checks else {},
            cron=healthchecks.tasks(cron) if cron else (),
            formation=formation,
            max_parallel=parallel,
        ),
        buildpacks=node.get("buildpacks"),
        warnings=tuple(warnings),
    )


def changed_config(env: tuple[Variable, ...], present: Mapping[str, str], *, first: bool) -> dict[str, str]:
    """The config vars to set at a deploy: all on the first, later those that are kept in `sync`.

    Values that are there stay, unless they are kept in sync. Raises InvalidInput for one that has no value.
    """
    found: dict[str, str] = {}
    for variable in env:
        if variable.key in present and not (variable.sync and variable.value is not None):
            continue
        if not (first or variable.sync):
            continue
        if variable.value is not None:
            found[variable.key] = variable.value
        elif variable.generated:
            found[variable.key] = secrets.token_hex(_SECRET_BYTES)
        elif variable.required:
            raise InvalidInput(
                f"required env var {variable.key} has no value, no default, and no TTY for prompt",
                hint=f"Set it, then push again: config:set APP {variable.key}=VALUE",
            )
    return {key: value for key, value in found.items() if present.get(key) != value}


def _variable(key: str, node: Node) -> Variable:
    try:
        name = EnvKey(key)
        if name == "PORT":
            raise InvalidInput("PORT is set by paas itself")
        if not isinstance(node.value, dict):
            value = None if node.value is None else env_value(key, node.scalar())
            return Variable(name, value, generated=False, required=value is None, sync=False)
        given = node.get("value")
        generator, required, sync = node.get("generator"), node.get("required"), node.get("sync")
        if generator:
            generator.choice(("secret",))
        return Variable(
            name,
            env_value(key, given.scalar()) if given else None,
            generated=generator is not None,
            required=required.flag() if required else True,
            sync=sync is not None and sync.flag(),
        )
    except InvalidInput as error:
        if error.message.startswith(f"{node.file}:"):
            raise
        raise node.refuse(error) from None


def _scripts(node: Node | None) -> Scripts:
    if node is None:
        return Scripts()
    dokku = node.get("dokku")

    def script(parent: Node | None, key: str) -> str:
        found = parent.get(key) if parent else None
        return found.text().strip() if found else ""

    return Scripts(script(dokku, "predeploy"), script(dokku, "postdeploy"), script(node, "postdeploy"))


def _formation(node: Node | None) -> tuple[dict[ProcessType, int], dict[ProcessType, int]]:
    """(quantities, limits of instances started at once)."""
    quantities: dict[ProcessType, int] = {}
    parallel: dict[ProcessType, int] = {}
    for name, entry in node.mapping().items() if node else ():
        kind = process_type(entry, name)
        if quantity := entry.get("quantity"):
            quantities[kind] = quantity.whole(0, MAXIMUM)
        if (limit := entry.get("max_parallel")) and limit.whole(-1, MAXIMUM) > 0:
            parallel[kind] = limit.whole(-1, MAXIMUM)
    return quantities, parallel
