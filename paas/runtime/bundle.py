"""A container's bundle on disk: mounted root, files bind-mounted into it, config.json."""

from __future__ import annotations

import contextlib
import json
import os
import resource
from dataclasses import replace
from pathlib import Path

from paas.errors import InvalidInput
from paas.image.passwd import resolve_user
from paas.names import shown
from paas.runtime import oci, rootfs
from paas.runtime.sandbox import Sandbox
from paas.runtime.seccomp import CompiledProfile
from paas.runtime.spec import ContainerSpec
from paas.system import mounts
from paas.system.files import ensure_directory, remove_tree, write_private
from paas.system.inroot import make_directories, open_in_root

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
        volatile: bool = False,
    ) -> list[str]:
        """Mount the root and write config.json; returns the paths of files made only to be mounted over.

        On an error, call `remove`. Raises InvalidInput for a bad user or working directory.
        """
        ensure_directory(self.directory, mode=0o711)
        ensure_directory(self.root)
        rootfs.mount_mapped(self.root, self.directory, layers, spec.layers, data, sandbox, volatile=volatile)
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            user = resolve_user(root, spec.user)
            self._make_cwd(root, spec.cwd)
            files = {**self._host_files(spec, sandbox), **self._volumes(spec, sandbox)}
            made = [path for path, source in files.items() if _make_target(root, path, directory=source.is_dir())]
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
            read_only=frozenset(m.target for m in spec.mounts if m.read_only),
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

    def remove(self) -> None:
        """Unmount and remove; harmless when there is nothing."""
        if self.directory.exists():
            mounts.unmount_below(self.directory)
            remove_tree(self.directory)

    def _make_cwd(self, root: int, cwd: str) -> None:
        """As Docker does, a working directory that is missing is made."""
        try:
            os.close(make_directories(root, cwd))
        except OSError as error:
            raise InvalidInput(f"The working directory {shown(cwd)} cannot be used: {error.strerror}") from None

    def _host_files(self, spec: ContainerSpec, sandbox: Sandbox) -> dict[str, Path]:
        texts = {
            "/etc/hostname": f"{spec.hostname}\n",
            "/etc/hosts": f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n{sandbox.address}\t{spec.hostname}\n",
            "/etc/resolv.conf": spec.resolv_conf,
        }
        found = {}
        for target, text in texts.items():
            file = self.directory / target.rpartition("/")[2]
            file.write_text(text)
            found[target] = file
        return found

    def _volumes(self, spec: ContainerSpec, sandbox: Sandbox) -> dict[str, Path]:
        """Id-mapped mounts of the volumes: what the container writes keeps its real owners on disk."""
        found: dict[str, Path] = {}
        if not spec.mounts:
            return found
        user = os.open(sandbox.userns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for number, mount in enumerate(spec.mounts):
                if not mount.source.is_dir():
                    raise InvalidInput(f"{mount.source} is to be mounted and is no directory on this host")
                place = ensure_directory(self.directory / f"volume{number}")
                mounts.idmapped(mount.source, place, user)
                found[mount.target] = place
        finally:
            os.close(user)
        return found


def _make_target(root: int, target: str, *, directory: bool) -> bool:
    """Make what is mounted over, unless the image has it; inside the root, whatever symlinks stand on the way."""
    try:
        if directory:
            os.close(make_directories(root, target))
            return False
        try:
            os.close(open_in_root(root, target, os.O_PATH))
            return False
        except FileNotFoundError:
            pass
        parent, _, name = target.rpartition("/")
        above = make_directories(root, parent or "/")
        try:
            with contextlib.suppress(FileNotFoundError):  # a link to nowhere, as systemd's /etc/resolv.conf: it yields
                os.unlink(name, dir_fd=above)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=above))
        finally:
            os.close(above)
        return True
    except OSError as error:
        raise InvalidInput(f"{shown(target)} of the image cannot be mounted over: {error.strerror}") from None
