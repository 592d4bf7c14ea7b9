"""ContainerSpec -> the OCI runtime specification's config.json. Pure, but for the seccomp profile it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paas.image.passwd import User
from paas.runtime.extras import memory_mounts
from paas.runtime.spec import ContainerSpec

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
"""Docker's default set; it counts only inside the container's user namespace."""

_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/dev/block",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    "/sys/fs/selinux",
]
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
INIT = "/dev/init"
_CPU_PERIOD = 100_000


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the parts of a container lie on the host, and who it runs as."""

    root: Path
    userns: Path
    netns: Path
    cgroup: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    files: Mapping[str, Path]
    """Files and directories bind-mounted: path in the container -> path on the host."""
    read_only: frozenset[str]
    """Those of `files` that are mounted read-only."""
    init: Path
    open_files: int
    """Limit of open files, soft and hard."""


def config(
    spec: ContainerSpec, place: Placement, seccomp: Mapping[str, Any], annotations: Mapping[str, str]
) -> dict[str, Any]:
    """The bundle's config.json."""
    arguments = [INIT, "--", *spec.args] if spec.init else list(spec.args)
    return {
        "ociVersion": "1.0.2",
        "process": process(spec, place.uid, place.gid, place.groups, arguments) | {"rlimits": _rlimits(spec, place)},
        "root": {"path": str(place.root), "readonly": spec.read_only},
        "hostname": spec.hostname,
        "annotations": dict(annotations),
        "mounts": [*_filesystems(spec.shm_size), *memory_mounts(spec), *_binds(spec, place)],
        "linux": {
            "namespaces": [
                {"type": "user", "path": str(place.userns)},
                {"type": "network"} | ({"path": str(place.netns)} if spec.network == "own" else {}),
                *({"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")),
            ],
            "cgroupsPath": f"/{place.cgroup}",
            "resources": _resources(spec),
            "sysctl": {"net.ipv4.ping_group_range": "0 65535", "net.ipv4.ip_unprivileged_port_start": "0"},
            "seccomp": dict(seccomp),
            "maskedPaths": _MASKED,
            "readonlyPaths": _READ_ONLY,
        },
    }


def process(spec: ContainerSpec, uid: int, gid: int, groups: Sequence[int], arguments: Sequence[str]) -> dict[str, Any]:
    """The `process` object. A process that is not root starts without capabilities, as in Docker."""
    bounding = list(CAPABILITIES if spec.capabilities is None else spec.capabilities)
    held = bounding if uid == 0 else []
    return {
        "terminal": spec.terminal,
        "user": {"uid": uid, "gid": gid, "additionalGids": list(groups)},
        "args": list(arguments),
        "env": [f"{key}={value}" for key, value in spec.env.items()],
        "cwd": spec.cwd,
        "noNewPrivileges": spec.no_new_privileges,
        "capabilities": {"bounding": bounding, "effective": held, "permitted": held},
    }


def run_as(process: Mapping[str, Any], user: User) -> dict[str, Any]:
    """What changes of a `process` object when it is to be another user's."""
    bounding = process["capabilities"]["bounding"]
    held = bounding if user.uid == 0 else []
    env = [entry for entry in process["env"] if not entry.startswith("HOME=")]
    return {
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "capabilities": {"bounding": bounding, "effective": held, "permitted": held},
        "env": [*env, f"HOME={user.home}"],
    }


def _rlimits(spec: ContainerSpec, place: Placement) -> list[dict[str, Any]]:
    found = {"RLIMIT_NOFILE": (place.open_files, place.open_files)}
    found |= {limit.type: (limit.soft, limit.hard) for limit in spec.ulimits}
    return [{"type": kind, "soft": soft, "hard": hard} for kind, (soft, hard) in found.items()]


def _filesystems(shm_size: int) -> list[dict[str, Any]]:
    def mount(target: str, kind: str, options: str) -> dict[str, Any]:
        return {"destination": target, "type": kind, "source": kind, "options": options.split(",")}

    return [
        mount("/proc", "proc", "nosuid,noexec,nodev"),
        mount("/dev", "tmpfs", "nosuid,noexec,strictatime,mode=755,size=65536k"),
        mount("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        mount("/dev/shm", "tmpfs", f"nosuid,noexec,nodev,mode=1777,size={shm_size}"),
        mount("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
        mount("/sys", "sysfs", "nosuid,noexec,nodev,ro"),
    ]


def _binds(spec: ContainerSpec, place: Placement) -> list[dict[str, Any]]:
    binds = [
        {
            "destination": target,
            "type": "bind",
            "source": str(source),
            "options": ["rbind", "rprivate", "nosuid", "nodev", "ro" if target in place.read_only else "rw"],
        }
        for target, source in place.files.items()
    ]
    if spec.init:
        options = ["bind", "ro", "nosuid", "nodev"]
        binds.append({"destination": INIT, "type": "bind", "source": str(place.init), "options": options})
    return binds


def _resources(spec: ContainerSpec) -> dict[str, Any]:
    resources: dict[str, Any] = {"devices": [{"allow": False, "access": "rwm"}]}
    may = spec.allowance
    memory = {"limit": may.memory, "swap": may.memory_swap, "reservation": may.memory_reservation}
    cpu: dict[str, int | None] = {"shares": may.cpu_shares}
    if may.cpus is not None:
        cpu |= {"quota": round(may.cpus * _CPU_PERIOD), "period": _CPU_PERIOD}
    for name, values in (("memory", memory), ("cpu", cpu), ("pids", {"limit": spec.pids})):
        if given := {key: value for key, value in values.items() if value is not None}:
            resources[name] = given
    return resources
