"""How an app's containers are made and held: the properties of ps, resource, scheduler, network and docker-options."""

from __future__ import annotations

import json
import re

from paas.apps import properties
from paas.apps.properties import Properties, Property
from paas.apps.storage import Storage
from paas.errors import Denied, InvalidInput
from paas.model import Who
from paas.names import shown
from paas.runtime import asking, flags
from paas.schedulers import holding
from paas.settings import Settings
from paas.state.apps import App

_LEAST_DISK, _LEAST_INODES = 1 << 20, 100


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= 86400):
        raise InvalidInput(f"{shown(text)} is not a number of seconds up to 86400")
    return int(text)


def _scheduler(text: str) -> str:
    if text != "docker-local":
        raise InvalidInput(
            f"{shown(text)} is not a scheduler of this machine",
            hint="There is one: docker-local, containers right here.",
        )
    return text


def _shell(text: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9._/-]{1,200}", text):
        raise InvalidInput(f"{shown(text)} is not the path of a shell", hint="Example: /bin/bash")
    return text


def _parallel(text: str) -> int:
    if text == "-1":
        return -1
    return properties.count(text)


def _disk(text: str) -> int:
    found = asking.bytes_of(text, "m")
    if found < _LEAST_DISK:
        raise InvalidInput(f"{shown(text)} is no limit of the disk", hint="Examples: 500m, 2g; the least is 1m.")
    return found


def _inodes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) >= _LEAST_INODES):
        raise InvalidInput(f"{shown(text)} is no number of files", hint=f"The least is {_LEAST_INODES}.")
    return int(text)


def _networks(text: str) -> tuple[str, ...]:
    return tuple(flags.network_name(word) for word in text.replace(",", " ").split())


def _refused(why: str) -> properties.Parse:
    def parse(text: str) -> str:
        raise InvalidInput(why)

    return parse


def _label(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,100}[a-z0-9])?", text):
        raise InvalidInput(f"{shown(text)} is not a domain", hint="Example: internal")
    return text


def declared(settings: Settings) -> list[Property]:
    """The machine's settings are the defaults."""
    return [
        Property(
            "ps",
            "restart-policy",
            "what happens when a process ends by itself: always, no, on-failure[:MOST] or unless-stopped",
            asking.restart,
            "always",
            released="live",
        ),
        Property(
            "ps",
            "stop-timeout-seconds",
            "seconds from the stop signal to SIGKILL",
            _seconds,
            settings.stop_timeout,
            released="live",
        ),
        Property("ps", "procfile-path", "the Procfile's path in the repository", properties.relative_path, "Procfile"),
        Property("ps", "start-cmd", "what web runs, in place of the Procfile's line", released="live"),
        Property("ps", "dockerfile-start-cmd", "the same; holds where both are set, as in Dokku", released="live"),
        Property("ps", "skip-deploy", "build pushes, and let what runs run on", properties.boolean, False),
        Property(
            "ps",
            "restore",
            "start the app again after a restart of the machine",
            properties.boolean,
            True,
            released="live",
        ),
        Property("scheduler", "selected", "what runs the containers", _scheduler, "docker-local"),
        Property("scheduler", "shell", "what `enter` starts without a command (by default bash or sh)", _shell),
        Property(
            "scheduler-docker-local",
            "init-process",
            "run processes under an init that reaps orphans",
            properties.boolean,
            True,
            released="made",
        ),
        Property(
            "scheduler-docker-local",
            "parallel-schedule-count",
            "containers started side by side in a deploy (-1: all)",
            _parallel,
            1,
            released="live",
        ),
        Property("resource", "limit-cpu", "processors", asking.cpus, released="live", scoped=True),
        Property("resource", "limit-memory", "memory", holding.memory, released="live", scoped=True),
        Property("resource", "limit-memory-swap", "memory and swap", holding.swap, released="live", scoped=True),
        Property("resource", "limit-disk", "what each container may write to its own layer", _disk, scoped=True),
        Property("resource", "limit-inodes", "files and directories it may make there", _inodes, scoped=True),
        Property("resource", "limit-storage", "what mounted storage may have together", _disk),
        Property("resource", "reserve-cpu", "processors kept", asking.cpus, released="live", scoped=True),
        Property("resource", "reserve-memory", "memory kept", holding.memory, released="live", scoped=True),
        Property(
            "docker-options",
            "deploy",
            "flags of containers",
            released="made",
            scoped=True,
            guarded="docker-options:add",
        ),
        Property("docker-options", "run", "flags of one-off containers", released="live", guarded="docker-options:add"),
        Property(
            "network",
            "attach-post-create",
            "networks that instances are on from their first moment (with commas)",
            _networks,
            released="live",
        ),
        Property(
            "network",
            "attach-post-deploy",
            "networks that instances are on once they serve",
            _networks,
            released="live",
        ),
        Property("network", "initial-network", "the same as attach-post-create", _networks, released="live"),
        Property("network", "tld", "a domain below which others find the app as well", _label, released="live"),
        Property(
            "network",
            "bind-all-interfaces",
            "refused: see ports:add",
            _refused("An app's containers are reached through nginx, or by ports:add tcp:HOST:CONTAINER"),
        ),
        Property(
            "network",
            "static-web-listener",
            "refused: see ports:add",
            _refused("nginx serves what paas runs; there is no listener from elsewhere"),
        ),
    ]


class ContainerOptions:
    """docker-options:* of the phases deploy and run."""

    def __init__(self, settings: Settings, known: Properties, storage: Storage) -> None:
        self._settings = settings
        self._properties = known
        self._storage = storage

    def check(self, option: str, who: Who, phase: str) -> None:
        """Raises InvalidInput for what containers do not know, Denied for what is an admin's to say."""
        kept = self._settings.data_dir / "storage"
        found = flags.parse([option], kept)
        for mount in found.mounts:
            self._storage.refuse_foreign(mount, who)
            self._storage.prepare(mount)
        if (found.pids or 0) > self._settings.app_pids and not who.admin:
            raise Denied(f"Only an admin key may allow more than {self._settings.app_pids} processes")
        if phase == "run" and (found.restart or found.stop_timeout is not None):
            raise InvalidInput("A one-off container is neither restarted nor replaced", hint="Add it to deploy.")
        if found.networks:
            raise InvalidInput("Networks are an app's, not an option's", hint="network:set APP attach-post-create NAME")

    def listed(self, app: App, phase: str, process: str = "") -> list[str]:
        """As they were given."""
        return list(json.loads(self._properties.set_on(app).get(_row(phase, process), "[]")))

    def processes(self, app: App) -> list[str]:
        """Process types that have options of their own."""
        start = "docker-options:deploy@"
        return sorted(row.removeprefix(start) for row in self._properties.set_on(app) if row.startswith(start))

    def added(self, app: App, phase: str, process: str, option: str) -> dict[str, str | None]:
        """What is to be set so that the option is there."""
        present = self.listed(app, phase, process)
        return _rows(phase, process, present if option in present else [*present, option])

    def removed(self, app: App, phase: str, process: str, option: str) -> dict[str, str | None]:
        """Raises InvalidInput when it is not there."""
        present = self.listed(app, phase, process)
        if option not in present:
            raise InvalidInput(
                f"{app.name} has no such option in {phase}",
                hint=f"docker-options:report {app.name} shows those it has.",
            )
        return _rows(phase, process, [other for other in present if other != option])


def _row(phase: str, process: str) -> str:
    return f"docker-options:{phase}" + (f"@{process}" if process else "")


def _rows(phase: str, process: str, options: list[str]) -> dict[str, str | None]:
    return {_row(phase, process): json.dumps(options) if options else None}
