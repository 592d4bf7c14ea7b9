"""What a report about a machine and its engine says. No names of apps, hostnames or users, no values of config vars."""

from __future__ import annotations

import dataclasses
import os
import platform
import resource
import sys
from pathlib import Path

import paas
from paas.errors import SystemFailure
from paas.settings import Settings
from paas.state.database import Database
from paas.system import run as system
from paas.system.disk import left_on
from paas.system.lasterrors import LAST_ERRORS

Value = str | int | bool | None
Section = dict[str, Value]

_TOOLS = {
    "crun": ("crun", "--version"),
    "conmon": ("conmon", "--version"),
    "nginx": ("/usr/sbin/nginx", "-v"),
    "git": ("git", "--version"),
    "nft": ("nft", "--version"),
    "mmdebstrap": ("mmdebstrap", "--version"),
    "systemd": ("systemctl", "--version"),
}
_COUNTED = {
    "apps": "SELECT count(*) FROM apps",
    "apps-deployed": "SELECT count(*) FROM apps WHERE release IS NOT NULL",
    "apps-stopped": "SELECT count(*) FROM apps WHERE stopped",
    "releases": "SELECT count(*) FROM releases",
    "instances-running": "SELECT count(*) FROM instances WHERE state = 'running'",
    "instances-other": "SELECT count(*) FROM instances WHERE state <> 'running'",
    "containers": "SELECT count(*) FROM containers",
    "images": "SELECT count(*) FROM images",
    "layers": "SELECT count(*) FROM layers",
    "layers-bytes": "SELECT coalesce(sum(size), 0) FROM layers",
    "builds": "SELECT count(*) FROM builds",
    "domains": "SELECT count(*) FROM domains",
    "users": "SELECT count(DISTINCT name) FROM ssh_keys",
    "events": "SELECT count(*) FROM events",
    "networks": "SELECT count(*) FROM networks",
}


def versions() -> Section:
    """Of the program and of what it runs; '' for a tool that is not there."""
    found: Section = {"paas": paas.__version__, "python": platform.python_version(), "installed-in": sys.prefix}
    for name, argv in _TOOLS.items():
        try:
            done = system.run(argv, check=False, timeout=10)
            found[name] = ((done.text or done.error).strip().splitlines() or [""])[0][:100]
        except SystemFailure:
            found[name] = ""
    return found


def machine(cgroups: str, data: Path) -> Section:
    """The host: kernel, memory, disk."""
    release = _pairs(Path("/etc/os-release"), "=")
    memory = _pairs(Path("/proc/meminfo"), ":")
    disk = left_on(data)
    return {
        "system": release.get("PRETTY_NAME", "").strip('"'),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cgroups": cgroups,
        "under-systemd": bool(os.environ.get("NOTIFY_SOCKET")),
        "cpus": os.cpu_count(),
        "load": Path("/proc/loadavg").read_text().rsplit(" ", 2)[0],
        "memory-total": memory.get("MemTotal", ""),
        "memory-available": memory.get("MemAvailable", ""),
        "swap-free": memory.get("SwapFree", ""),
        "data-file-system": _file_system(data),
        "data-bytes-total": disk.total,
        "data-bytes-free": disk.bytes,
        "data-bytes-spared-by-builds": disk.spare,
        "data-bytes-spared-by-apps": disk.critical,
        "data-inodes-free": disk.inodes,
        "data-inodes-spared-by-builds": disk.spare_inodes,
        "data-inodes-spared-by-apps": disk.critical_inodes,
    }


def limits() -> Section:
    """Of the engine's process, and what of them is used."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    status = _pairs(Path("/proc/self/status"), ":")
    return {
        "open-files-soft": soft,
        "open-files-hard": hard,
        "open-files-now": len(list(Path("/proc/self/fd").iterdir())),
        "threads-now": int(status.get("Threads", "0")),
        "memory-now": status.get("VmRSS", ""),
        "memory-peak": status.get("VmHWM", ""),
        "oom-score-adj": int(Path("/proc/self/oom_score_adj").read_text()),
        **{name: _number(Path("/proc/sys", name.replace(".", "/"))) for name in _KERNEL},
        "connections-tracked": _number(Path("/proc/sys/net/netfilter/nf_conntrack_count")),
        "mounts": len(Path("/proc/self/mounts").read_text().splitlines()),
    }


_KERNEL = (
    "net.ipv4.ip_forward",
    "net.ipv4.tcp_tw_reuse",
    "net.netfilter.nf_conntrack_max",
    "net.ipv4.neigh.default.gc_thresh3",
    "kernel.pid_max",
    "user.max_user_namespaces",
    "user.max_net_namespaces",
    "fs.file-max",
)


def settings_of(settings: Settings) -> Section:
    """All of them; those that are as they come are left out. None of them is a secret."""
    return {
        item.name: _plain(getattr(settings, item.name))
        for item in dataclasses.fields(settings)
        if getattr(settings, item.name) != item.default
    }


def counts(db: Database) -> Section:
    found: Section = {}
    for name, query in _COUNTED.items():
        row = db.one(query)
        found[name] = int(row[0]) if row is not None else 0
    version = db.one("PRAGMA user_version")
    found["schema"] = int(version[0]) if version is not None else 0
    return found


def errors() -> list[dict[str, str]]:
    """Those the engine has logged since it started, the newest last."""
    return [dataclasses.asdict(error) for error in LAST_ERRORS.listing()]


def _pairs(file: Path, mark: str) -> dict[str, str]:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(mark) for line in lines)}


def _file_system(place: Path) -> str:
    done = system.run(["stat", "--file-system", "--format=%T", str(place)], check=False)
    return done.text.strip()


def _number(file: Path) -> Value:
    """None where this kernel has no such thing."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else text


def _plain(value: object) -> Value:
    return value if isinstance(value, bool | int) else str(value)
