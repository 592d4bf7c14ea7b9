"""What speaks against a server, found before anything is changed: data in, findings out."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paas.errors import SystemFailure
from paas.settings import Settings
from paas.setup.host import Host

_KERNEL = (5, 19)
"""Since then overlayfs takes layers through id-mapped mounts."""
_MEMORY = 900 << 20
_DISK_NEEDED, _DISK_WANTED = 2 << 30, 10 << 30
_NO_UPPER = {"overlay", "tmpfs", "ramfs", "nfs", "nfs4", "cifs", "fuse", "vfat", "ecryptfs"}
"""File systems whose directories cannot be the upper layer of an overlay, or forget what they hold."""
_CONTROLLERS = {"memory", "pids", "cpu"}


@dataclass(frozen=True, slots=True)
class Finding:
    """`stop`: setup cannot go on; `warn`: it can, and something will not work."""

    level: Literal["stop", "warn"]
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read of a host."""

    kernel: str
    cgroups: str
    """v2, v1 or hybrid."""
    controllers: frozenset[str]
    memory: int
    """Bytes."""
    disk_free: int
    file_system: str
    python: tuple[int, int]
    has_systemd: bool
    has_apt: bool
    user_namespaces: int
    holders: dict[int, str]
    """Port -> who listens there, for those of ours that others have."""
    forward_drop: bool
    dokku: bool
    firewalls: tuple[str, ...]
    routes: tuple[str, ...]
    """Destinations of the host's routes that are not ours."""


def findings(facts: Facts, settings: Settings) -> Iterator[Finding]:
    if not facts.has_systemd:
        yield Finding("stop", "systemd does not run here", "In a container or without systemd: scripts/demo.")
    if not facts.has_apt:
        yield Finding("stop", "apt-get is missing", "paas is installed on Debian 12, or a system like it.")
    if facts.python < (3, 11):
        version = ".".join(map(str, facts.python))
        yield Finding("stop", f"python3 is {version}; 3.11 is needed", "Debian 12 and Ubuntu 24.04 have it.")
    numbers = re.match(r"(\d+)\.(\d+)", facts.kernel)
    if numbers and (int(numbers[1]), int(numbers[2])) < _KERNEL:
        yield Finding("stop", f"The kernel is {facts.kernel}; 5.19 is needed", "apt-get full-upgrade, then reboot.")
    if facts.user_namespaces == 0:
        yield Finding("stop", "User namespaces are switched off", "sysctl user.max_user_namespaces=15000")
    if missing := sorted(_CONTROLLERS - facts.controllers):
        advice = "Add cgroup_enable=memory to the kernel's command line, then reboot."
        yield Finding("stop", f"The cgroup controllers {', '.join(missing)} are missing", advice)
    if facts.file_system in _NO_UPPER:
        advice = "Mount a disk with ext4, xfs or btrfs there, or set data_dir in /etc/paas/settings.yml."
        yield Finding("stop", f"{settings.data_dir} lies on {facts.file_system}, which cannot hold containers", advice)
    free = facts.disk_free / (1 << 30)
    if facts.disk_free < _DISK_NEEDED:
        yield Finding("stop", f"{free:.1f} GB are free for {settings.data_dir}; 2 are needed", "Make room first.")
    elif facts.disk_free < _DISK_WANTED:
        advice = "Images and builds take room; 10 or more serve better."
        yield Finding("warn", f"{free:.1f} GB are free for {settings.data_dir}", advice)
    if facts.memory < _MEMORY:
        advice = "Add swap, or builds may end for want of memory."
        yield Finding("warn", f"The machine has {facts.memory >> 20} MB of memory", advice)
    yield from _of_ports(facts, settings)
    yield from _of_network(facts, settings)
    if facts.dokku:
        advice = "Its nginx and ours want the same ports; docs/guides/from-dokku.md tells how apps move over."
        yield Finding("warn", "Dokku is installed here", advice)


def _of_ports(facts: Facts, settings: Settings) -> Iterator[Finding]:
    for name in ("http_port", "https_port", "ssh_port"):
        port = getattr(settings, name)
        holder = facts.holders.get(port)
        if holder is None:
            continue
        program = holder.partition(" ")[0]
        service = {"apache2": "apache2", "nginx": "nginx", "sshd": "", "caddy": "caddy", "haproxy": "haproxy"}
        stop = service.get(program, "")
        flag = f"--{name.replace('_', '-')} NUMBER"
        advice = f"systemctl disable --now {stop}, or {flag}" if stop else f"Stop it, or {flag}"
        yield Finding("stop", f"Port {port} is taken by {holder}", advice)


