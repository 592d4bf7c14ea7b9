"""git's services on an app's repository, run as the account that the front door has itself."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from paas.paths import HOOKS
from paas.source.repos import GIT_ENV
from paas.ssh.request import Service
from paas.system import run as system

_SETTINGS = {
    "core.hooksPath": str(HOOKS),
    "core.alternateRefsCommand": "true",
    "gc.auto": "0",
    "pack.threads": "1",
    "pack.windowMemory": "64m",
    "protocol.version": "0",
    "receive.advertisePushOptions": "false",
    "receive.autogc": "false",
    "receive.denyDeleteCurrent": "refuse",
    "receive.keepAlive": "5",
    "receive.shallowUpdate": "false",
    "receive.updateServerInfo": "false",
    "transfer.fsckObjects": "true",
    # Old repositories are full of these, and they harm nobody.
    "receive.fsck.badTimezone": "ignore",
    "receive.fsck.missingSpaceBeforeDate": "ignore",
    "receive.fsck.zeroPaddedFilemode": "ignore",
    "uploadpack.allowFilter": "false",
}
_PATIENCE = 10.0
"""Seconds git has to end after SIGTERM."""


def environment(socket: str, who: dict[str, Any], app: str, limit: int) -> dict[str, str]:
    """git's settings, which win over whatever a repository says, and what the hook needs. `limit` in bytes."""
    settings = {**_SETTINGS, "receive.maxInputSize": str(limit)}
    found = {**GIT_ENV, "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**found, "PAAS_SOCKET": socket, "PAAS_WHO": json.dumps(who), "PAAS_APP": app}


def start(service: Service, repo: str, env: dict[str, str], stdio: tuple[int, int, int]) -> system.Process:
    """Start a service in a session of its own, so that `end` reaches its helpers and the hook as well."""
    argv = ["git", service.removeprefix("git-"), repo]
    return system.start(argv, stdin=stdio[0], stdout=stdio[1], stderr=stdio[2], env=env, new_session=True)


def end(process: system.Process) -> None:
    """The client is gone: end what still runs. The hook's end cancels the deploy."""
    if process.poll() is not None:
        return
    _signal(process, signal.SIGTERM)  # git removes the quarantine on its way
    try:
        process.wait(_PATIENCE)
    except system.TimeoutExpired:
        _signal(process, signal.SIGKILL)


def status_of(process: system.Process) -> int:
    """Wait for its end; the status as a shell tells it."""
    status = process.wait()
    return status if status >= 0 else 128 - status


def _signal(process: system.Process, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
