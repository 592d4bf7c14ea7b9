"""The proxy: brings nginx in step with the routes, by swapping one nginx for another.

A reload closes idle client connections at once, and a client that sends on one just then loses its request. Instead a
second nginx starts with the new configuration on other local ports, one change of the network points new connections
at it, and the old one goes on with what it has until nothing is open on it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from paas.errors import NotFound, PaasError
from paas.model import Route
from paas.paths import TEMPLATES, Paths
from paas.proxy import render
from paas.proxy.nginx import Generation, connections, free_ports
from paas.proxy.ports import PublicPorts
from paas.proxy.render import Machine, Places, State
from paas.settings import Settings
from paas.system.accounts import account
from paas.system.files import ensure_directory, remove_tree, write_atomic

log = logging.getLogger(__name__)

_WORKER_USER = "www-data"
_OLD_ONES = 4
"""Replaced nginx processes that may live on side by side; each takes about 10 MB."""
_LONGEST = 3600.0
"""Seconds a replaced nginx may live on for its connections (WebSockets)."""
_QUIET = 1.0
_MIME_TYPES = Path("/etc/nginx/mime.types")


class Proxy:
    """Thread-safe."""

    def __init__(self, settings: Settings, paths: Paths, redirect: Callable[[Mapping[int, int]], None]) -> None:
        """`redirect(public port -> local port)` points new connections at an nginx."""
        self._settings = settings
        self._redirect = redirect
        self._root = paths.run / "nginx"
        self._pages = paths.nginx / "pages"
        self._logs = paths.log / "nginx"
        self._ports = PublicPorts()
        self._lock = threading.RLock()
        self._counting = threading.Lock()
        self._asked = 0
        self._done = 0
        self._source: Callable[[], Sequence[Route]] = tuple
        self._current: Generation | None = None
        self._digest = ""
        self._local: dict[int, int] = {}
        self._last_port = settings.proxy_port_range[1]
        self._old: list[tuple[Generation, set[int]]] = []
        self._closing = threading.Event()

    def start(self, source: Callable[[], Sequence[Route]]) -> None:
        """Take over the nginx a former engine left, or start one. `source` gives the routes, now and later."""
        self._source = source
        worker = account(_WORKER_USER)
        ensure_directory(self._root, mode=0o711)
        ensure_directory(self._root / "scratch", mode=0o700, owner=worker)
        ensure_directory(self._pages.parent, mode=0o711)
        ensure_directory(self._pages)
        ensure_directory(self._logs, mode=0o750)
        hint = "Stop it, or change the settings http_port and https_port."
        self._ports.hold({self._settings.http_port, self._settings.https_port}, hint)
        self._take_over()
        self.apply()
        threading.Thread(target=self._watch, name="nginx", daemon=True).start()

    def ports_in_force(self) -> dict[int, int]:
        """Public port -> local port of the nginx that serves now, also one that a former engine left."""
        with self._lock:
            return self._local or self._read_note()[2]

    def close(self) -> None:
        """nginx goes on serving; the next engine takes it over."""
        self._closing.set()
        self._ports.close()

    def apply(self) -> None:
        """Bring nginx in step with the routes; returns when it is. Calls that come together share one swap.

        Raises SystemFailure or Conflict, and changes nothing, when nginx refuses or a port is taken.
        """
        with self._counting:
            self._asked += 1
            mine = self._asked
        with self._lock:
            if self._done >= mine:
                return
            covers = self._asked
            self._swap(list(self._source()))
            self._done = covers

    def set_page(self, app: str, state: State) -> None:
        """Choose what visitors see while no instance answers. nginx reads the file anew for each of them."""
        text, path = render.page(app, state), self._pages / f"{app}.html"
        if not path.exists() or path.read_text() != text:
            write_atomic(path, text)

    def config(self, app: str) -> str:
        """The configuration of an app as nginx runs it. Raises NotFound."""
        with self._lock:
            current = self._current
        if current is None:
            raise NotFound("nginx is not running")
        try:
            return (current.directory / "apps" / f"{app}.conf").read_text()
        except OSError:
            raise NotFound(f"nginx has no configuration for {app}") from None

    # -- inside, with the lock held -------------------------------------------------------------------------------

    def _swap(self, routes: list[Route], *, force: bool = False) -> None:
        digest = _digest(routes)
        if digest == self._digest and not force and self._current is not None:
            return
        for route in routes:
            if not (self._pages / f"{route.app}.html").exists():
                self.set_page(route.app, "undeployed")
        public = render.public_ports(routes, self._settings.http_port)
        self._ports.hold({*public, self._settings.https_port})
        low, high = self._settings.proxy_port_range
        local = dict(zip(public, free_ports(len(public), low, high, self._last_port), strict=True))
        new = self._write(routes, local)
        try:
            new.start(self._logs / "error.log")
            self._redirect(local)
        except BaseException:
            new.kill()
            new.wait(5)
            remove_tree(new.directory)
            raise
        before, before_ports = self._current, set(self._local.values())
        self._current, self._digest, self._local = new, digest, local
        self._last_port = local[public[-1]]
        self._note()
        if before is not None:
            self._retire(before, before_ports)

    def _write(self, routes: Sequence[Route], local: Mapping[int, int]) -> Generation:
        number = max((int(d.name[1:]) for d in self._root.glob("g[0-9]*")), default=0) + 1
        generation = Generation(ensure_directory(self._root / f"g{number}", mode=0o711))
        ensure_directory(generation.directory / "apps", mode=0o711)
        places = Places(generation.directory, self._pages, self._logs, self._root / "scratch")
        machine = Machine(
            _WORKER_USER,
            min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
            Path("/proc/net/if_inet6").exists(),
            str(_MIME_TYPES) if _MIME_TYPES.exists() else "",
        )
        for name, text in render.render(routes, local, self._settings.http_port, places, machine, number).items():
            (generation.directory / name).write_text(text)
        return generation

    def _note(self) -> None:
        """Which generation serves, for the engine that comes after us."""
        assert self._current is not None
        note = {"generation": self._current.number, "digest": self._digest, "ports": self._local}
        write_atomic(self._root / "current", json.dumps(note))

    def _read_note(self) -> tuple[int, str, dict[int, int]]:
        """(generation, digest, public port -> local port) of the nginx that serves; (0, "", {}) when there is none."""
        try:
            note = json.loads((self._root / "current").read_text())
            generation = Generation(self._root / f"g{int(note['generation'])}")
            local = {int(public): int(port) for public, port in note["ports"].items()}
            return (generation.number, str(note["digest"]), local) if generation.pid is not None else (0, "", {})
        except (OSError, ValueError, KeyError):
            return 0, "", {}

    def _take_over(self) -> None:
        serving, digest, local = self._read_note()
        for directory in self._root.glob("g[0-9]*"):
            generation = Generation(directory)
            if generation.number == serving:
                self._current, self._digest, self._local = generation, digest, local
                self._last_port = max(local.values(), default=self._last_port)
                self._ports.hold({*local, self._settings.https_port})
                self._redirect(local)
            elif generation.pid is not None or generation.orphans():
                self._retire(generation, _ports_of(generation))
            else:
                remove_tree(directory)

    def _retire(self, generation: Generation, ports: set[int]) -> None:
        self._old.append((generation, ports))
        threading.Thread(target=self._drain, args=(generation, ports), name="nginx drain", daemon=True).start()
        while len(self._old) > _OLD_ONES:
            oldest, _ = self._old.pop(0)
            log.info("nginx %d is told to end: too many old ones", oldest.number)
            oldest.quit()

    # -- threads --------------------------------------------------------------------------------------------------

    def _drain(self, generation: Generation, ports: set[int]) -> None:
        """Wait until nothing is open on a replaced nginx, then let it end."""
        deadline, quiet_since = time.monotonic() + _LONGEST, 0.0
        while time.monotonic() < deadline and (generation.pid is not None or generation.orphans()):
            if self._closing.wait(0.25):
                return
            now = time.monotonic()
            if connections(ports):
                quiet_since = 0.0
            elif not quiet_since:
                quiet_since = now
            elif now - quiet_since >= _QUIET:
                break
        generation.quit()
        if not generation.wait(_LONGEST):
            generation.kill()
        remove_tree(generation.directory)
        with self._lock:
            self._old = [(old, held) for old, held in self._old if old is not generation]

    def _watch(self) -> None:
        """Start another nginx when the current one dies."""
        while not self._closing.is_set():
            with self._lock:
                current = self._current
            if current is not None and not current.wait(1.0):
                continue
            with self._lock:
                if self._current is not current or self._closing.is_set():
                    continue
                log.error("nginx ended unexpectedly; another one is started")
                try:
                    self._swap(list(self._source()), force=True)
                except PaasError as error:
                    log.error("nginx cannot be started: %s", error.message)
                    self._closing.wait(1.0)


def _digest(routes: Sequence[Route]) -> str:
    """What nginx's configuration depends on: the routes and the templates."""
    parts = [json.dumps(asdict(route), default=str, sort_keys=True) for route in routes]
    parts.append(_templates())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@functools.cache
def _templates() -> str:
    """They are read once for each engine, as by Jinja."""
    return "\n".join(path.read_text() for path in sorted(TEMPLATES.glob("*.conf.j2")))


def _ports_of(generation: Generation) -> set[int]:
    """The local ports in a generation's files."""
    found = set()
    for file in [generation.directory / "nginx.conf", *(generation.directory / "apps").glob("*.conf")]:
        for line in file.read_text().splitlines() if file.exists() else ():
            words = line.strip().rstrip(";").split()
            if words[:1] == ["listen"] and words[1].isdigit():
                found.add(int(words[1]))
    return found


def stop_all(root: Path) -> None:
    """End every nginx of a run directory at once; for taking everything down."""
    for directory in (root / "nginx").glob("g[0-9]*"):
        generation = Generation(directory)
        generation.kill()
        if not generation.wait(5) and (pid := generation.pid) is not None:
            os.kill(pid, 9)
