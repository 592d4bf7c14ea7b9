"""What a build step mounts besides its root: parts of other layers, memory, secrets. Prepared beside the bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from paas.errors import InvalidInput
from paas.names import shown
from paas.runtime import rootfs
from paas.runtime.sandbox import Sandbox
from paas.runtime.spec import ContainerSpec, LayersMount, SecretFile
from paas.system import mounts
from paas.system.files import ensure_directory
from paas.system.inroot import open_in_root


def prepare(directory: Path, spec: ContainerSpec, layers: Path, sandbox: Sandbox) -> dict[str, Path]:
    """Path in the container -> path on the host, for all of them that are bind-mounted. Raises InvalidInput."""
    found: dict[str, Path] = {}
    for number, mount in enumerate(spec.layers_mounts):
        found[mount.target] = _of_layers(directory / f"from{number}", mount, layers, sandbox)
    if spec.secret_files:
        place = ensure_directory(directory / "secrets", mode=0o711)
        mounts.mount("tmpfs", place, "tmpfs", mounts.MS_NODEV, "mode=711,size=16m")
        for number, secret in enumerate(spec.secret_files):
            found[secret.target] = _secret(place / str(number), secret, sandbox)
    return found


def memory_mounts(spec: ContainerSpec) -> list[dict[str, Any]]:
    """The tmpfs entries of config.json's `mounts`."""
    return [
        {
            "destination": mount.target,
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "nodev", "mode=1777", *([f"size={mount.size}"] if mount.size else [])],
        }
        for mount in spec.memory_mounts
    ]


def _of_layers(directory: Path, mount: LayersMount, layers: Path, sandbox: Sandbox) -> Path:
    root, scratch, data = directory / "merged", directory / "scratch", directory / "data"
    for path in (directory, root, scratch):
        ensure_directory(path, mode=0o711)
    if mount.writable:
        ensure_directory(data, mode=0o711)
        for name in ("upper", "work"):
            ensure_directory(data / name)
    rootfs.mount_mapped(
        root, scratch, layers, mount.layers, data if mount.writable else None, sandbox, volatile=mount.writable
    )
    opened = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = open_in_root(opened, mount.source or ".", os.O_PATH)
    except OSError:
        raise InvalidInput(f"{shown(mount.source)} is not there to be mounted") from None
    finally:
        os.close(opened)
    try:
        return Path(f"/proc/self/fd/{found}").readlink()  # symlinks were followed inside the root only
    finally:
        os.close(found)


def _secret(path: Path, secret: SecretFile, sandbox: Sandbox) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(secret.data)
        os.fchown(descriptor, sandbox.uid_base + secret.uid, sandbox.uid_base + secret.gid)
        os.fchmod(descriptor, secret.mode)
    finally:
        os.close(descriptor)
    return path
