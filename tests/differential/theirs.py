"""The peer: Debian's buildah, which builds for Docker's image format. Its store is read as it lies on disk."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paas.system import mounts
from tests.differential.case import Case
from tests.differential.seen import FAILED, config_of, files_of
from tests.harness.peers import Peers

_BUD = ("buildah", "bud", "--format", "docker", "--isolation", "chroot", "--pull-never", "--identity-label=false")

_ENV = {"GOGC": "off"}
"""It ends before its garbage would matter; this saves a quarter of its time."""
_UNSET_ROOT = "dir 0555 0:0"
"""What its store makes of a root directory that no layer has an entry for."""


class Theirs:
    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def load(self, archive: Path) -> None:
        """Take an image from a docker-archive, under the name it has there."""
        self._peers.run("podman", "load", "--quiet", "--input", str(archive))

    def build(self, case: Case) -> dict[str, str]:
        """The config and the files of what comes out, or the field FAILED."""
        context, id_file = self._peers.top / "context", self._peers.top / "id"
        for dockerfile, tag in case.builds:
            case.write(context, dockerfile)
            argv = [*_BUD, "--iidfile", str(id_file), *(["--tag", tag] if tag else [])]
            argv += ["--target", case.target] if case.target else []
            for name, value in case.arguments.items():
                argv += ["--build-arg", name if value is None else f"{name}={value}"]
            done = self._peers.run(*argv, str(context), env=_ENV, check=False)
            if done.status != 0:
                return {FAILED: done.error[-600:]}
        return self._seen(id_file.read_text().removeprefix("sha256:"))

    def _seen(self, id: str) -> dict[str, str]:
        store = self._peers.store
        layer = next(image["layer"] for image in _rows(store / "overlay-images/images.json") if image["id"] == id)
        parents = {row["id"]: row.get("parent", "") for row in _rows(store / "overlay-layers/layers.json")}
        directories = []
        while layer:
            directories.append(store / "overlay" / layer / "diff")
            layer = parents[layer]
        # containers/storage: a name that is no plain word is kept as `=` and its base64.
        name = "=" + base64.b64encode(f"sha256:{id}".encode()).decode()
        document: Mapping[str, Any] = json.loads((store / "overlay-images" / id / name).read_bytes())
        files = self._files(directories)
        if files["/"] == _UNSET_ROOT:
            files["/"] = "dir 0755 0:0"
        return {**config_of(document), **files}

    def _files(self, directories: list[Path]) -> dict[str, str]:
        """`directories` are overlayfs layers, top first."""
        if len(directories) == 1:
            return files_of(directories[0])
        target = self._peers.top / "seen"
        target.mkdir(exist_ok=True)
        lower = ":".join(map(str, directories))
        mounts.mount("overlay", target, "overlay", mounts.MS_RDONLY, f"lowerdir={lower}")
        try:
            return files_of(target)
        finally:
            mounts.unmount(target)


def _rows(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_bytes())
    return found
