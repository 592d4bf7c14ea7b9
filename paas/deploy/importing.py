"""Apps of a Dokku host become apps here: settings, domains, repositories; and, if wanted, a first deploy of each."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from paas.apps.build_settings import BuildSettings
from paas.apps.container_settings import ContainerOptions
from paas.apps.dokku import HOME, LIBRARY, DokkuApp, DokkuHost
from paas.apps.domains import Domains
from paas.apps.keys import Keys
from paas.apps.lifecycle import Apps
from paas.apps.ports import Ports, parse
from paas.apps.processes import parse_scale
from paas.apps.storage import Storage
from paas.deploy.changes import Changes
from paas.deploy.edge import Edge
from paas.deploy.held import Request
from paas.deploy.pipeline import Pipeline
from paas.errors import InvalidInput, PaasError
from paas.model import Source
from paas.names import AppName, Hostname, KeyName, shown
from paas.paths import Paths
from paas.proxy import certificates
from paas.source import repos
from paas.state.apps import App
from paas.system import run as system
from paas.system.accounts import account
from paas.system.files import ensure_directory, remove_tree

_ENTRIES, _BYTES = 2_000_000, 64 << 30
"""What is unpacked of a tar at most."""
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Parts:
    paths: Paths
    user: str
    apps: Apps
    domains: Domains
    ports: Ports
    storage: Storage
    keys: Keys
    build_settings: BuildSettings
    container_options: ContainerOptions
    changes: Changes
    edge: Edge
    pipeline: Pipeline


class DokkuImport:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @contextlib.contextmanager
    def host(self, root: int | IO[bytes]) -> Iterator[DokkuHost]:
        """The files of a Dokku host: below a directory that is open, or in a tar that is read to its end."""
        if isinstance(root, int):
            yield DokkuHost(root)
            return
        directory = ensure_directory(self._parts.paths.scratch / f"dokku-{secrets.token_hex(8)}", mode=0o700)
        try:
            unpack(root, directory)
            opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield DokkuHost(opened)
            finally:
                os.close(opened)
        finally:
            remove_tree(directory)

    def everywhere(self, host: DokkuHost, request: Request) -> None:
        """What holds for all apps there: config vars, domains, keys. What is set here already is left as it is."""
        parts = self._parts
        config = host.global_config()
        with self._noting(request, "global config vars"):
            present = parts.changes.global_keys()
            missing = {key: value for key, value in config.items() if key not in present}
            if missing:
                parts.changes.global_config(dict(missing), request, restart=False)
        if not parts.domains.globals():
            with self._noting(request, "global domains"):
                names = [Hostname(name.lower()) for name in host.global_domains()]
                if names:
                    parts.changes.global_domains(names, request)
        known = {key.name for key in parts.keys.every()}
        for name, key in host.people():
            if name not in known:
                with self._noting(request, f"key {name}"):
                    parts.keys.add(KeyName(name), key, None, "deploy")

    def app(self, host: DokkuHost, found: DokkuApp, request: Request) -> tuple[App, Source | None]:
        """Make the app; what cannot be taken over is named, and left out. Raises PaasError, having made nothing."""
        parts = self._parts
        app = parts.changes.create(AppName(found.name), request)
        with contextlib.ExitStack() as undo:
            undo.callback(parts.changes.destroy, app.name, request)
            for note in found.notes:
                request.out.warn(f"{app.name}: {note}")
            source = self._repository(host, found, app, request)
            self._settings(found, app, request)
            undo.pop_all()
        return parts.apps.get(app.name), source

    def _settings(self, found: DokkuApp, app: App, request: Request) -> None:
        """One by one: what is refused keeps nothing else from being set."""
        name, parts, changes = app.name, self._parts, self._parts.changes
        with self._noting(request, f"{name}: config vars"):
            changes.config(name, dict(found.config), request, restart=False)
        with self._noting(request, f"{name}: domains"):
            if found.domains is not None:
                hostnames = [Hostname(domain.lower()) for domain in found.domains]
                changes.domains(name, lambda app: parts.domains.set(app, hostnames), "import", request)
        with self._noting(request, f"{name}: scale"):
            counts = parse_scale(f"{kind}={count}" for kind, count in found.scale.items())
            changes.scale(name, counts, request)
        for text in found.ports:
            with self._noting(request, f"{name}: port {text}"):
                maps = parts.ports.with_added(app, [parse(text)])
                changes.ports(name, lambda app, maps=maps: maps, f"Map ports {text}", request)  # type: ignore[misc]
        for text in found.mounts:
            with self._noting(request, f"{name}: mount {text}"):
                mounts = parts.storage.with_added(app, parts.storage.parse(text, request.who))
                changes.mounts(name, lambda app, mounts=mounts: mounts, f"Mount {text}", request)  # type: ignore[misc]
        for option in found.build_options:
            with self._noting(request, f"{name}: a build option"):
                parts.build_settings.add(app, option)
        for phase, options in (("deploy", found.deploy_options), ("run", found.run_options)):
            for option in options:
                with self._noting(request, f"{name}: docker option {shown(option.partition('=')[0])}"):
                    parts.container_options.check(option, request.who, phase)
                    added = parts.container_options.added(app, phase, "", option)
                    changes.properties(name, lambda app, rows=added: rows, f"Add {phase} option", request)  # type: ignore[misc]
        for (noun, key), value in found.properties.items():
            with contextlib.suppress(PaasError):  # most are Dokku's own
                if noun in ("nginx", "proxy"):
                    parts.edge.set_property(name, noun, key, value, request)
                else:
                    changes.property(name, noun, key, value, request)
        if found.certificate is not None:
            with self._noting(request, f"{name}: certificate"):
                chain, key_text = (part.decode("utf-8", "replace") for part in found.certificate)
                certificate = certificates.read(chain, key_text)
                parts.edge.set_certificate(name, lambda app: certificate, request, "certs:add")

    @contextlib.contextmanager
    def _noting(self, request: Request, what: str) -> Iterator[None]:
        try:
            yield
        except PaasError as error:
            request.out.warn(f"{what} not taken over: {error.message}")

    # -- repositories ---------------------------------------------------------------------------------------------

    def _repository(self, host: DokkuHost, found: DokkuApp, app: App, request: Request) -> Source | None:
        """Fetch an app's branches, every object checked; returns what is to be deployed, None when there is nothing."""
        branches = host.branches(found.name) if found.has_repository else {}
        if not branches:
            return None
        parts = self._parts
        copy = parts.paths.scratch / f"dokku-{secrets.token_hex(8)}.git"
        repo = parts.apps.repo(app)
        try:
            repos.init_bare(copy, parts.user)
            _copy_objects(host, found.name, copy, branches, account(parts.user))
            repos.fetch_all(copy, repo, parts.user)
        except PaasError as error:
            request.out.warn(f"{app.name}: repository not taken over: {error.message}")
            return None
        finally:
            remove_tree(copy)
        wanted = [found.branch] if found.branch else ["master", "main"]
        commit = next((branches[branch] for branch in wanted if branch in branches), None)
        return Source(app.name, repo, commit) if commit else None

    def deploy(self, app: App, source: Source, request: Request) -> None:
        self._parts.pipeline.deploy(app, source, "Import from Dokku", request)


