"""Changes to a deployed app: the new setting is saved in the same transaction that makes its release serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack

from paas.apps.claims import Claims
from paas.apps.domains import Domains
from paas.apps.environment import Environment
from paas.apps.lifecycle import Apps
from paas.apps.ports import Ports
from paas.apps.processes import Processes
from paas.apps.properties import Properties
from paas.apps.storage import Storage
from paas.deploy.applying import Applier
from paas.deploy.held import AppLocks, Request
from paas.deploy.releases import ReleaseMaker
from paas.deploy.routing import Routing
from paas.errors import Conflict, InvalidInput, PaasError
from paas.faults import reached
from paas.model import Mount, PortMap, Release
from paas.names import AppName, Hostname, ProcessType
from paas.schedulers.base import Scheduler
from paas.state import apps as app_rows
from paas.state import people, releases
from paas.state.apps import App
from paas.state.database import Database


class Changes:
    def __init__(
        self,
        db: Database,
        apps: Apps,
        claims: Claims,
        environment: Environment,
        domains: Domains,
        ports: Ports,
        processes: Processes,
        storage: Storage,
        properties: Properties,
        maker: ReleaseMaker,
        scheduler: Scheduler,
        routing: Routing,
        locks: AppLocks,
        applier: Applier,
        removed: Callable[[App], None],
    ) -> None:
        """`removed(app)` is called when an app has just been removed."""
        self._db = db
        self._apps = apps
        self._claims = claims
        self._environment = environment
        self._domains = domains
        self._ports = ports
        self._processes = processes
        self._storage = storage
        self._properties = properties
        self._maker = maker
        self._scheduler = scheduler
        self._routing = routing
        self._locks = locks
        self._applier = applier
        self._removed = removed

    # -- settings that are part of a release ----------------------------------------------------------------------

    def config(self, name: str, values: Mapping[str, str | None], request: Request, *, restart: bool) -> list[str]:
        """Set (or with None unset) config vars; returns the keys that changed. Unchanged values redeploy nothing."""
        with self._applier.hold(name, "a change of config vars", request) as app:
            changes = self._environment.changes(app, values)
            if changes:
                wanted = self._maker.wanted(app).but(config=self._environment.changed(app, changes))
                keys = ", ".join(sorted(changes))
                verb = "Unset" if all(value is None for value in changes.values()) else "Set"
                why = f"{verb} {keys}"
                self._applier.apply(
                    app, wanted, lambda: self._environment.save(app, changes), why, request, restart=restart
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

    def global_keys(self) -> set[str]:
        """The names of the config vars that are set for all apps."""
        return set(self._environment.own(None))

    def ports(self, name: str, change: Callable[[App], list[PortMap]], why: str, request: Request) -> None:
        with self._applier.hold(name, "a change of ports", request) as app:
            maps = change(app)
            self._claims.check_ports(app, maps, request.who)
            wanted = self._maker.wanted(app).but(ports=tuple(maps))
            self._applier.apply(app, wanted, lambda: self._ports.save(app, maps), why, request)
            self._routing.apply(app)

    def mounts(self, name: str, change: Callable[[App], list[Mount]], why: str, request: Request) -> None:
        with self._applier.hold(name, "a change of storage", request) as app:
            mounts = change(app)
            wanted = self._maker.wanted(app).but(mounts=tuple(mounts))
            self._applier.apply(app, wanted, lambda: self._storage.save(app, mounts), why, request)

    def scale(self, name: str, counts: Mapping[ProcessType, int], request: Request, *, restart: bool = True) -> None:
        with self._applier.hold(name, "a change of scale", request) as app:
            release = releases.current(self._db, app)
            if release is not None and release.declared.formation:
                raise Conflict(
                    f"{app.name} contains a file with formations (app.json or paas.yml) and cannot be scaled by hand",
                    hint="Change the quantity there and push, or take it out there.",
                )
            known = {process.type for process in release.processes} if release else set(counts)
            for kind in counts:
                if kind not in known:
                    raise InvalidInput(
                        f"{kind} is not a process type of {app.name}", hint=f"It has: {', '.join(sorted(known))}"
                    )
            before = self._maker.wanted(app)
            wanted = before.but(scale={**before.settings.scale, **counts})
            text = " ".join(f"{kind}={count}" for kind, count in counts.items())
            self._applier.apply(
                app,
                wanted,
                lambda: self._processes.set_scale(app, counts),
                f"Scale {text}",
                request,
                restart=restart,
            )

    def property(self, name: str, noun: str, key: str, value: str | None, request: Request) -> None:
        """Set a property, or take it back; one that is part of releases makes a release. Unchanged: nothing."""
        item = self._properties.check(noun, key, value)
        if not item.released:
            self._properties.set(noun, key, value, self._apps.get(name))
            return
        verb = "Set" if value else "Unset"
        self.properties(name, lambda app: {item.row: value or None}, f"{verb} {noun} {key}", request)

    def properties(
        self,
        name: str,
        change: Callable[[App], Mapping[str, str | None]],
        why: str,
        request: Request,
        *,
        restart: bool = True,
    ) -> bool:
        """Set, or with None take back, properties that are part of releases, by their rows; one release for all.

        `change` is asked once nobody else changes the app. False: nothing was to be changed.
        """
        with self._applier.hold(name, f"a change ({why})", request) as app:
            present = self._properties.released(app)
            changes = {row: text for row, text in change(app).items() if present.get(row) != text}
            if not changes:
                return False
            merged = {row: text for row, text in {**present, **changes}.items() if text is not None}
            wanted = self._maker.wanted(app).but(properties=merged)
            self._applier.apply(app, wanted, lambda: self._properties.save(app, changes), why, request, restart=restart)
            return True

    def deployed(self, app: App) -> Release:
        """The release that serves. Raises Conflict when there is none."""
        return self._applier.deployed(app)

    # -- what runs ------------------------------------------------------------------------------------------------

    def restart(self, name: str, process: ProcessType | None, request: Request) -> None:
        """New instances of all processes, or of one type, with whatever has been set meanwhile."""
        with self._applier.hold(name, "a restart", request) as app:
            release = self._applier.deployed(app)
            if process is not None and process not in {p.type for p in release.processes}:
                raise InvalidInput(f"{process} is not a process type of {app.name}")
            self._applier.rollout(
                app, self._maker.wanted(app), "Restart", request, replace=lambda kind: process in (None, kind)
            )
            people.record(self._db, request.who, app.name, "restart", process or "")

    def start(self, name: str, request: Request) -> None:
        with self._applier.hold(name, "a start", request) as app:
            self._applier.deployed(app)
            self._applier.rollout(app, self._maker.wanted(app), "Start", request)
            people.record(self._db, request.who, app.name, "start")

    def stop(self, name: str, request: Request) -> None:
        with self._applier.hold(name, "a stop", request) as app:
            self._applier.deployed(app)
            self._scheduler.stop(app)
            self._routing.update_page(app_rows.by_id(self._db, app.id))
            people.record(self._db, request.who, app.name, "stop")

    # -- hostnames and the app itself -----------------------------------------------------------------------------

    def domains(
        self,
        name: str,
        change: Callable[[App], None],
        detail: str,
        request: Request,
        claimed: Iterable[Hostname] = (),
    ) -> None:
        """Change an app's hostnames, `claimed` those that may be new; put back when nginx refuses."""
        with self._applier.hold(name, "a change of domains", request) as app:
            self._claims.check_hostnames(app, claimed, request.who)
            before = self._maker.wanted(app).settings.domains
            change(app)
            reached("domains:changed")
            with ExitStack() as undo:
                undo.callback(self._routing.apply)
                undo.callback(app_rows.set_own_domains, self._db, app.id, before)
                self._routing.apply(app)
                reached("domains:routed")
                changed = app_rows.by_id(self._db, app.id)
                self._applier.apply(changed, self._maker.wanted(changed), lambda: None, f"Domains: {detail}", request)
                undo.pop_all()

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
        self._claims.check_name(name, request.who)
        app = self._apps.create(name, request.who)
        reached("create:created")
        self._routing.apply()
        self._routing.update_page(app)
        people.record(self._db, request.who, app.name, "create")
        return app

    def rename(self, name: str, new: AppName, request: Request) -> App:
        with self._applier.hold(name, "a rename", request) as app:
            self._claims.check_name(new, request.who)
            renamed = self._apps.rename(app, new)
            reached("rename:recorded")
            with ExitStack() as undo:
                undo.callback(self._apps.rename, renamed, app.name)
                self._routing.renamed(app, renamed)
                reached("rename:logs-renamed")
                undo.callback(self._routing.renamed, renamed, app)
                self._routing.apply()
                reached("rename:routed")
                undo.pop_all()
            self._scheduler.renamed(renamed)
            self._routing.update_page(renamed)
            people.record(self._db, request.who, new, "rename", f"from {app.name}")
            return renamed

    def destroy(self, name: str, request: Request) -> None:
        """Remove an app with everything that belongs to it but its storage. Refused while something else goes on."""
        app = self._apps.get(name)
        self.refuse_if_busy(app)
        with self._applier.hold(name, "the removal", request) as app:
            self._scheduler.destroy(app)
            reached("destroy:instances-gone")
            self._apps.delete(app)
            reached("destroy:deleted")
            self._removed(app)
            self._routing.apply()
            reached("destroy:unrouted")
            self._routing.forget(app)
            people.record(self._db, request.who, app.name, "destroy")

    def refuse_if_busy(self, app: App) -> None:
        """Raises Conflict while somebody deploys or changes the app."""
        self._locks.refuse_if_held(app)

    def refuse_if_locked(self, app: App) -> None:
        """Raises Conflict while an apps:lock holds."""
        self._locks.refuse_if_locked(app)