def _of_network(facts: Facts, settings: Settings) -> Iterator[Finding]:
    for setting in ("instance_network", "service_network"):
        ours = ipaddress.IPv4Network(getattr(settings, setting))
        for route in facts.routes:
            theirs = ipaddress.IPv4Network(route, strict=False)
            if theirs.prefixlen > 0 and theirs.overlaps(ours):
                advice = f"Set {setting} in /etc/paas/settings.yml to a network that is free, such as 10.230.0.0/16."
                yield Finding("stop", f"The host has a route to {theirs}, which overlaps our {ours}", advice)
    if facts.forward_drop:
        link = settings.link_prefix
        advice = (
            f"iptables -I DOCKER-USER -i {link}+ -j ACCEPT; iptables -I DOCKER-USER -o {link}+ -j ACCEPT"
            " (FORWARD where there is no DOCKER-USER), at each boot."
        )
        yield Finding(
            "warn", "The firewall drops what is forwarded (Docker sets it so): apps would reach nobody", advice
        )
    for firewall in facts.firewalls:
        ports = f"{settings.http_port}, {settings.https_port} and {settings.ssh_port}"
        opened = f"ufw allow N/tcp; ufw route allow in on {settings.link_prefix}+" if firewall == "ufw" else "open them"
        yield Finding("warn", f"{firewall} is active", f"Ports {ports} have to be open: {opened}")


def read(host: Host, settings: Settings, who_listens: Callable[[int], str | None], *, running: bool) -> Facts:
    """Look at the host. `running`: our own engine runs, so the ports are rightly taken."""
    kernel = Path("/proc/sys/kernel/osrelease").read_text().strip()
    cgroups, controllers = _cgroups(Path("/sys/fs/cgroup"))
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    place = host.path(settings.data_dir)
    while not place.exists():
        place = place.parent
    ports = [] if running else [settings.http_port, settings.https_port, settings.ssh_port]
    return Facts(
        kernel=kernel,
        cgroups=cgroups,
        controllers=controllers,
        memory=int(memory[1]) << 10 if memory else 0,
        disk_free=shutil.disk_usage(place).free,
        file_system=_file_system(place, Path("/proc/self/mountinfo").read_text()),
        python=_python(host),
        has_systemd=host.is_there("/run/systemd/system"),
        has_apt=host.is_there("/usr/bin/apt-get"),
        user_namespaces=int(Path("/proc/sys/user/max_user_namespaces").read_text()),
        holders={port: holder for port in ports if (holder := who_listens(port))},
        forward_drop=_forward_drop(host),
        dokku=host.is_there("/usr/bin/dokku") or host.is_there("/home/dokku"),
        firewalls=tuple(
            name
            for name in ("ufw", "firewalld")
            if host.is_there(f"/usr/sbin/{name}") and _says(host, ["systemctl", "is-active", name]) == "active"
        ),
        routes=() if running else _routes(host, settings),
    )


def _cgroups(root: Path) -> tuple[str, frozenset[str]]:
    if (root / "cgroup.controllers").exists():
        return "v2", frozenset((root / "cgroup.controllers").read_text().split())
    found = frozenset(name for entry in root.iterdir() for name in entry.name.split(","))
    return ("hybrid" if (root / "unified").is_dir() else "v1"), found


def _file_system(place: Path, mountinfo: str) -> str:
    """The type of the mount that holds a directory; the last of those at the longest path above it."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        words = line.split()
        point = words[4].replace("\\040", " ")
        inside = point == "/" or place == Path(point) or Path(point) in place.parents
        if inside and len(point) >= len(best):
            best, kind = point, words[words.index("-") + 1]
    return kind


def _python(host: Host) -> tuple[int, int]:
    said = _says(host, ["/usr/bin/python3", "-c", "import sys; print(*sys.version_info[:2])"]).split()
    return (int(said[0]), int(said[1])) if len(said) == 2 else (0, 0)


def _forward_drop(host: Host) -> bool:
    return "-P FORWARD DROP" in _says(host, ["iptables", "-S", "FORWARD"])


def _routes(host: Host, settings: Settings) -> tuple[str, ...]:
    try:
        routes = json.loads(_says(host, ["ip", "-json", "-4", "route"]) or "[]")
    except ValueError:
        return ()
    return tuple(
        route["dst"]
        for route in routes
        if route["dst"] not in ("default", settings.service_network)
        and not str(route.get("dev", "")).startswith(settings.link_prefix)
    )


def _says(host: Host, argv: Sequence[str]) -> str:
    """What a tool prints; '' when it fails or is not there."""
    try:
        done = host.run(argv, check=False)
    except SystemFailure:
        return ""
    return done.text.strip() if done.status == 0 else ""
