"""How an app is built: builder:*, builder-dockerfile:* and the build phase of docker-options:*."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from paas.apps import properties
from paas.apps.environment import Environment
from paas.apps.properties import Properties, Property
from paas.build.options import BuildLimits, BuildOptions
from paas.errors import InvalidInput
from paas.names import shown
from paas.runtime import asking
from paas.schedulers import holding
from paas.settings import Settings
from paas.state import apps, releases
from paas.state.apps import App
from paas.state.database import Database

SOURCE_IMAGE = "git:source-image"
"""The row of an app's properties with the image that it was deployed from, where that is its source."""
_OPTIONS = "docker-options:build"
_DEFAULTS = BuildLimits()
OTHER_BUILDERS = ("herokuish", "pack", "nixpacks", "railpack", "lambda", "null")
"""Dokku has them; builds here come from a Dockerfile, perhaps one that buildpacks make."""


def declared(settings: Settings) -> list[Property]:
    """The properties of builds; the machine's settings are their defaults."""
    return [
        Property(
            "builder", "selected", "how apps are built: dockerfile or buildpacks (by default whichever fits)", _builder
        ),
        Property(
            "builder",
            "skip-cleanup",
            "taken as Dokku takes it; no build here cleans up what others need",
            properties.boolean,
            False,
        ),
        Property("builder", "build-dir", "directory of the repository to build from", properties.relative_path),
        Property("builder", "memory", "memory of a build", properties.size, settings.build_memory),
        Property("builder", "cpus", "processors that a build may use (0: all)", properties.cpus, 0.0),
        Property("builder", "processes", "processes and threads of a build", properties.count, settings.build_pids),
        Property(
            "builder", "timeout", "time after which a build is ended", properties.duration, settings.build_timeout
        ),
        Property("builder", "disk", "what a build may write to the disk", properties.size, _DEFAULTS.disk),
        Property("builder", "trust-host-ca", "let builds trust the host's CA certificates", properties.boolean, False),
        Property("builder", "http-proxy", "HTTP_PROXY of builds", properties.address),
        Property("builder", "https-proxy", "HTTPS_PROXY of builds", properties.address),
        Property("builder", "no-proxy", "NO_PROXY of builds"),
        Property("builder", "concurrency", "builds at once", properties.count, settings.build_concurrency, True),
        Property("builder", "cache-size", "size of the build cache", properties.size, settings.build_cache, True),
        Property(
            "builder-dockerfile", "dockerfile-path", "the Dockerfile's path", properties.relative_path, "Dockerfile"
        ),
        Property("builds", "retention", "builds of an app whose output is kept", properties.count, 20),
    ]


def _builder(text: str) -> str:
    """Raises InvalidInput."""
    if text in ("dockerfile", "buildpacks"):
        return text
    if text in OTHER_BUILDERS:
        raise InvalidInput(
            f"The builder {text} is not offered here", hint="Apps are built from a Dockerfile, or by buildpacks."
        )
    raise InvalidInput(f"{shown(text)} is not a builder", hint="Known: dockerfile, buildpacks")


def cache_scope(app: App) -> str:
    """Under which an app's cache mounts go, and layers that are its own. Its name may change, and its number is given
    again when it is gone: another's app must not find what it has left."""
    return f"app{app.id}." + "".join(filter(str.isdigit, app.created))


@dataclass(frozen=True, slots=True)
class _Flags:
    """What the stored options come to."""

    arguments: dict[str, str | None]
    secrets: dict[str, str]
    """id -> config var"""
    target: str
    no_cache: bool


