"""paas.yml: everything that commands set, said in the repository. Strict: what is not known is an error. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from paas.apps import healthchecks, ports, yamlfile
from paas.apps.appjson import Scripts
from paas.apps.buildpacks import debian_package
from paas.apps.healthchecks import process_type
from paas.apps.nodes import Node
from paas.apps.processes import MAXIMUM
from paas.apps.properties import relative_path
from paas.declared import Check as HealthCheck
from paas.declared import CronTask
from paas.errors import InvalidInput
from paas.model import PortMap
from paas.names import EnvKey, Hostname, ProcessType, env_value

FILE = "paas.yml"
T = TypeVar("T")

SECTIONS: Mapping[str, tuple[str, str]] = {
    "config": (
        "Config vars that the app has unless others of the same names are set: by command on the app these win, over"
        " those set for all apps the file does.",
        "config:\n  LOG_LEVEL: info\n",
    ),
    "domains": ("The hostnames of the app, as `domains:set` sets them.", "domains: [shop.example.com]\n"),
    "ports": ("Port maps, as `ports:set` sets them.", "ports:\n  - http:8080:5000\n  - tcp:5432:5432\n"),
    "scale": ("How many instances of process types run, as `ps:scale` says.", "scale:\n  web: 2\n  worker: 1\n"),
    "storage": (
        "Directories, as `storage:mount` mounts them. A path of the host may be named in a push with an admin key.",
        "storage:\n  - shop-data:/data\n",
    ),
    "processes": (
        "Commands of process types and the `release` task, in place of a Procfile.",
        "processes:\n  web: bin/serve --port $PORT\n  release: bin/migrate\n",
    ),
    "healthchecks": (
        "Checks, in the form that `healthchecks` of app.json has.",
        "healthchecks:\n  web:\n    - type: startup\n      path: /healthz\n",
    ),
    "cron": (
        "Cron tasks, in the form that `cron` of app.json has.",
        'cron:\n  - command: bin/tidy\n    schedule: "@daily"\n',
    ),
    "scripts": (
        "What is run in the built image, which it becomes part of (`predeploy`); when the new instances are up, before"
        " they get requests (`postdeploy`); likewise but only on the first deploy (`first-deploy`).",
        "scripts:\n  predeploy: bin/assets\n  postdeploy: bin/warm\n",
    ),
    "build": (
        "How the image is built: `dockerfile` and `directory` are paths in the repository, `target` a stage, `args`"
        " build arguments. Those added by docker-options:add win.",
        "build:\n  dockerfile: deploy/Dockerfile\n  args:\n    FLAVOUR: full\n",
    ),
    "apt": ("Debian packages that buildpacks add, as an Aptfile names them.", "apt: [libpq5, imagemagick]\n"),
    "root": ("The folder that the buildpack `static` serves.", "root: dist\n"),
    "settings": (
        "Properties that are part of releases, by their noun and key, as `NOUN:set APP KEY VALUE` sets them.",
        "settings:\n  checks:\n    wait-to-retire: 2m\n",
    ),
    "services": ("Reserved: databases and the like cannot be declared yet.", ""),
}
"""Section -> (what it says, an example). The page of the reference is written from this."""


@dataclass(frozen=True, slots=True)
class BuildPart:
    dockerfile: str = ""
    directory: str = ""
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PaasYml:
    """None, or empty: nothing is said about it, and what is set stays."""

    config: Mapping[str, str] = field(default_factory=dict)
    domains: tuple[Hostname, ...] | None = None
    ports: tuple[PortMap, ...] | None = None
    scale: Mapping[ProcessType, int] = field(default_factory=dict)
    storage: tuple[Node, ...] | None = None
    """Texts, as storage:mount takes them; whether they are allowed depends on who pushes."""
    processes: Mapping[ProcessType, tuple[str, ...]] = field(default_factory=dict)
    checks: Mapping[ProcessType, tuple[HealthCheck, ...]] = field(default_factory=dict)
    cron: tuple[CronTask, ...] = ()
    scripts: Scripts = field(default_factory=Scripts)
    build: BuildPart = field(default_factory=BuildPart)
    kinds: tuple[tuple[str, Node], ...] = ()
    """Where process types are named, for those who know which there are."""
    apt: tuple[str, ...] = ()
    settings: Mapping[tuple[str, str], Node] = field(default_factory=dict)
    """(noun, key) -> value; paas.apps.properties knows which there are."""


def parse(data: bytes, file: str = FILE) -> PaasYml:
    """Raises InvalidInput with file and line."""
    node = yamlfile.parse(data, file)
    node.only(tuple(SECTIONS))
    if (services := node.mapping().get("services")) is not None:
        raise services.error("services cannot be declared yet", "Make and link them by command.")

    if (root := node.get("root")) is not None:
        _value(root, relative_path)

    def part(key: str, read: Callable[[Node], T], nothing: T) -> T:
        found = node.get(key)
        return nothing if found is None else read(found)

    return PaasYml(
        config=part("config", _config, {}),
        domains=part("domains", lambda n: tuple(_each(n, Hostname)), None),
        ports=part("ports", lambda n: tuple(_each(n, ports.parse)), None),
        scale=part("scale", _scale, {}),
        storage=part("storage", _texts, None),
        processes=part("processes", _processes, {}),
        checks=part("healthchecks", _checks, {}),
        cron=part("cron", _cron, ()),
        scripts=part("scripts", _scripts, Scripts()),
        build=part("build", _build, BuildPart()),
        kinds=tuple(item for key in ("scale", "healthchecks") if (n := node.get(key)) for item in n.mapping().items()),
        apt=part("apt", lambda n: tuple(_each(n, debian_package)), ()),
        settings=part("settings", _settings, {}),
    )


def _each(node: Node, read: Callable[[str], T]) -> list[T]:
    found: list[T] = []
    for item in node.items():
        value = _value(item, read)
        if value in found:
            raise item.error("stands here twice")
        found.append(value)
    return found


def _value(node: Node, read: Callable[[str], T]) -> T:
    try:
        return read(node.scalar())
    except InvalidInput as error:
        raise error if error.message.startswith(f"{node.file}:") else node.refuse(error) from None


def _named(node: Node, name: str, read: Callable[[str], T]) -> T:
    try:
        return read(name)
    except InvalidInput as error:
        raise node.refuse(error) from None


def _texts(node: Node) -> tuple[Node, ...]:
    for item in node.items():
        item.text()
    return tuple(node.items())


def _config(node: Node) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in node.mapping().items():
        key = _named(value, name, EnvKey)
        if key == "PORT":
            raise value.error("PORT is set by paas itself", "To choose the port, see ports.")
        if value.value is None:
            raise value.error("has no value")
        found[key] = _value(value, lambda text, key=key: env_value(key, text))  # type: ignore[misc]
    return found


def _scale(node: Node) -> dict[ProcessType, int]:
    return {process_type(count, name): count.whole(0, MAXIMUM) for name, count in node.mapping().items()}


def _processes(node: Node) -> dict[ProcessType, tuple[str, ...]]:
    found: dict[ProcessType, tuple[str, ...]] = {}
    for name, command in node.mapping().items():
        if not command.text().strip():
            raise command.error("is empty")
        found[process_type(command, name)] = ("/bin/sh", "-c", command.text())
    return found


def _checks(node: Node) -> dict[ProcessType, tuple[HealthCheck, ...]]:
    for entries in node.mapping().values():
        for entry in entries.items():
            entry.only(healthchecks.CHECK_KEYS)
    return healthchecks.checks(node)


def _cron(node: Node) -> tuple[CronTask, ...]:
    for entry in node.items():
        entry.only(healthchecks.TASK_KEYS)
    return healthchecks.tasks(node)


def _scripts(node: Node) -> Scripts:
    keys = ("predeploy", "postdeploy", "first-deploy")
    node.only(keys)
    return Scripts(*(found.text().strip() if (found := node.get(key)) else "" for key in keys))


def _build(node: Node) -> BuildPart:
    node.only(("dockerfile", "directory", "target", "args"))

    def text(key: str, read: Callable[[str], str] = str) -> str:
        found = node.get(key)
        return _value(found, read) if found else ""

    arguments: dict[str, str] = {}
    for name, value in args.mapping().items() if (args := node.get("args")) else ():
        arguments[_named(value, name, EnvKey)] = value.scalar()
    return BuildPart(text("dockerfile", relative_path), text("directory", relative_path), text("target"), arguments)


def _settings(node: Node) -> dict[tuple[str, str], Node]:
    found: dict[tuple[str, str], Any] = {}
    for noun, keys in node.mapping().items():
        for key, value in keys.mapping().items():
            value.scalar()
            found[noun, key] = value
    return found
