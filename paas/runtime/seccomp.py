"""The seccomp profile of containers: Docker's default, as Debian ships it, resolved for our capabilities.

The file's form is that of containers/common (`pkg/seccomp/types.go`); the result is the OCI runtime specification's
`linux.seccomp` (config-linux.md).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paas.errors import SystemFailure
from paas.system.files import write_atomic
from paas.system.mounts import architecture

PROFILE = Path("/usr/share/containers/seccomp.json")
_ARCHITECTURES = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64", "arm": "SCMP_ARCH_ARM"}


_ADMINISTRATION = frozenset(
    {
        "clone",
        "clone3",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "keyctl",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "pivot_root",
        "setns",
        "syslog",
        "umount",
        "umount2",
        "unshare",
    }
)
"""Debian ships Podman's profile, which allows these to all. Docker's asks for CAP_SYS_ADMIN, and so do we."""
_NEW_NAMESPACES = 0x7E020000
_CLONE: list[dict[str, Any]] = [
    {
        "names": ["clone"],
        "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": _NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
    },
    # Its flags lie in memory, where no filter can look; libraries fall back to clone when it does not exist.
    {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
]
_REFUSE_ALL = {"defaultAction": "SCMP_ACT_ERRNO"}


class CompiledProfile:
    """The profile as a BPF program, so that crun need not compile it for every container (16 ms of its 35).

    crun leaves the program it compiled beside its state; the first container's is kept and handed to later ones by
    the annotation `run.oci.seccomp_bpf_data`. A crun that does not know it applies the section, which refuses all.
    """

    def __init__(self, run: Path, capabilities: tuple[str, ...]) -> None:
        self._capabilities = capabilities
        self._run = run
        self._program: str | None = None

    def sections(self) -> tuple[dict[str, Any], dict[str, str]]:
        """(`linux.seccomp`, `annotations`) for a config.json."""
        if self._program is None and self._file.exists():
            self._program = base64.b64encode(self._file.read_bytes()).decode()
        if self._program is None:
            return profile(self._capabilities), {}
        return _REFUSE_ALL, {"run.oci.seccomp_bpf_data": self._program}

    def keep(self, program: Path) -> None:
        """Keep what crun compiled, unless that is done already."""
        if self._program is None and program.exists():
            write_atomic(self._file, program.read_bytes(), mode=0o600)

    @functools.cached_property
    def _file(self) -> Path:
        text = json.dumps(profile(self._capabilities), sort_keys=True)
        return self._run / f"seccomp-{hashlib.sha256(text.encode()).hexdigest()[:16]}.bpf"


@functools.cache
def profile(capabilities: tuple[str, ...]) -> dict[str, Any]:
    """`linux.seccomp` for processes that may have these capabilities. Raises SystemFailure when the file is missing."""
    try:
        source = json.loads(PROFILE.read_text())
    except (OSError, ValueError) as error:
        raise SystemFailure(
            f"The seccomp profile {PROFILE} cannot be read: {error}",
            hint="apt-get install golang-github-containers-common",
        ) from None
    return resolve(source, capabilities, architecture())


def resolve(source: Mapping[str, Any], capabilities: Sequence[str], arch: str) -> dict[str, Any]:
    """Keep the rules whose conditions hold. Pure."""
    native = _ARCHITECTURES.get(arch)
    groups = [entry for entry in source.get("archMap") or () if entry["architecture"] == native]
    architectures = [native, *(groups[0].get("subArchitectures") or ())] if groups else []
    tighter = "CAP_SYS_ADMIN" not in capabilities
    rules: list[dict[str, Any]] = []
    for rule in source["syscalls"]:
        if not _applies(rule, capabilities, arch):
            continue
        names = rule["names"]
        if tighter and rule["action"] == "SCMP_ACT_ALLOW":
            names = [name for name in names if name not in _ADMINISTRATION]
        kept = {"names": names, "action": rule["action"]}
        if rule.get("args"):
            kept["args"] = [
                {key: value for key, value in arg.items() if value != 0 or key in ("index", "value")}
                for arg in rule["args"]
            ]
        if rule.get("errnoRet") is not None and rule["action"] == "SCMP_ACT_ERRNO":
            kept["errnoRet"] = rule["errnoRet"]
        if names:
            rules.append(kept)
    if tighter:
        rules += _CLONE
    result: dict[str, Any] = {"defaultAction": source["defaultAction"], "syscalls": rules}
    if source.get("defaultErrnoRet") is not None:
        result["defaultErrnoRet"] = source["defaultErrnoRet"]
    if architectures:
        result["architectures"] = architectures
    return result


def _applies(rule: Mapping[str, Any], capabilities: Sequence[str], arch: str) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if arch in (excludes.get("arches") or ()) or any(cap in capabilities for cap in excludes.get("caps") or ()):
        return False
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    return all(cap in capabilities for cap in includes.get("caps") or ())
