"""What the network is to do for the instances that serve: virtual addresses and forwarded ports, from the database."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from paas.errors import PaasError, SystemFailure
from paas.model import WEB, Instance, InstanceState, PortMap
from paas.names import ProcessType
from paas.network.addresses import service_address
from paas.network.network import Network
from paas.network.rules import Forward, NetworkState
from paas.runtime.runtime import Runtime
from paas.schedulers.linked import Linked
from paas.settings import Settings
from paas.state import apps, releases, services
from paas.state.apps import App
from paas.state.database import Database
from paas.state.releases import InstanceRow

log = logging.getLogger(__name__)

_AGAIN = 1.0
"""Seconds until what the network did not take is tried again."""
_HOPEFUL = 5
"""Restarts in a row after which the pause before the next is longer than one would wait: 0.1 s, doubled each time."""

_EXPECTED = (InstanceState.RUNNING, InstanceState.CRASHED)
Backends = dict[int, list[tuple[IPv4Address, int]]]


class Services:
    """Keeps the network's services and forwards in step with the rows of instances."""

    def __init__(self, settings: Settings, db: Database, network: Network, runtime: Runtime) -> None:
        self._settings = settings
        self._db = db
        self._network = network
        self.linked = Linked(db, network, runtime, self.address)
        self.hold = float(settings.hold_timeout)
        """Seconds that requests wait while there is no instance."""
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        """Held from reading rows until the network does what they say: the last to read is the last to be heard."""
        self._leaving: frozenset[str] = frozenset()
        """Instances that run and get no new connections because they are about to be ended."""
        self._forwards: dict[int, list[Forward]] = {}
        """By app: a deploy looks at its own app only, however many there are."""
        self._restored = False
        self._behind: set[int] = set()
        """Apps whose rows say something else than the network does, as it failed; one thread catches up with them."""
        self._catching_up = False
        self._closing = threading.Event()

    def close(self) -> None:
        """Catch up with nothing any more; the next engine makes the whole table anew."""
        self._closing.set()

    def address(self, app: App, process: ProcessType = WEB) -> IPv4Address:
        """The stable virtual address of a process type; given on first use."""
        candidates = (service_address(self._settings, number) for number in itertools.count(1))
        return services.address(self._db, app, process, candidates)

    def set_leaving(self, id: str, leaving: bool) -> None:
        """Whether an instance is kept out because it is about to be ended; `publish` puts it into force."""
        with self._lock:
            self._leaving = self._leaving | {id} if leaving else self._leaving - {id}

    def publish(self, app: App) -> None:
        """Point new connections at the instances that run now: one change of the network, atomic.

        Raises SystemFailure where the network fails; then it is tried again until it works.
        """
        try:
            with self._publishing:
                ports, web, hold = self._serving(app)
                self._network.set_service(self.address(app), backends(ports, web), hold=hold)
                self._forwards[app.id] = forwards(ports, web)
                self._publish_forwards()
                with self._lock:
                    self._behind.discard(app.id)
            self.linked.publish()
        except SystemFailure:
            self._fell_behind(app)
            raise

    def publish_or_later(self, app: App) -> str:
        """The same for what is done already and cannot be taken back: says why it is not in force yet, '' if it is."""
        try:
            self.publish(app)
        except SystemFailure as error:
            log.error("The network does not follow %s yet: %s", app.name, error.message)
            return error.message
        return ""

    def in_force(self, app: int) -> bool:
        """Whether the network is known to do what the rows of an app say: not before `restore`, nor once it failed."""
        with self._lock:
            return self._restored and app not in self._behind

    def withdraw(self, app: App) -> None:
        """Take an app out of the network altogether."""
        with self._publishing:
            for (owner, _process), address in services.addresses(self._db).items():
                if owner == app.id:
                    self._network.remove_service(address)
            self._forwards.pop(app.id, None)
            self._publish_forwards()
            with self._lock:
                self._behind.discard(app.id)
        self.linked.publish()

    def restore(self, proxy: Mapping[int, int]) -> None:
        """Make the network's whole table anew; `proxy` is public port -> local port of the nginx that serves."""
        with self._publishing:
            self._network.restore(replace(self._wanted(), proxy=proxy))
            with self._lock:
                self._restored = True
        self.linked.publish()

    def _fell_behind(self, app: App) -> None:
        with self._lock:
            self._behind.add(app.id)
            if self._catching_up or self._closing.is_set():
                return
            self._catching_up = True
        threading.Thread(target=self._catch_up, name="network", daemon=True).start()

    def _catch_up(self) -> None:
        while not self._closing.wait(_AGAIN):
            with self._lock:
                behind = set(self._behind)
            try:
                there = {app.id: app for app in apps.listing(self._db)}
            except SystemFailure:
                continue
            for app in (there[id] for id in behind & there.keys()):
                try:
                    self.publish(app)
                except PaasError:
                    continue
                log.warning("The network follows %s again", app.name)
            with self._lock:
                self._behind -= behind - there.keys()
                if not self._behind:
                    self._catching_up = False
                    return

    def _wanted(self) -> NetworkState:
        """Services and forwards of all apps as they ought to be."""
        found: dict[IPv4Address, Backends] = {}
        held: set[tuple[IPv4Address, int]] = set()
        mapped, addresses = releases.every_current_ports(self._db), services.addresses(self._db)
        rows = defaultdict[int, list[InstanceRow]](list)
        for row in releases.instances(self._db, None, _EXPECTED):
            rows[row.app_id].append(row)
        for app in apps.listing(self._db):
            ports = mapped.get(app.id, ())
            web, hold = self._ready(rows[app.id])
            address = addresses.get((app.id, WEB)) or self.address(app)
            found[address] = backends(ports, web)
            held |= {(address, port) for port in found[address] if hold}
            self._forwards[app.id] = forwards(ports, web)
        return NetworkState(found, self._all_forwards(), held=frozenset(held))

    def _serving(self, app: App) -> tuple[Sequence[PortMap], list[Instance], bool]:
        """The port maps of an app's current release; and what `_ready` says of its instances."""
        rows = releases.instances(self._db, app, _EXPECTED)
        return releases.current_ports(self._db, app) or (), *self._ready(rows)

    def _ready(self, rows: Iterable[InstanceRow]) -> tuple[list[Instance], bool]:
        """The web instances that run and are ready, and, when there is none, whether one is expected back soon: not
        where restarts have failed so often that the next is far away."""
        known = [row for row in rows if row.instance.process == WEB]
        running = [row for row in known if row.instance.state is InstanceState.RUNNING]
        web = [row.instance for row in running if not row.unready and row.instance.id not in self._leaving]
        hold = not web and (bool(running) or any(row.restarts <= _HOPEFUL for row in known))
        return web, hold and self.hold > 0

    def _publish_forwards(self) -> None:
        self._network.set_forwards(self._all_forwards())

    def _all_forwards(self) -> list[Forward]:
        return [forward for known in list(self._forwards.values()) for forward in known]


def backends(ports: Iterable[PortMap], web: list[Instance]) -> Backends:
    """Public port -> where its connections go. nginx connects to the virtual address's port of the same number."""
    return {port.host: [(instance.address, port.container) for instance in web] for port in ports if port.is_web}


def forwards(ports: Iterable[PortMap], web: list[Instance]) -> list[Forward]:
    """Host ports that lead straight to the instances: the tcp and udp maps of a release that runs."""
    found: list[Forward] = []
    for port in ports:
        if port.scheme == "tcp" or port.scheme == "udp":
            found += [Forward(port.scheme, port.host, instance.address, port.container) for instance in web]
    return found
