"""The proxy: brings nginx in step with the routes, by swapping one nginx for another.

A reload closes idle client connections at once, and a client that sends on one just then loses its request. Instead a
second nginx starts with the new configuration on other local ports, one change of the network points new connections
at it, and the old one goes on with what it has until nothing is open on it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from paas.errors import Conflict, InvalidInput, NotFound, PaasError, SystemFailure
from paas.faults import reached
from paas.paths import Paths
from paas.proxy import render
from paas.proxy.generations import Generations
from paas.proxy.isolation import Isolation, digest_of
from paas.proxy.logs import AppLogs
from paas.proxy.nginx import Generation
from paas.proxy.ports import PublicPorts
from paas.proxy.remembered import Remembered, Texts
from paas.proxy.render import State, longest_idle
from paas.proxy.replaced import Replaced
from paas.proxy.sections import section
from paas.routes import Route
from paas.settings import Settings
from paas.system.files import ensure_directory, remove_tree, write_atomic

log = logging.getLogger(__name__)

_LONGEST_PATIENCE = 60.0
"""Seconds that an idle connection of a client is waited for, whatever an app's keepalive-timeout says."""

_ROTATING = 50.0
"""Times as long as it took to look at the logs, of which each app has two, until they are looked at again."""


class Proxy:
    """Thread-safe."""

    def __init__(self, settings: Settings, paths: Paths, redirect: Callable[[Mapping[int, int]], None]) -> None:
        """`redirect(public port -> local port)` points new connections at an nginx."""
        self._settings = settings
        self._redirect = redirect
        self._generations = Generations(settings, paths)
        self._pages = paths.nginx / "pages"
        self.default_maintenance = paths.nginx / "pages" / "default"
        """Directory with the page of apps in maintenance that have none of their own."""
        self._logs = paths.log / "nginx"
        self.logs = AppLogs(self._logs)
        self._stopped = paths.run / "nginx" / "stopped"
        self._ports = PublicPorts()
        self._lock = threading.RLock()
        self._turn = threading.Lock()
        """Held by the one caller who brings nginx in step for all that wait."""
        self._counting = threading.Lock()
        self._asked = 0
        self._done = 0
        self._forced = 0
        self._source: Callable[[], Sequence[Route]] = tuple
        self._texts = Texts()
        self._isolation = Isolation(self._fallback, Remembered(paths.nginx / "served.json", self._texts))
        self._current: Generation | None = None
        self._digest = ""
        self._local: dict[int, int] = {}
        self._patience = _LONGEST_PATIENCE
        self._replaced = Replaced(settings.nginx_limit)
        self._closing = threading.Event()

    def start(self, source: Callable[[], Sequence[Route]], http2: Callable[[], bool]) -> None:
        """Take over the nginx a former engine left, or start one. `source` gives the routes, now and later."""
        self._source = source
        self._generations.http2 = http2
        self._generations.prepare()
        ensure_directory(self._pages.parent, mode=0o711)
        ensure_directory(self._pages)
        ensure_directory(self.default_maintenance)
        for state in ("maintenance", "busy"):
            write_atomic(self.default_maintenance / f"{state}.html", render.page("", state))
        ensure_directory(self._logs, mode=0o750)
        hint = "Stop it, or change the settings http_port and https_port."
        self._ports.hold({self._settings.http_port, self._settings.https_port}, hint)
        self._take_over()
        if self._stopped.exists():
            log.warning("nginx is stopped, as somebody wished; nginx:start starts it")
        else:
            self.apply()
        threading.Thread(target=self._watch, name="nginx", daemon=True).start()

    def ports_in_force(self) -> dict[int, int]:
        """Public port -> local port of the nginx that serves now, also one that a former engine left."""
        with self._lock:
            return self._local or self._generations.noted()[2]

    def close(self) -> None:
        """nginx goes on serving; the next engine takes it over."""
        self._closing.set()
        self._replaced.close()
        self._ports.close()

    def apply(self, app: str | None = None, *, force: bool = False) -> None:
        """Bring nginx in step with the routes; returns when it is. Calls that come together share one swap.

        Raises Conflict, and changes nothing, when a port is taken. An app whose configuration nginx refuses keeps the
        one it had, and the others are not held up by it; when it is this `app`, SystemFailure is raised afterwards.
        Does nothing while nginx is stopped. `force`: another nginx even where nothing has changed.
        """
        with self._counting:
            self._asked += 1
            mine = self._asked
            if force:
                self._forced = mine
        with self._turn:
            if self._stopped.exists():
                return
            if self._done < mine:
                self._bring_in_step()
            refused = self._isolation.refused.get(app or "")
        if refused is not None:
            raise SystemFailure(refused)

    def _bring_in_step(self) -> None:
        has_waited = False
        while True:
            with self._lock:
                if self._stopped.exists():  # while this waited
                    return
                with self._counting:
                    covers, forced = self._asked, self._forced > self._done
                wanted = list(self._source())
                in_step = not forced and self._current is not None and self._digest_of(wanted) == self._digest
                if in_step or has_waited or self._replaced.has_room():
                    self._swap(wanted, force=forced)
                    self._done = covers
                    return
            self._replaced.make_room()
            has_waited = True

    def _digest_of(self, routes: Sequence[Route]) -> str:
        return digest_of(routes, self._generations.http2(), self._texts)

    def stop_serving(self) -> None:
        """End nginx, and start none until `start_serving`. What is open is finished."""
        with self._lock:
            write_atomic(self._stopped, "")
            self._redirect({})
            if self._current is not None:
                self._replaced.add(self._current, set(self._local.values()), self._patience)
            self._generations.forget_note()
            self._current, self._digest, self._local = None, "", {}

    def start_serving(self) -> bool:
        """Whether there was something to do."""
        with self._lock:
            if not self._stopped.exists():
                return False
            self._stopped.unlink()
        self.apply()
        return True

    @property
    def refused(self) -> Mapping[str, str]:
        """Apps that are served by a former configuration because nginx refuses theirs, with its words."""
        return self._isolation.refused

    @property
    def is_stopped(self) -> bool:
        return self._stopped.exists()

    def problem(self, app: str) -> str | None:
        """What nginx says against the configuration an app would have now, tested alone; None if nothing.

        Raises NotFound when nginx is to serve nothing for it.
        """
        with self._lock:
            for route in self._source():
                if route.app == app:
                    return self._problem([route])
        raise NotFound(f"nginx does not serve {app}", hint=f"proxy:enable {app}")

    def forget(self, app: str) -> None:
        """Remove what is kept of an app that is gone: its logs and page."""
        self.logs.remove(app)
        self._forget(app)

    def renamed(self, app: str, new: str) -> None:
        """Let the logs of an app go on under its new name."""
        self.logs.rename(app, new)
        self._forget(app)

    def _forget(self, app: str) -> None:
        (self._pages / f"{app}.html").unlink(missing_ok=True)
        with self._lock:
            self._texts.forget(app)
            self._generations.sections.forget(app)

    def damaged(self) -> list[str]:
        """Files of the nginx that serves which are not what was written; `nginx` when it does not run although it
        should."""
        with self._lock:
            current, routes = self._current, list(self._source())
            if current is None or current.pid is None:
                return [] if self._stopped.exists() else ["nginx"]
            if self._digest_of(routes) != self._digest:
                return []  # it serves something else on purpose: nginx refuses what an app asks for
            found = []
            for name, text in self._generations.files(current, routes, self._local).items():
                try:
                    if (current.directory / name).read_text() != text:
                        found.append(name)
                except (OSError, ValueError):
                    found.append(name)
            return found

    def set_page(self, app: str, state: State) -> None:
        """Choose what visitors see while no instance answers. nginx reads the file anew for each of them."""
        text, path = render.page(app, state), self._pages / f"{app}.html"
        if not path.exists() or path.read_text() != text:
            write_atomic(path, text, durable=False)

    def config(self, app: str) -> str:
        """The configuration of an app as nginx runs it. Raises NotFound."""
        with self._lock:
            current = self._current
        if current is None:
            raise NotFound("nginx is not running")
        try:
            found = section((current.directory / "apps.conf").read_text(), app)
        except OSError:
            found = None
        if found is None:
            raise NotFound(f"nginx has no configuration for {app}")
        return found

    # -- inside, with the lock held -------------------------------------------------------------------------------

    def _swap(self, wanted: list[Route], *, force: bool = False) -> None:
        """The one place where another configuration comes to serve."""
        digest = self._digest_of(wanted)
        if digest == self._digest and not force and self._current is not None:
            self._isolation.accept(wanted)
            return
        pages = {path.name for path in self._pages.iterdir()}
        for route in wanted:
            if f"{route.app}.html" not in pages:
                self.set_page(route.app, "undeployed")
        try:
            new, local = self._begin(wanted)
            self._isolation.accept(wanted)
        except (SystemFailure, InvalidInput, Conflict) as error:
            routes = self._isolation.without_the_broken(wanted, self._problem, error)
            for app, words in self._isolation.refused.items():
                log.error("%s goes on with its former configuration: %s", app, words)
            digest = self._digest_of(routes)
            if digest == self._digest and not force and self._current is not None:
                return
            new, local = self._begin(routes)
            wanted = routes
        before, before_ports = self._current, set(self._local.values())
        patience = self._patience
        self._current, self._digest, self._local = new, digest, local
        self._patience = min(longest_idle(wanted), _LONGEST_PATIENCE)
        self._generations.note(new, self._digest, local)
        reached("nginx:noted")
        if before is not None:
            self._replaced.add(before, before_ports, patience)

    def _begin(self, routes: Sequence[Route]) -> tuple[Generation, dict[int, int]]:
        """Start an nginx with these routes and lead new connections to it. Raises, and leaves all as it was."""
        public = self._generations.public_ports(routes)
        self._ports.hold(public)
        for last in (False, True):
            local = self._generations.free(public)
            new = self._generations.write(routes, local)
            reached("nginx:written")
            try:
                new.start(self._logs / "error.log")
                reached("nginx:started")
                self._redirect(local)
                reached("nginx:redirected")
                if new.pid is not None:
                    return new, local
                self._redirect(self._local)
                if last:
                    raise SystemFailure("nginx ends as soon as it is started")
            except BaseException:
                self._discard(new)
                raise
            log.error("nginx %d ended as it was to serve; another one is started", new.number)
            self._discard(new)
        raise AssertionError

    def _discard(self, generation: Generation) -> None:
        generation.kill()
        generation.wait(5)
        remove_tree(generation.directory)

    def _problem(self, routes: Sequence[Route]) -> str | None:
        """What speaks against the configuration of some apps, looked at without the others; None if nothing."""
        try:
            self._ports.check(self._generations.public_ports(routes))
        except Conflict as error:
            return error.message
        return self._generations.problem(routes)

    def _fallback(self, route: Route) -> Route:
        """For an app that never had a configuration nginx takes: a page, and nothing that could be wrong."""
        return Route(route.app, route.hostnames, route.upstream, maintenance=self.default_maintenance)

    def _take_over(self) -> None:
        serving, digest, local = self._generations.noted()
        for generation in sorted(self._generations, key=lambda generation: generation.number):
            if generation.number == serving:
                self._current, self._digest, self._local = generation, digest, local
                self._ports.hold(local)
                self._redirect(local)
            elif generation.pid is not None or generation.orphans():
                self._replaced.add(generation, generation.local_ports(), _LONGEST_PATIENCE)
            else:
                remove_tree(generation.directory)

    # -- a thread -------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Start another nginx when the current one dies, and keep the logs short."""
        due = 0.0
        while not self._closing.is_set():
            if (began := time.monotonic()) >= due:
                self.logs.rotate()
                due = began + _ROTATING * (time.monotonic() - began)
            with self._lock:
                current = self._current
            if current is None:
                self._closing.wait(1.0)
                continue
            if not current.wait(1.0):
                continue
            with self._lock:
                if self._current is not current or self._closing.is_set():
                    continue
                log.error("nginx ended unexpectedly; another one is started")
                try:
                    self._swap(list(self._source()), force=True)
                    continue
                except PaasError as error:
                    log.error("nginx cannot be started: %s", error.message)
            self._closing.wait(1.0)  # without the lock: a change of the routes may be what helps
