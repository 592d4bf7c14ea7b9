"""The steps of `paas setup`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paas.errors import SystemFailure
from paas.settings import Settings
from paas.setup.health import wait_until_it_answers
from paas.setup.host import COMMAND, CURRENT, MODULES, OPT, SETTINGS, SYSCTL, UNIT, Host
from paas.setup.steps import Step
from paas.setup.unit import SYSCTL_TEXT, UNIT_TEXT
from paas.setup.versions import Source, Versions
from paas.system.files import ensure_directory

PACKAGES = (
    *("nginx-light", "crun", "conmon", "catatonit", "nftables", "libnftables1", "git", "mmdebstrap"),
    *("golang-github-containers-common", "openssh-client", "util-linux", "iproute2", "kmod", "procps", "python3"),
    *("python3-venv", "ca-certificates", "curl", "nano"),
)
_POLICY = "/usr/sbin/policy-rc.d"
_MARK = "# paas setup: Debian's own nginx must not start on port 80\n"
_MODULES = ("overlay", "veth", "nf_tables", "nf_conntrack")
_PACKAGES_WITHIN = 1800.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    source: Source
    settings: Settings
    """As they will be."""
    changed: Mapping[str, str | int]
    """Those to be written to the settings file."""
    keys: tuple[str, ...]
    """Lines of OpenSSH public keys."""
    admin: str
    """Under which name they are kept."""


def steps(host: Host, wish: Wish) -> list[Step]:
    versions = Versions(host)
    settings, source = wish.settings, wish.source
    data, user = str(settings.data_dir), settings.user
    text = with_settings(host.text(SETTINGS) or "", wish.changed)
    plan = [
        _packages(host),
        Step(
            f"Add the account {user}",
            lambda: f"\n{user}:" in "\n" + (host.text("/etc/passwd") or ""),
            lambda: _add_account(host, user),
            (f"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {user}",),
        ),
        Step(
            f"Make the data directory {data}",
            lambda: host.is_there(data),
            lambda: _make(host, data, 0o711),
        ),
        Step(
            f"Install version {source.version} into {OPT}/{source.version}",
            lambda: versions.is_installed(source.version),
            lambda: versions.install(source),
            (f"from {source.origin}", "a virtualenv with what it needs from PyPI"),
        ),
        Step(
            f"Let {CURRENT} point at a version",
            lambda: versions.current is not None and versions.is_installed(versions.current),
            lambda: versions.use(source.version),
            (source.version,),
        ),
        Step(
            f"Put the command into {COMMAND}",
            lambda: host.points(COMMAND) == f"{CURRENT}/bin/paas",
            lambda: host.point(COMMAND, f"{CURRENT}/bin/paas"),
        ),
        Step(
            f"Write the settings to {SETTINGS}",
            lambda: host.text(SETTINGS) == text,
            lambda: host.write(SETTINGS, text),
            tuple(f"{name}: {value}" for name, value in wish.changed.items()),
        ),
        Step(
            f"Set what the kernel needs in {SYSCTL}",
            lambda: host.text(SYSCTL) == SYSCTL_TEXT,
            lambda: _set_kernel(host),
        ),
        Step(
            f"Write the systemd unit {UNIT}",
            lambda: host.text(UNIT) == UNIT_TEXT,
            lambda: write_unit(host, UNIT_TEXT),
        ),
        Step(
            "Start the engine, now and at each boot",
            lambda: _runs(host),
            lambda: _start(host),
            ("systemctl enable --now paas",),
        ),
    ]
    if wish.keys:
        plan.append(
            Step(
                f"Let the {len(wish.keys)} key(s) given in, as the admin {wish.admin}",
                lambda: not _unknown(host, wish.keys),
                lambda: _add_keys(host, wish.admin, wish.keys),
            )
        )
    return plan


def with_settings(text: str, changed: Mapping[str, str | int]) -> str:
    """The settings file with some lines set; comments and other lines stay."""
    lines = text.splitlines() or ["# Settings of paas; `paas setup --help` and docs/guides/server.md tell which."]
    for name, value in changed.items():
        line = f"{name}: {value}" if isinstance(value, int) else f'{name}: "{value}"'
        for number, old in enumerate(lines):
            if re.match(rf"{name}\s*:", old):
                lines[number] = line
                break
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _packages(host: Host) -> Step:
    def missing() -> list[str]:
        query = ["dpkg-query", "-W", "-f=${Package}=${db:Status-Status} ", *PACKAGES]
        have = host.run(query, check=False).text.split()
        lacking = [package for package in PACKAGES if f"{package}=installed" not in have]
        if host.is_there("/usr/sbin/nginx"):  # another build of it serves as well
            lacking = [package for package in lacking if package != "nginx-light"]
        return lacking

    def install() -> None:
        wanted = missing()
        had_nginx = host.is_there("/usr/sbin/nginx")
        ours = not host.is_there(_POLICY) or _MARK in (host.text(_POLICY) or "")
        if ours:
            host.write(_POLICY, f"#!/bin/sh\n{_MARK}exit 101\n", mode=0o755)
        try:
            quiet = {"DEBIAN_FRONTEND": "noninteractive"}
            host.run(["apt-get", "update", "-qq"], env=quiet, timeout=_PACKAGES_WITHIN)
            argv = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted]
            host.run(argv, env=quiet, timeout=_PACKAGES_WITHIN)
        finally:
            if ours:
                host.path(_POLICY).unlink(missing_ok=True)
        if not had_nginx:
            # Ours is another process with another configuration.
            host.run(["systemctl", "disable", "--quiet", "nginx"], check=False)

    return Step("Install Debian's packages", lambda: not missing(), install, (" ".join(PACKAGES),))


def _add_account(host: Host, user: str) -> None:
    words = ["--system", "--user-group", "--home-dir", "/nonexistent", "--no-create-home"]
    host.run(["useradd", *words, "--shell", "/usr/sbin/nologin", user])


def _make(host: Host, name: str, mode: int) -> None:
    ensure_directory(host.path(name), mode=mode)


def _set_kernel(host: Host) -> None:
    host.write(MODULES, "".join(f"{name}\n" for name in _MODULES))
    host.run(["modprobe", "--all", *_MODULES], check=False)  # a kernel may have them built in, or forbid to load any
    host.run(["sysctl", "--quiet", "--ignore", "--load=-"], input=SYSCTL_TEXT.encode())
    host.write(SYSCTL, SYSCTL_TEXT)  # last: it is what says that all of this is done


def write_unit(host: Host, text: str) -> None:
    host.write(UNIT, text)
    host.run(["systemctl", "daemon-reload"])


def _runs(host: Host) -> bool:
    return (
        host.run(["systemctl", "is-enabled", "paas"], check=False).status == 0
        and host.run(["systemctl", "is-active", "paas"], check=False).status == 0
    )


def _start(host: Host) -> None:
    done = host.run(["systemctl", "enable", "--now", "--quiet", "paas"], check=False, timeout=700)
    if done.status != 0:
        raise SystemFailure("The engine does not start", hint="Its words: journalctl -u paas -n 50.")
    wait_until_it_answers(host)


def _unknown(host: Host, keys: tuple[str, ...]) -> list[str]:
    """Those of the keys that the engine does not know."""
    if not host.is_there(COMMAND):
        return list(keys)
    done = host.run([COMMAND, "ssh-keys:list", "--format", "json"], check=False)
    if done.status != 0:
        return list(keys)
    known = {str(key.get("fingerprint")) for key in json.loads(done.text or "[]")}
    return [key for key in keys if _fingerprint(host, key) not in known]


def _fingerprint(host: Host, key: str) -> str:
    done = host.run(["ssh-keygen", "-l", "-f", "-"], input=f"{key}\n".encode(), check=False)
    return (done.text.split() + ["", ""])[1]


def _add_keys(host: Host, admin: str, keys: tuple[str, ...]) -> None:
    for key in _unknown(host, keys):
        host.run([COMMAND, "ssh-keys:add", "--admin", admin], input=f"{key}\n".encode())


def key_lines(text: str) -> tuple[str, ...]:
    """The keys of a `.pub` or authorized_keys file, without options."""
    found = []
    for line in text.splitlines():
        match = re.search(r"\b((?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/=]+)", line)
        if match and not line.lstrip().startswith("#"):
            found.append(match[1])
    return tuple(found)


def root_keys(host: Host) -> Path | None:
    """Root's authorized_keys, where it has keys."""
    path = host.path("/root/.ssh/authorized_keys")
    return path if path.is_file() and key_lines(path.read_text(errors="replace")) else None
