"""How the containers of a release are made and held: what its properties say about one process type."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from paas.model import WEB, Image, Mount, Release, Restart
from paas.names import ProcessType
from paas.runtime import asking, flags
from paas.runtime.flags import Flags
from paas.runtime.spec import Allowance, ContainerSpec
from paas.settings import Settings

T = TypeVar("T")

ALWAYS = Restart("always")
_OURS = ("DYNO", "GIT_REV", "PAAS_APP", "PAAS_MEMORY_MB", "PORT")


def memory(text: str) -> int:
    """As resource:limit takes it: a bare number is megabytes."""
    return asking.memory(text, "m")


def refused(release: Release, row: str) -> bool:
    """Whether a property that holds unless it is set to false is set so."""
    return (release.property(row) or "").lower() in ("false", "no", "off", "0")


def swap(text: str) -> int:
    return -1 if text == "-1" else memory(text)


def command_of_process(release: Release, process: ProcessType) -> tuple[str, ...] | None:
    """What a process type runs: what is set for web, else its line of the Procfile; None for the image's own."""
    if process == WEB:
        for key in ("ps:dockerfile-start-cmd", "ps:start-cmd"):
            if text := release.property(key):
                return ("/bin/sh", "-c", text)
    return next((p.command for p in release.processes if p.type == process), None)


@dataclass(frozen=True, slots=True)
class Holding:
    """Of the instances of a process type; None stands for one-off containers."""

    release: Release
    process: ProcessType | None
    settings: Settings

    @property
    def flags(self) -> Flags:
        """What docker-options add up to; those of the process type come last, and hold where both say something."""
        rows = ["docker-options:deploy", f"docker-options:deploy@{self.process}"]
        if self.process is None:
            rows = ["docker-options:run"]
        options = [option for row in rows for option in json.loads(self.release.property(row) or "[]")]
        return flags.parse(options, self.settings.data_dir / "storage")

    @property
    def allowance(self) -> Allowance:
        """resource:limit and resource:reserve before docker-options before the machine's settings."""
        given = self.flags
        return Allowance(
            memory=_first(self._resource("limit-memory", memory), given.memory, self.settings.app_memory),
            memory_swap=self._swap(given),
            memory_reservation=_first(self._resource("reserve-memory", memory), given.memory_reservation),
            cpus=_first(self._resource("limit-cpu", asking.cpus), given.cpus),
            cpu_shares=_first(self._resource("reserve-cpu", _shares), given.cpu_shares),
        )

    @property
    def restart(self) -> Restart:
        if (given := self.flags.restart) is not None:
            return given
        text = self.release.property("ps:restart-policy")
        return asking.restart(text) if text else ALWAYS

    @property
    def stop_timeout(self) -> int:
        """Seconds from the stop signal to SIGKILL."""
        if (given := self.flags.stop_timeout) is not None:
            return given
        return int(self.release.property("ps:stop-timeout-seconds") or self.settings.stop_timeout)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Storage, and what docker-options mount beside it."""
        found = {mount.target: mount for mount in self.flags.mounts}
        found |= {mount.target: mount for mount in self.release.mounts if mount.holds(self.process)}
        return tuple(found.values())

    def held(self, spec: ContainerSpec, image: Image) -> ContainerSpec:
        """A spec made from the image, as the release has it."""
        given = self.flags
        made = replace(
            spec,
            env={**spec.env, **self._told, **{key: value for key, value in given.env.items() if key not in _OURS}},
            cwd=given.workdir or spec.cwd,
            user=spec.user if given.user is None else given.user,
            hostname=given.hostname or spec.hostname,
            init=self._init if given.init is None else given.init,
            read_only=given.read_only,
            capabilities=asking.capabilities(given.cap_drop, given.cap_add),
            mounts=self.mounts,
            memory_mounts=given.tmpfs,
            allowance=self.allowance,
            pids=given.pids or self.settings.app_pids,
            ulimits=given.ulimits,
            shm_size=given.shm_size or spec.shm_size,
            hosts=given.hosts,
            labels=given.labels,
            stop_signal=given.stop_signal or spec.stop_signal,
            resolv_conf=_resolv_conf(given) or spec.resolv_conf,
        )
        if given.entrypoint is not None:
            own = image.config.entrypoint or ()
            rest = spec.args[len(own) :] if spec.args[: len(own)] == own else spec.args
            made = replace(made, args=((given.entrypoint,) if given.entrypoint else ()) + rest)
        return made

    @property
    def _told(self) -> dict[str, str]:
        """The memory limit in MB, for programs that choose by it how many workers they start."""
        limit = self.allowance.memory
        return {"PAAS_MEMORY_MB": str(limit >> 20)} if limit and limit > 0 else {}

    @property
    def _init(self) -> bool:
        return not refused(self.release, "scheduler-docker-local:init-process")

    def _swap(self, given: Flags) -> int | None:
        found: int | None = _first(self._resource("limit-memory-swap", swap), given.memory_swap)
        limit = self._resource("limit-memory", memory) or given.memory or self.settings.app_memory
        return found if found is None or found == -1 else max(found, limit)

    def _resource(self, key: str, read: Callable[[str], T]) -> T | None:
        """What is set on the app itself holds before what is set for all."""
        row = f"resource:{key}"
        rows = (f"{row}@{self.process}", row)
        for text in (*map(self.release.settings.properties.get, rows), *map(self.release.property, rows)):
            if text:
                return read(text)
        return None


def _shares(text: str) -> int:
    """A processor counts as 1024 shares: so many come to each when all are busy."""
    return max(2, min(round(asking.cpus(text) * 1024), 262144))


def _first(*values: T | None) -> T | None:
    return next((value for value in values if value is not None), None)


def _resolv_conf(given: Flags) -> str:
    lines = [f"search {' '.join(given.dns_search)}"] if given.dns_search else []
    return "".join(f"{line}\n" for line in [*(f"nameserver {address}" for address in given.dns), *lines])
