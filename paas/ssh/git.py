"""git's services on an app's repository, run as the account that the front door has itself."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from paas.errors import SystemFailure
from paas.paths import HOOKS
from paas.source.repos import KEPT, git_environment, tidy
from paas.ssh.request import Service
from paas.system import run as system
from paas.system.files import remove_tree

log = logging.getLogger(__name__)

_SETTINGS = {
    "core.hooksPath": str(HOOKS),
    "gc.auto": "0",
    "core.bigFileThreshold": "32m",  # larger ones are streamed, not held in memory
    "pack.threads": "1",
    "pack.windowMemory": "64m",
    "protocol.version": "0",
    "receive.advertisePushOptions": "false",
    "receive.autogc": "false",
    "receive.denyDeleteCurrent": "refuse",
    "receive.keepAlive": "5",
    "receive.shallowUpdate": "true",  # the hook refuses it, with what to do about it
    "receive.updateServerInfo": "false",
    "transfer.fsckObjects": "true",
    "transfer.hideRefs": KEPT,
    # Old repositories are full of these, and they harm nobody.
    "receive.fsck.badTimezone": "ignore",
    "receive.fsck.missingSpaceBeforeDate": "ignore",
    "receive.fsck.zeroPaddedFilemode": "ignore",
    "uploadpack.allowFilter": "false",
}
_PATIENCE = 10.0
"""Seconds git has to end after SIGTERM."""


def environment(socket: str, ticket: str, app: str, repo: str, limit: int) -> dict[str, str]:
    """git's settings, which win over whatever a repository says, and what the hook needs. `limit` in bytes.

    Processes of one account read each other's environment: a ticket is good for one push to this app, a token never
    gets here.
    """
    settings = {**_SETTINGS, "receive.maxInputSize": str(limit)}
    found = git_environment(settings)
    return {**found, "PAAS_SOCKET": socket, "PAAS_TICKET": ticket, "PAAS_APP": app, "PAAS_REPO": repo}


class GitServices:
    """Runs git's services for all sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: Counter[str] = Counter()

    def run(
        self,
        service: Service,
        repo: str,
        env: dict[str, str],
        stdio: tuple[int, int, int],
        started: Callable[[Callable[[], None]], None],
    ) -> int:
        """Run a service to its end and return its status as a shell tells it.

        It has a session of its own. `started` is given what ends it, with its helpers and the hook, before its time.
        """
        with self._lock:
            self._busy[repo] += 1
        status = -1
        try:
            argv = ["git", service.removeprefix("git-"), repo]
            process = system.start(argv, stdin=stdio[0], stdout=stdio[1], stderr=stdio[2], env=env, new_session=True)
            try:
                started(lambda: _end(process))
            except BaseException:  # no threads for its output, say
                _end(process)
                raise
            _end_helpers(process)
            status = process.wait()
        finally:
            with self._lock:
                self._busy[repo] -= 1
                if not self._busy[repo]:
                    del self._busy[repo]
                    if status != 0:
                        _clean(Path(repo))
                    elif service == "git-receive-pack":
                        threading.Thread(target=_tidy, args=(Path(repo),), name="git gc", daemon=True).start()
        return status if status >= 0 else 128 - status


def _clean(repo: Path) -> None:
    """git, when ended by a signal, leaves the objects it had received. Nobody else is at work in this repository."""
    for left in (repo / "objects").glob("tmp_objdir-*"):
        remove_tree(left)


def _tidy(repo: Path) -> None:
    """Pushes leave loose objects; git itself knows when packing them is worth it. The pusher does not wait."""
    try:
        tidy(repo)
    except SystemFailure as error:
        log.warning("%s could not be tidied: %s", repo.name, error.message)


def _end_helpers(process: system.Process) -> None:
    """Wait for git itself, then end what it has started and left, as one that was killed does: the hook, with which the
    deploy is cancelled that nobody would hear of."""
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # not yet reaped, its number is no one else's
    except ChildProcessError:
        return  # ended, with its helpers, and waited for by `_end`
    _signal(process, signal.SIGTERM)


def _end(process: system.Process) -> None:
    if process.poll() is not None:
        return
    _signal(process, signal.SIGTERM)  # the hook's end cancels the deploy
    try:
        process.wait(_PATIENCE)
    except system.TimeoutExpired:
        _signal(process, signal.SIGKILL)


def _signal(process: system.Process, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