def unpack(stream: IO[bytes], directory: Path) -> None:
    """The files of a tar, compressed or not, that lie where Dokku keeps its own. Raises InvalidInput.

    Nothing but plain files and directories is made, so that no path can lead out of `directory`.
    """
    entries = size = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as tar:
            for member in tar:
                entries += 1
                size += member.size
                if entries > _ENTRIES or size > _BYTES:
                    raise InvalidInput("The archive is too large to be a Dokku host's files")
                parts = _wanted(member.name)
                if parts is None:
                    continue
                target = directory.joinpath(*parts)
                if member.islnk() and (first := _wanted(member.linkname)):  # git shares objects so
                    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    os.link(directory.joinpath(*first), target)
                elif member.isreg():
                    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    with target.open("wb") as file:
                        shutil.copyfileobj(tar.extractfile(member), file)  # type: ignore[arg-type]
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise InvalidInput(f"The archive cannot be read: {error}") from None


def _wanted(name: str) -> Sequence[str] | None:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    path = "/".join(parts)
    wanted = path.startswith((f"{HOME}/", f"{LIBRARY}/config/"))
    return parts if wanted and ".." not in parts and "\0" not in path and len(parts) <= _DEEPEST else None


def _copy_objects(host: DokkuHost, name: str, copy: Path, branches: dict[str, str], owner: tuple[int, int]) -> None:
    """Into a bare repository that nobody else uses yet: objects and branches, nothing that git would run."""
    for path, descriptor in host.objects(name):
        target = copy / "objects" / path
        if not target.parent.is_dir():
            target.parent.mkdir(mode=0o700)
            os.chown(target.parent, *owner)
        with os.fdopen(os.dup(descriptor), "rb") as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
            os.fchown(file.fileno(), *owner)
    lines = [f"{commit} refs/heads/{branch}\n" for branch, commit in sorted(branches.items()) if _sane(branch)]
    packed = copy / "packed-refs"
    packed.write_text("".join(lines))
    os.chown(packed, *owner)


def _sane(branch: str) -> bool:
    done = system.run(["git", "check-ref-format", f"refs/heads/{branch}"], check=False)
    return done.status == 0
