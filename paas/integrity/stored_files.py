"""What lies beside the database: repositories, certificates, host keys, logins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from paas.apps.certs import Certs
from paas.apps.lifecycle import Apps
from paas.errors import PaasError, SystemFailure
from paas.integrity.finding import Asked, Finding
from paas.paths import Paths
from paas.source import repos
from paas.state.apps import App
from paas.system.files import ensure_directory


class Files:
    def __init__(self, paths: Paths, apps: Apps, certs: Certs, user: str) -> None:
        self._paths = paths
        self._apps = apps
        self._certs = certs
        self._user = user

    def check(self, asked: Asked) -> Iterator[Finding]:
        for app in self._apps.list():
            yield from self._repository(app, asked)
            yield from self._certificate(app)
        yield from self._host_keys(asked)
        yield from self._logins()

    def _repository(self, app: App, asked: Asked) -> Iterator[Finding]:
        path = self._apps.repo(app)
        try:
            problem = repos.problem(path, self._user) if path.is_dir() else "it is missing"
        except SystemFailure as error:  # it may be whole: git was killed, say
            yield Finding("repository", app.name, f"it cannot be checked: {error.message}", "Check once more.")
            return
        if problem is None:
            return
        advice = f"--repair makes an empty one; then: git push paas master (as {app.name})"
        if not asked.repair:
            yield Finding("repository", app.name, problem, advice)
            return
        kept = ""
        if path.is_dir():
            ensure_directory(self._paths.set_aside, mode=0o700)
            place = _free(self._paths.set_aside, path.name)
            path.rename(place)
            kept = f"; the damaged one lies in {place}"
        repos.init_bare(path, self._user)
        yield Finding("repository", app.name, problem, repaired=f"made anew, empty: push once more{kept}")

    def _certificate(self, app: App) -> Iterator[Finding]:
        if self._certs.current(app) is None:
            return
        try:
            self._certs.load(app)
        except PaasError as error:
            yield Finding("certificate", app.name, error.message, f"paas certs:add {app.name} CRT KEY")

    def _host_keys(self, asked: Asked) -> Iterator[Finding]:
        for key in sorted(self._paths.ssh.glob("host_*")):
            if key.suffix == ".pub":
                continue
            try:
                data = key.read_bytes()
            except OSError as error:  # it may be whole: there are too many open files, say
                yield Finding("host key", key.name, f"it cannot be read: {error.strerror}", "Check once more.")
                continue
            if _is_key(data):
                continue
            if asked.repair:
                place = _free(ensure_directory(self._paths.set_aside, mode=0o700), key.name)
                key.rename(place)
                done = f"set aside as {place}: the next start makes one"
                yield Finding("host key", key.name, "it is no key", repaired=done)
            else:
                yield Finding("host key", key.name, "it is no key", "Put it back, or let --repair make another.")

    def _logins(self) -> Iterator[Finding]:
        for file in sorted(self._paths.data.glob("registries*.json")):
            try:
                json.loads(file.read_text())
            except (OSError, ValueError):
                yield Finding("logins", file.name, "it cannot be read", f"Remove {file}, then log in again: paas login")


def _is_key(data: bytes) -> bool:
    try:
        (load_ssh_private_key if b"OPENSSH" in data else load_pem_private_key)(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _free(directory: Path, name: str) -> Path:
    """A name in a directory that nothing has."""
    number = 1
    while (path := directory / f"{name}-{number}").exists():
        number += 1
    return path
