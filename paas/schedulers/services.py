"""What the network is to do for the instances that serve: virtual addresses and forwarded ports, from the database."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address

from paas.model import Instance, InstanceState, Release
from paas.names import ProcessType
from paas.network.addresses import service_address
from paas.network.network import Network
from paas.network.rules import Forward
from paas.schedulers.boot import WEB
from paas.settings import Settings
from paas.state import apps, releases
from paas.state.apps import App
from paas.state.database import Database

Backends = dict[int, list[tuple[IPv4Address, int]]]


class Services:
    """Keeps the network's services and forwards in step with the rows of instances."""

    def __init__(self, settings: Settings, db: Database, network: Network) -> None:
        self._settings = settings
        self._db = db
        self._network = network

    def address(self, app: App, process: ProcessType = WEB) -> IPv4Address:
        """The stable virtual address of a process type; given on first use."""
        candidates = (service_address(self._settings, number) for number in itertools.count(1))
        return releases.service_address(self._db, app, process, candidates)

    def publish(self, app: App) -> None:
        """Point new connections at the instances that run now: one change of the network, atomic."""
        release = releases.current(self._db, app)
        running = [row.instance for row in releases.instances(self._db, app, (InstanceState.RUNNING,))]
        web = [instance for instance in running if instance.process == WEB]
        self._network.set_service(self.address(app), backends(release, web))
        self.publish_forwards()

    def withdraw(self, app: App) -> None:
        """Take an app out of the network altogether."""
        for (owner, _process), address in releases.service_addresses(self._db).items():
            if owner == app.id:
                self._network.remove_service(address)

    def all(self) -> dict[IPv4Address, Backends]:
        """Every app's service as it ought to be, for a rebuild of the whole table."""
        return {self.address(app): self._backends_of(app) for app in apps.listing(self._db)}

    def forwards(self) -> list[Forward]:
        """Every tcp and udp port map that has a running instance."""
        found: list[Forward] = []
        for app in apps.listing(self._db):
            release = releases.current(self._db, app)
            rows = releases.instances(self._db, app, (InstanceState.RUNNING,))
            web = [row.instance for row in rows if row.instance.process == WEB]
            if release and web:
                for port in release.ports:
                    if port.scheme == "tcp" or port.scheme == "udp":
                        found.append(Forward(port.scheme, port.host, web[0].address, port.container))
        return found

    def publish_forwards(self) -> None:
        self._network.set_forwards(self.forwards())

    def _backends_of(self, app: App) -> Backends:
        rows = releases.instances(self._db, app, (InstanceState.RUNNING,))
        web = [row.instance for row in rows if row.instance.process == WEB]
        return backends(releases.current(self._db, app), web)


def backends(release: Release | None, web: list[Instance]) -> Backends:
    """Public port -> where its connections go. nginx connects to the virtual address's port of the same number."""
    if release is None:
        return {}
    return {
        port.host: [(instance.address, port.container) for instance in web]
        for port in release.ports
        if port.scheme in ("http", "https")
    }