class BuildSettings:
    def __init__(self, db: Database, known: Properties, environment: Environment) -> None:
        self._db = db
        self._properties = known
        self._environment = environment

    def options(self, app: App, more: Mapping[str, str]) -> BuildOptions:
        """For the next build of an app. Secrets and arguments without a value come from its config vars and `more`."""
        flags = _parse(self.listed(app))
        config = self._environment.merged(app) | dict(more)
        arguments = {}
        for name, value in flags.arguments.items():
            if value is not None:
                arguments[name] = value
            elif name in config:
                arguments[name] = config[name]
        return BuildOptions(
            dockerfile=self._properties.value("builder-dockerfile", "dockerfile-path", app),
            target=flags.target,
            arguments=arguments,
            secrets={id: config[name].encode() for id, name in flags.secrets.items() if name in config},
            proxies=self.proxies(app),
            use_cache=not flags.no_cache,
            scope=cache_scope(app),
            trust_host_ca=self._properties.value("builder", "trust-host-ca", app),
            limits=self.limits(app),
            is_plain=self._is_plain(app),
            images=self.images(app),
        )

    def images(self, app: App) -> frozenset[str]:
        """Ids of the images that the app may name by id: those of its releases, and the one it was given."""
        source = apps.property(self._db, app.id, SOURCE_IMAGE) or ""
        return frozenset([*releases.image_ids(self._db, app), *([source] if source.startswith("sha256:") else [])])

    def _is_plain(self, app: App) -> bool:
        authorities = [self._properties.value("builder", "trust-host-ca", each) for each in (app, None)]
        same = authorities[0] == authorities[1]
        return same and self.limits(app) == self.limits(None) and self.proxies(app) == self.proxies(None)

    def limits(self, app: App | None) -> BuildLimits:
        """resource:limit --process-type build says the same as builder:set, and holds where both are set."""
        value = self._properties.value
        rows = {**self._properties.set_on(None), **(self._properties.set_on(app) if app else {})}
        memory, cpus = rows.get("resource:limit-memory@build"), rows.get("resource:limit-cpu@build")
        return BuildLimits(
            memory=holding.memory(memory) if memory else value("builder", "memory", app),
            cpus=asking.cpus(cpus) if cpus else value("builder", "cpus", app),
            pids=value("builder", "processes", app),
            timeout=value("builder", "timeout", app),
            disk=value("builder", "disk", app),
        )

    def proxies(self, app: App | None) -> dict[str, str]:
        found: dict[str, str] = {}
        for key in ("http-proxy", "https-proxy", "no-proxy"):
            if value := self._properties.value("builder", key, app):
                name = key.replace("-", "_")
                found |= {name: value, name.upper(): value}
        return found

    def directory(self, app: App) -> str:
        """The part of the repository that is built from; '' for all."""
        return str(self._properties.value("builder", "build-dir", app))

    # -- docker-options -------------------------------------------------------------------------------------------

    def listed(self, app: App) -> list[str]:
        """The options of the build phase, as they were given."""
        return list(json.loads(apps.property(self._db, app.id, _OPTIONS) or "[]"))

    def check(self, option: str) -> None:
        """Raises InvalidInput."""
        _parse([option])

    def add(self, app: App, option: str) -> bool:
        """False when it is there already. Raises InvalidInput."""
        known = self.listed(app)
        _parse([option])
        if option in known:
            return False
        self._store(app, [*known, option])
        return True

    def remove(self, app: App, option: str) -> None:
        """Raises InvalidInput when it is not there."""
        known = self.listed(app)
        if option not in known:
            hint = "docker-options:report shows those that are."
            raise InvalidInput(f"{app.name} has no build option {shown(option.split('=')[0])}", hint=hint)
        self._store(app, [item for item in known if item != option])

    def clear(self, app: App) -> None:
        self._store(app, [])

    def _store(self, app: App, options: list[str]) -> None:
        apps.set_property(self._db, app.id, _OPTIONS, json.dumps(options) if options else None)


def _parse(options: list[str]) -> _Flags:
    arguments: dict[str, str | None] = {}
    secrets: dict[str, str] = {}
    target, no_cache = "", False
    for option in options:
        name, value = _flag(_words(option))
        match name:
            case "--build-arg":
                key, equals, text = value.partition("=")
                arguments[key] = text if equals else None
            case "--secret":
                id, variable = _secret(value)
                secrets[id] = variable
            case "--target":
                target = value
            case "--no-cache":
                no_cache = True
            case _:
                raise InvalidInput(
                    f"{shown(name)} is not an option of builds",
                    hint="Known: --build-arg NAME[=VALUE], --secret id=ID,env=CONFIGVAR, --target STAGE, --no-cache",
                )
    return _Flags(arguments, secrets, target, no_cache)


def _words(option: str) -> list[str]:
    """As a shell splits it; but all that follows `--flag=` is one value, quoted or not."""
    try:
        words = shlex.split(option)
    except ValueError:
        raise InvalidInput("The option has a quote that is not closed") from None
    flag, equals, value = option.strip().partition("=")
    return [flag, value] if len(words) > 1 and equals and " " not in flag else words


def _flag(words: list[str]) -> tuple[str, str]:
    if not words:
        raise InvalidInput("The option is empty")
    name, equals, value = words[0].partition("=")
    rest = [value, *words[1:]] if equals else words[1:]
    takes = 0 if name == "--no-cache" else 1
    if name.startswith("--") and len(rest) != takes and name in ("--build-arg", "--secret", "--target", "--no-cache"):
        raise InvalidInput(f"{name} takes {'one value' if takes else 'no value'}")
    return name, rest[0] if rest else ""


def _secret(text: str) -> tuple[str, str]:
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    if set(fields) - {"id", "env", "type"} or not fields.get("id"):
        raise InvalidInput(
            "A secret is named by its id and the config var that has it",
            hint="Example: --secret id=npm,env=NPM_TOKEN",
        )
    return fields["id"], fields.get("env") or fields["id"]
