"""Changes to a deployed app: the new setting is saved in the same transaction that makes its release serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

from paas.apps.domains import Domains
from paas.apps.environment import Environment
from paas.apps.lifecycle import Apps
from paas.apps.ports import Ports
from paas.apps.processes import Processes
from paas.apps.storage import Storage
from paas.deploy.held import AppLocks, Request
from paas.deploy.releases import ReleaseMaker, Wanted
from paas.deploy.routing import Routing
from paas.errors import Conflict, InvalidInput, PaasError
from paas.image.store import ImageStore
from paas.model import Mount, PortMap, Release
from paas.names import AppName, Hostname, ProcessType
from paas.schedulers.base import Rollout, Scheduler
from paas.state import apps as app_rows
from paas.state import people, releases
from paas.state.apps import App
from paas.state.database import Database


class Changes:
    def __init__(
        self,
        db: Database,
        apps: Apps,
        environment: Environment,
        domains: Domains,
        ports: Ports,
        processes: Processes,
        storage: Storage,
        images: ImageStore,
        maker: ReleaseMaker,
        scheduler: Scheduler,
        routing: Routing,
        locks: AppLocks,
    ) -> None:
        self._db = db
        self._apps = apps
        self._environment = environment
        self._domains = domains
        self._ports = ports
        self._processes = processes
        self._storage = storage
        self._images = images
        self._maker = maker
        self._scheduler = scheduler
        self._routing = routing
        self._locks = locks

    # -- settings that are part of a release ----------------------------------------------------------------------

    def config(self, name: str, values: Mapping[str, str | None], request: Request, *, restart: bool) -> list[str]:
        """Set (or with None unset) config vars; returns the keys that changed. Unchanged values redeploy nothing."""
        with self._hold(name, "a change of config vars", request) as app:
            changes = self._environment.changes(app, values)
            if changes:
                wanted = replace(self._maker.wanted(app), config=self._environment.merged(app, changes))
                keys = ", ".join(sorted(changes))
                verb = "Unset" if all(value is None for value in changes.values()) else "Set"
                self._apply(
                    app, wanted, lambda: self._environment.save(app, changes), f"{verb} {keys}", request, restart
                )
            return sorted(changes)

    def global_config(self, values: Mapping[str, str | None], request: Request, *, restart: bool) -> list[str]:
        """The same for all apps; one that cannot be redeployed keeps its release, and is named."""
        changes = self._environment.changes(None, values)
        if not changes:
            return []
        self._environment.save(None, changes)
        people.record(self._db, request.who, "", "config", "Set globally: " + ", ".join(sorted(changes)))
        failed = []
        for app in self._apps.list() if restart else []:
            if app.release is not None and not app.stopped:
                request.out.heading(f"Redeploying {app.name}")
                try:
                    self.restart(app.name, None, request)
                except PaasError as error:
                    failed.append(app.name)
                    request.out.warn(f"{app.name}: {error.message}")
        if failed:
            raise Conflict(f"Set, but not in force in {', '.join(failed)}", hint="See the messages above.")
        return sorted(changes)

    def ports(self, name: str, change: Callable[[App], list[PortMap]], why: str, request: Request) -> None:
        with self._hold(name, "a change of ports", request) as app:
            maps = change(app)
            wanted = replace(self._maker.wanted(app), ports=tuple(maps))
            self._apply(app, wanted, lambda: self._ports.save(app, maps), why, request)
            self._routing.apply()

    def mounts(self, name: str, change: Callable[[App], list[Mount]], why: str, request: Request) -> None:
        with self._hold(name, "a change of storage", request) as app:
            mounts = change(app)
            wanted = replace(self._maker.wanted(app), mounts=tuple(mounts))
            self._apply(app, wanted, lambda: self._storage.save(app, mounts), why, request)

    def scale(self, name: str, counts: Mapping[ProcessType, int], request: Request) -> None:
        with self._hold(name, "a change of scale", request) as app:
            release = releases.current(self._db, app)
            known = {process.type for process in release.processes} if release else set(counts)
            for kind in counts:
                if kind not in known:
                    raise InvalidInput(
                        f"{kind} is not a process type of {app.name}", hint=f"It has: {', '.join(sorted(known))}"
                    )
            before = self._maker.wanted(app)
            wanted = replace(before, scale={**before.scale, **counts})
            text = " ".join(f"{kind}={count}" for kind, count in counts.items())
            self._apply(app, wanted, lambda: self._processes.set_scale(app, counts), f"Scale {text}", request)

    # -- what runs ------------------------------------------------------------------------------------------------

    def restart(self, name: str, process: ProcessType | None, request: Request) -> None:
        """New instances of all processes, or of one type, with whatever has been set meanwhile."""
        with self._hold(name, "a restart", request) as app:
            release = self._deployed(app)
            if process is not None and process not in {p.type for p in release.processes}:
                raise InvalidInput(f"{process} is not a process type of {app.name}")
            self._rollout(app, self._maker.wanted(app), "Restart", request, lambda kind: process in (None, kind))
            people.record(self._db, request.who, app.name, "restart", process or "")

    def start(self, name: str, request: Request) -> None:
        with self._hold(name, "a start", request) as app:
            self._deployed(app)
            self._rollout(app, self._maker.wanted(app), "Start", request, lambda kind: False)
            people.record(self._db, request.who, app.name, "start")

    def stop(self, name: str, request: Request) -> None:
        with self._hold(name, "a stop", request) as app:
            self._deployed(app)
            self._scheduler.stop(app)
            self._routing.update_page(app_rows.by_id(self._db, app.id))
            people.record(self._db, request.who, app.name, "stop")

    # -- hostnames and the app itself -----------------------------------------------------------------------------

    def domains(self, name: str, change: Callable[[App], None], detail: str, request: Request) -> None:
        """Change an app's hostnames; put back when nginx refuses."""
        with self._hold(name, "a change of domains", request) as app:
            before = self._domains.of(app) if app.own_domains else None
            change(app)
            with ExitStack() as undo:
                undo.callback(app_rows.set_own_domains, self._db, app.id, before)
                self._routing.apply()
                undo.pop_all()
            people.record(self._db, request.who, app.name, "domains", detail)

    def global_domains(self, hostnames: Iterable[Hostname], request: Request) -> None:
        before = app_rows.global_domains(self._db)
        wanted = list(hostnames)
        self._domains.set_globals(wanted)
        with ExitStack() as undo:
            undo.callback(self._domains.set_globals, before)
            self._routing.apply()
            undo.pop_all()
        people.record(self._db, request.who, "", "domains", "global: " + (" ".join(wanted) or "none"))

    def create(self, name: AppName, request: Request) -> App:
        app = self._apps.create(name)
        self._routing.apply()
        self._routing.update_page(app)
        people.record(self._db, request.who, app.name, "create")
        return app

    def rename(self, name: str, new: AppName, request: Request) -> App:
        with self._hold(name, "a rename", request) as app:
            renamed = self._apps.rename(app, new)
            with ExitStack() as undo:
                undo.callback(self._apps.rename, renamed, app.name)
                self._routing.apply()
                undo.pop_all()
            self._routing.update_page(renamed)
            people.record(self._db, request.who, new, "rename", f"from {app.name}")
            return renamed

    def destroy(self, name: str, request: Request) -> None:
        """Remove an app with everything that belongs to it but its storage. Refused while something else goes on."""
        app = self._apps.get(name)
        self.refuse_if_busy(app)
        with self._hold(name, "the removal", request) as app:
            self._scheduler.destroy(app)
            self._apps.delete(app)
            self._routing.apply()
            people.record(self._db, request.who, app.name, "destroy")

    def refuse_if_busy(self, app: App) -> None:
        """Raises Conflict while somebody deploys or changes the app."""
        self._locks.refuse_if_held(app)

    # -- shared ---------------------------------------------------------------------------------------------------

    def _hold(self, name: str, purpose: str, request: Request) -> AbstractContextManager[App]:
        app = self._apps.get(name)
        return self._locks.hold(app, f"{purpose} of {app.name}", request)

    def _deployed(self, app: App) -> Release:
        release = releases.current(self._db, app)
        if release is None:
            raise Conflict(f"{app.name} has not been deployed", hint="Push to it first: git push paas master")
        return release

    def _apply(
        self, app: App, wanted: Wanted, save: Callable[[], None], why: str, request: Request, restart: bool = True
    ) -> None:
        """Save a change; where the app runs, together with the release that has it."""
        if app.release is None or app.stopped or not restart:
            save()
        else:
            self._rollout(app, wanted, why, request, lambda kind: False, save)
        people.record(self._db, request.who, app.name, "change", why)

    def _rollout(
        self,
        app: App,
        wanted: Wanted,
        why: str,
        request: Request,
        replace_kind: Callable[[ProcessType], bool],
        save: Callable[[], None] = lambda: None,
    ) -> None:
        current = self._deployed(app)
        image = self._images.image(current.image_id)
        with ExitStack() as undo:
            release = self._maker.make(app, wanted, image, request.who, why)
            undo.callback(self._maker.forget, app, release)
            self._scheduler.rollout(Rollout(app, release, image, save, replace_kind), request.out, request.cancelled)
            undo.pop_all()
        self._routing.update_page(app_rows.by_id(self._db, app.id))
