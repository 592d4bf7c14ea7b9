"""A container's bundle on disk: mounted root, files bind-mounted into it, config.json."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from paas.errors import InvalidInput
from paas.image.passwd import resolve_user
from paas.model import Mount
from paas.names import shown
from paas.runtime import extras, oci, rootfs
from paas.runtime.sandbox import Sandbox
from paas.runtime.seccomp import CompiledProfile
from paas.runtime.spec import ContainerSpec
from paas.system import mounts
from paas.system.files import ensure_directory, remove_tree, write_private
from paas.system.inroot import make_directories, open_in_root, open_source

_INIT = Path("/usr/bin/catatonit")
_OPEN_FILES = 1 << 20


class Bundle:
    """The directory of one bundle. It lives below the run directory and is made anew after a restart of the machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def root(self) -> Path:
        return self.directory / "merged"

    def make(
        self,
        spec: ContainerSpec,
        sandbox: Sandbox,
        layers: Path,
        data: Path,
        cgroup: str,
        profile: CompiledProfile,
        *,
        kept: Path,
        volatile: bool = False,
    ) -> list[str]:
        """Mount the root and write config.json; returns the paths made only to be mounted over.

        Below `kept` lies what containers may have written: symlinks there lead no volume's source elsewhere.
        On an error, call `remove`. Raises InvalidInput for a bad user or working directory.
        """
        ensure_directory(self.directory, mode=0o711)
        ensure_directory(self.root)
        rootfs.mount_mapped(self.root, self.directory, layers, spec.layers, data, sandbox, volatile=volatile)
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            user = resolve_user(root, spec.user)
            self._make_cwd(root, spec.cwd, sandbox.uid_base)
            parts = extras.prepare(self.directory, spec, layers, sandbox)
            files = {
                **self._host_files(spec, sandbox),
                **self._volumes(spec, sandbox, kept),
                **parts,
                **spec.host_files,
            }
            targets = {target: source.is_dir() for target, source in files.items()}
            targets |= {mount.target: True for mount in spec.memory_mounts}
            owner = sandbox.uid_base
            made = [path for target in targets.items() for path in _make_target(root, *target, owner)]
        finally:
            os.close(root)
        placement = oci.Placement(
            root=self.root,
            userns=sandbox.userns,
            netns=sandbox.netns,
            cgroup=cgroup,
            uid=user.uid,
            gid=user.gid,
            groups=user.groups,
            files=files,
            read_only=_read_only(spec),
            init=_INIT,
            open_files=min(_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        )
        complete = replace(spec, env={"HOME": user.home, **spec.env, **({"TERM": "xterm"} if spec.terminal else {})})
        config = oci.config(complete, placement, *profile.sections())
        write_private(self.directory / "config.json", json.dumps(config))
        return made

    def config(self) -> dict[str, object]:
        value: dict[str, object] = json.loads((self.directory / "config.json").read_text())
        return value

    def resources(self) -> dict[str, Any]:
        """`linux.resources` of the config."""
        value: dict[str, Any] = json.loads((self.directory / "config.json").read_text())["linux"]["resources"]
        return value

    def remove(self) -> None:
        """Unmount and remove; harmless when there is nothing."""
        if self.directory.exists():
            mounts.unmount_below(self.directory)
            remove_tree(self.directory)

    def _make_cwd(self, root: int, cwd: str, owner: int) -> None:
        """As Docker does, a working directory that is missing is made."""
        try:
            os.close(make_directories(root, cwd, owner=owner))
        except OSError as error:
            raise InvalidInput(f"The working directory {shown(cwd)} cannot be used: {error.strerror}") from None

    def _host_files(self, spec: ContainerSpec, sandbox: Sandbox) -> dict[str, Path]:
        hosts = [("localhost", "127.0.0.1"), ("localhost ip6-localhost", "::1"), (spec.hostname, str(sandbox.address))]
        lines = "".join(f"{address}\t{name}\n" for name, address in (*hosts, *spec.hosts))
        texts = {
            "/etc/hostname": f"{spec.hostname}\n",
            "/etc/hosts": lines,
            "/etc/resolv.conf": spec.resolv_conf,
        }
        found = {}
        for target, text in texts.items():
            file = self.directory / target.rpartition("/")[2]
            file.write_text(text)
            found[target] = file
        (self.directory / "hosts.own").write_text(lines)
        return found

    def set_names(self, names: Sequence[tuple[str, str]]) -> bool:
        """More lines of /etc/hosts, (name, address), in place of those set before: seen at once inside.

        False: there is no container, or not yet.
        """
        try:
            text = (self.directory / "hosts.own").read_text()
            text += "".join(f"{address}\t{name}\n" for name, address in names)
            with (self.directory / "hosts").open("r+b") as file:  # the file itself is mounted in the container
                file.write(text.encode())
                file.truncate()
        except FileNotFoundError:
            return False
        return True

    def _volumes(self, spec: ContainerSpec, sandbox: Sandbox, kept: Path) -> dict[str, Path]:
        """Id-mapped mounts of the volumes: what the container writes keeps its real owners on disk."""
        found: dict[str, Path] = {}
        if not spec.mounts:
            return found
        user = os.open(sandbox.userns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for number, mount in enumerate(spec.mounts):
                source = _source(mount, kept)
                try:
                    place = self.directory / f"volume{number}"
                    if stat.S_ISDIR(os.fstat(source).st_mode):
                        ensure_directory(place)
                    else:
                        place.touch()
                    mounts.idmapped(Path(f"/proc/self/fd/{source}"), place, user)
                finally:
                    os.close(source)
                found[mount.target] = place
        finally:
            os.close(user)
        return found


def _source(mount: Mount, kept: Path) -> int:
    """A descriptor of what is to be mounted. Symlinks that containers made below the source lead nowhere else."""
    try:
        if mount.source.is_relative_to(kept):
            return open_source(mount.source / mount.subpath, kept=kept)
        top = open_source(mount.source, kept=kept)
        if not mount.subpath:
            return top
        try:
            return open_in_root(top, mount.subpath, os.O_PATH)
        finally:
            os.close(top)
    except OSError:
        where = mount.source / mount.subpath
        raise InvalidInput(f"{where} is to be mounted and is no directory on this host") from None


def _read_only(spec: ContainerSpec) -> frozenset[str]:
    return frozenset(
        [
            *(mount.target for mount in spec.mounts if mount.read_only),
            *(mount.target for mount in spec.layers_mounts if not mount.writable),
            *(secret.target for secret in spec.secret_files),
            *spec.host_files,
        ]
    )


def _make_target(root: int, target: str, directory: bool, owner: int) -> list[str]:
    """Make what is mounted over, unless the image has it; inside the root, whatever symlinks stand on the way.

    It belongs to `owner`, the container's root as the host knows it. Returns the paths of all that was made.
    """
    if target.startswith("/dev/"):
        return []  # lies on a file system of the container's own, where the OCI runtime makes it
    try:
        missing = _missing(root, target)
        if not missing:
            return []
        if directory:
            os.close(make_directories(root, target, owner=owner))
            return missing
        parent, _, name = target.rpartition("/")
        above = make_directories(root, parent or "/", owner=owner)
        try:
            with contextlib.suppress(FileNotFoundError):  # a link to nowhere, as systemd's /etc/resolv.conf: it yields
                os.unlink(name, dir_fd=above)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=above))
            os.chown(name, owner, owner, dir_fd=above, follow_symlinks=False)
        finally:
            os.close(above)
        return missing
    except OSError as error:
        raise InvalidInput(f"{shown(target)} of the image cannot be mounted over: {error.strerror}") from None


def _missing(root: int, path: str) -> list[str]:
    """A path and those above it, as far as they do not exist."""
    found: list[str] = []
    while path.rstrip("/"):
        try:
            os.close(open_in_root(root, path, os.O_PATH))
            break
        except FileNotFoundError:
            found.append(path)
        path = path.rstrip("/").rpartition("/")[0]
    return found
