"""The engine's life. With `foundation`, `running` and `serving` it is the composition root: the only place that knows
all parts and picks implementations."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

from paas.apps.keys import Keys
from paas.engine import foundation, running, serving
from paas.engine.frontdoor import FrontDoor
from paas.engine.hostkeys import ensure_host_keys
from paas.engine.listening import ssh_listener
from paas.engine.lock import only_one
from paas.engine.logins import Logins
from paas.engine.server import Server
from paas.engine.sessions import Sessions
from paas.errors import DiskFull, SystemFailure
from paas.integrity.upkeep import Upkeep
from paas.paths import Paths
from paas.runtime.runtime import Runtime
from paas.settings import Settings
from paas.state.backups import Backups
from paas.state.database import Database
from paas.system import mounts
from paas.system.accounts import account
from paas.system.disk import Reserve, full_disk_is_told
from paas.system.files import ensure_directory, remove_tree

log = logging.getLogger(__name__)


class Engine:
    """A context manager: inside the block everything runs. Leaving it, apps and nginx go on serving."""

    def __init__(self, settings: Settings) -> None:
        if os.geteuid() != 0:
            raise SystemFailure("The engine has to run as root", hint="sudo paas serve")
        self._settings = settings
        self._paths = Paths(settings.data_dir, settings.run_dir)
        self._owner = account(settings.user)
        self._undo = ExitStack()
        self.is_alive: Callable[[], bool] = lambda: False
        """Whether it takes requests and gets at its state. It hangs where they do."""

    def __enter__(self) -> Engine:
        with ExitStack() as undo, self._room_is_told():
            self._start(undo)
            self._undo = undo.pop_all()
        log.info("serving: ssh port %d, http port %d", self._settings.ssh_port, self._settings.http_port)
        return self

    @contextmanager
    def _room_is_told(self) -> Iterator[None]:
        try:
            with full_disk_is_told():
                yield
        except DiskFull as error:  # no command can make room while no engine runs
            where = f"{self._paths.set_aside}, {self._paths.log} and {self._paths.backups}"
            hint = f"Make room by hand, then start it again: {where} have what can go first. What runs goes on."
            raise DiskFull(f"The engine cannot start. {error.message}", hint=hint) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()
        log.info("stopped; what runs goes on running")

    def _start(self, undo: ExitStack) -> None:
        settings, paths = self._settings, self._paths
        ensure_directory(paths.data, mode=0o711)
        ensure_directory(paths.run, mode=0o711)
        undo.callback(os.close, only_one(paths.run))
        os.umask(0o022)
        backups, reserve = Backups(paths.backups), Reserve(paths.reserve)
        db = Database(paths.database, backups, reserve)  # first: nothing is touched of data that is not for us
        undo.callback(db.close)
        reserve.keep()
        ensure_directory(paths.log, mode=0o750)
        host_keys = ensure_host_keys(paths.ssh)
        listener = ssh_listener(settings)
        undo.callback(listener.close)
        for left in (paths.run / "build", paths.run / "editing"):
            mounts.unmount_below(left)  # first: what was mounted there is no leftover
            remove_tree(left)
        remove_tree(paths.scratch)
        runtime = Runtime(settings, paths)
        runtime.prepare()
        for directory in (paths.repos, settings.socket.parent):  # what the front door is shown
            ensure_directory(directory, mode=0o750, owner=(0, self._owner[1]))
        logins = Logins(Keys(db).identify, settings.ssh_login_grace)
        door = FrontDoor(settings, paths, listener, host_keys, logins)
        undo.callback(door.close)
        door.start()

        base = foundation.lay(settings, paths, db, runtime, undo)
        platform = serving.platform(base, running.take_over(base, reserve, undo), backups, undo)
        upkeep = Upkeep(db, backups, base.images, platform.repositories.tidy)
        undo.callback(upkeep.close)
        server = Server(settings.socket, self._owner[1], Sessions(platform, logins, self._owner[0]).handle)
        server.listen()
        undo.callback(server.close)
        door.wait_ready()
        server.start()
        door.open()
        undo.callback(door.hold)
        platform.cron.start()
        upkeep.start()
        self.is_alive = lambda: server.accepts and db.one("SELECT 1") is not None
