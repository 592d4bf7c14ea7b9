"""User namespaces, and network namespaces that belong to them: made by a short-lived process, kept by pins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paas.errors import SystemFailure
from paas.runtime.holder import unshared
from paas.system import mounts

SIZE = 65536
"""Ids in a container's range."""


def make_container_namespaces(base: int, user: Path, net: Path) -> None:
    """Pin a user namespace that maps 0..65535 to `base`.. and a network namespace owned by it."""
    _make(("--user", "--net"), f"0 {base} {SIZE}\n", [("user", user), ("net", net)])


def make_idmap_namespace(base: int, pin: Path) -> None:
    """Pin a user namespace for id-mapped mounts of a writable layer.

    Besides the container's range it maps the host's root (to 65536): overlayfs makes its work directory as that user,
    and an id the map does not know would silently make the mount read-only.
    """
    _make(("--user",), f"0 {base} {SIZE}\n{SIZE} 0 1\n", [("user", pin)])


def _make(options: Sequence[str], id_map: str, pins: Sequence[tuple[str, Path]]) -> None:
    with unshared(options) as pid:
        try:
            for kind in ("uid_map", "gid_map"):
                Path(f"/proc/{pid}/{kind}").write_text(id_map)
            for kind, pin in pins:
                pin.touch()
                mounts.bind(Path(f"/proc/{pid}/ns/{kind}"), pin)
        except OSError as error:
            raise SystemFailure(f"No user namespace can be made: {error.strerror}") from error
