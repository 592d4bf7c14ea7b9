"""Apps on one network: each reaches the process types of the others by name, over their virtual addresses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from paas.model import InstanceState, Release
from paas.names import AppName, ProcessType
from paas.network.network import Network
from paas.runtime.runtime import Runtime
from paas.state import networks, releases
from paas.state.apps import App
from paas.state.database import Database

Names = tuple[tuple[str, str], ...]
"""(name, address)"""

_EARLY_KEYS, _LATE_KEY = ("initial-network", "attach-post-create"), "attach-post-deploy"
_EARLY = (InstanceState.STARTING, InstanceState.RUNNING, InstanceState.DRAINING)
_LATE = (InstanceState.RUNNING, InstanceState.DRAINING)
"""One that is replaced still has work to finish, for which it may need the others."""


@dataclass(frozen=True, slots=True)
class Member:
    """An app on networks: those of its containers from their first moment, and of those that serve."""

    name: AppName
    early: frozenset[str]
    late: frozenset[str]
    targets: Mapping[ProcessType, tuple[IPv4Address, tuple[IPv4Address, ...]]]
    """Virtual address, and the addresses of the instances that serve."""
    tld: str
    sources: Sequence[tuple[str, IPv4Address, bool]]
    """Its containers: id, address, and whether it is to be on the late networks."""

    @property
    def networks(self) -> frozenset[str]:
        return self.early | self.late

    @property
    def names(self) -> Names:
        """As Dokku has them, APP.PROCESS; PROCESS.APP as well."""
        found = []
        for process, (virtual, _) in self.targets.items():
            names = [f"{self.name}.{process}", f"{process}.{self.name}"]
            names += [f"{self.name}.{process}.{self.tld}"] if self.tld else []
            found += [(name, str(virtual)) for name in names]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Plan:
    hosts: Mapping[IPv4Address, tuple[IPv4Address, ...]]
    """Virtual address -> instances."""
    links: frozenset[tuple[IPv4Address, IPv4Address]]
    """(container, virtual address) that may speak."""
    names: Mapping[str, Names]
    """By container."""


def plan(members: Sequence[Member]) -> Plan:
    """Who reaches whom. Pure."""
    hosts: dict[IPv4Address, tuple[IPv4Address, ...]] = {}
    links: set[tuple[IPv4Address, IPv4Address]] = set()
    names: dict[str, Names] = {}
    for member in members:
        for id, address, late in member.sources:
            on = member.networks if late else member.early
            others = [other for other in members if on & other.networks]
            names[id] = tuple(pair for other in others for pair in other.names)
            for other in others:
                links |= {(address, virtual) for virtual, _ in other.targets.values()}
        hosts |= {virtual: backends for virtual, backends in member.targets.values() if backends}
    return Plan(hosts, frozenset(links), names)


def networks_of(release: Release) -> frozenset[str]:
    """The names of all networks that a release is to be on, whether they are there or not."""
    return _named(release, *_EARLY_KEYS, _LATE_KEY)


def _named(release: Release, *keys: str) -> frozenset[str]:
    return frozenset(" ".join(release.property(f"network:{key}") or "" for key in keys).replace(",", " ").split())


class Linked:
    """Thread-safe."""

    def __init__(
        self,
        db: Database,
        network: Network,
        runtime: Runtime,
        virtual: Callable[[App, ProcessType], IPv4Address],
    ) -> None:
        self._db = db
        self._network = network
        self._runtime = runtime
        self._virtual = virtual
        self._lock = threading.Lock()
        self._told: dict[str, Names] = {}
        self._oneoff: dict[str, tuple[int, IPv4Address]] = {}
        """Containers that are no instances: id -> app, address."""

    def join(self, id: str, app: App, address: IPv4Address) -> None:
        """Let a one-off container be where its app is."""
        self._oneoff[id] = (app.id, address)
        self.publish()

    def leave(self, id: str) -> None:
        self._oneoff.pop(id, None)
        self.publish()

    def publish(self) -> None:
        """Have the network and the containers know who is on which network now."""
        with self._lock:
            wanted = plan(self._members())
            self._network.set_linked(wanted.hosts, wanted.links)
            for id in self._told.keys() - wanted.names.keys():
                self._runtime.set_names(id, ())
                del self._told[id]
            for id, names in wanted.names.items():
                if self._told.get(id) != names and self._runtime.set_names(id, names):
                    self._told[id] = names

    def _members(self) -> list[Member]:
        apps = networks.attached(self._db)
        known = {each.name for each in networks.every(self._db)} if apps else set()
        found = []
        for app in apps:
            release = releases.current(self._db, app)
            if release is not None or self._starting(app):
                found.append(self._member(app, release, known))
        return found

    def _starting(self, app: App) -> bool:
        return bool(releases.instances(self._db, app))

    def _member(self, app: App, release: Release | None, known: set[str]) -> Member:
        rows = [row.instance for row in releases.instances(self._db, app)]
        newest = self._newest(app, release, max((instance.release for instance in rows), default=0))

        def named(*keys: str) -> frozenset[str]:
            return _named(newest, *keys) & known

        serving: dict[ProcessType, list[IPv4Address]] = {process.type: [] for process in newest.processes}
        for instance in rows:
            if instance.state is InstanceState.RUNNING:
                serving.setdefault(instance.process, []).append(instance.address)
        early, late = named(*_EARLY_KEYS), named(_LATE_KEY)
        on_any = bool(early or late)
        sources = [(i.id, i.address, i.state in _LATE) for i in rows if i.state in _EARLY]
        sources += [(id, address, True) for id, (owner, address) in self._oneoff.items() if owner == app.id]
        return Member(
            name=app.name,
            early=early,
            late=late,
            targets={kind: (self._virtual(app, kind), tuple(found)) for kind, found in serving.items() if on_any},
            tld=newest.property("network:tld") or "",
            sources=sources,
        )

    def _newest(self, app: App, release: Release | None, number: int) -> Release:
        """The one that instances are made for just now, or that which serves."""
        if release is not None and release.number >= number:
            return release
        return releases.get(self._db, app, number)
