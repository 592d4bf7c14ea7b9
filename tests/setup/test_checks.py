"""What speaks against a server, found in what was read of it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from paas.settings import Settings
from paas.setup.checks import Facts, findings

FINE = Facts(
    kernel="6.1.0-56-amd64",
    cgroups="v2",
    controllers=frozenset({"cpu", "memory", "pids", "io"}),
    memory=2 << 30,
    disk_free=50 << 30,
    file_system="ext4",
    python=(3, 11),
    has_systemd=True,
    has_apt=True,
    user_namespaces=15000,
    holders={},
    forward_drop=False,
    dokku=False,
    firewalls=(),
    routes=("192.0.2.0/24",),
)


def test_nothing_speaks_against_a_plain_debian_server() -> None:
    assert list(findings(FINE, Settings())) == []


@pytest.mark.parametrize(
    ("change", "level", "said"),
    [
        ({"kernel": "5.10.0-30-amd64"}, "stop", "5.19 is needed.*reboot"),
        ({"controllers": frozenset({"cpu", "pids"})}, "stop", "memory are missing.*cgroup_enable=memory"),
        ({"file_system": "overlay"}, "stop", "/var/lib/paas lies on overlay.*data_dir"),
        ({"disk_free": 1 << 30}, "stop", "1.0 GB are free"),
        ({"disk_free": 5 << 30}, "warn", "5.0 GB are free"),
        ({"memory": 512 << 20}, "warn", "512 MB.*swap"),
        ({"python": (3, 9)}, "stop", "python3 is 3.9; 3.11 is needed"),
        ({"has_systemd": False}, "stop", "systemd does not run.*scripts/demo"),
        ({"has_apt": False}, "stop", "apt-get is missing"),
        ({"user_namespaces": 0}, "stop", "sysctl user.max_user_namespaces"),
        ({"holders": {80: "nginx (pid 7)"}}, "stop", "Port 80 .*nginx .pid 7.*disable --now nginx, or --http-port"),
        ({"holders": {443: "apache2 (pid 7)"}}, "stop", "Port 443 .*disable --now apache2, or --https-port"),
        ({"holders": {2222: "sshd (pid 7)"}}, "stop", "Port 2222 .*Stop it, or --ssh-port"),
        ({"forward_drop": True}, "warn", "Docker sets it so.*DOCKER-USER -i paas"),
        ({"dokku": True}, "warn", "Dokku is installed.*from-dokku"),
        ({"firewalls": ("ufw",)}, "warn", "ufw is active.*80, 443 and 2222.*ufw route allow"),
        ({"routes": ("10.0.0.0/8",)}, "stop", "10.0.0.0/8.*overlaps our 10.86.0.0/16.*Set instance_network"),
    ],
)
def test_what_stands_in_the_way_is_named_with_what_to_do(change: dict[str, Any], level: str, said: str) -> None:
    found = list(findings(dataclasses.replace(FINE, **change), Settings()))

    assert found[0].level == level
    assert re.search(said, f"{found[0].message} {found[0].advice}")
