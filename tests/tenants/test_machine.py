"""One app against the machine: what its variables say, and what it can use up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.network.rules import NetworkState
from paas.runtime import cgroups
from paas.settings import Settings
from tests.harness.apps import busybox_root
from tests.network import world as worlds
from tests.network.world import REMOTE
from tests.tenants.conftest import OURS, Tenants

VALUES = {
    "LINES": "one\ntwo\n\nthree",
    "SHELL_WORDS": "$(touch /tmp/x) `id` ${HOME} '; rm -rf / #\" && || > /etc/passwd",
    "NGINX": '";\n}\nserver { listen 81; root /; }\n# ${host} $host',
    "SYSTEMD": "%i %n\nExecStart=/bin/sh -c id\n[Service]",
    "JSON": '"}], "privileged": true, {"',
    "ENDS": "\x1b[31m\x07\r back\\slash\\n \u202e",
}


def test_values_of_variables_are_values_and_nothing_else(tenants: Tenants) -> None:
    tenants.mallory.ssh("config:set", OURS, *(f"{key}={value}" for key, value in VALUES.items()))
    try:
        printed = " ".join(f'"${key}"' for key in VALUES)
        done = tenants.mallory.ssh("run", OURS, "sh", "-c", f"printf '%s|END|' {printed}")
        assert done.stdout.decode() == "".join(f"{value}|END|" for value in VALUES.values())
        assert tenants.mallory.ssh("config:get", OURS, "NGINX").text.rstrip("\n") == VALUES["NGINX"]
    finally:
        tenants.mallory.ssh("config:unset", "--no-restart", OURS, *VALUES)


@pytest.mark.parametrize("word", ["A B=c", "LD_PRELOAD;x=1", "=x", "1A=x", "A\nB=x"])
def test_names_that_no_variable_has(tenants: Tenants, word: str) -> None:
    tenants.refused("config:set", OURS, word)


def test_one_container_does_not_fill_the_table_of_connections() -> None:
    """Counted in the kernel: what is begun beyond the limit leaves no entry, and others get through."""
    with worlds.world(Settings(nft_table="paas_tenant", link_prefix="nu", container_connections=20)) as world:
        world.host.run(lambda: world.network.restore(NetworkState()))
        world.remote.serve("remote", 7000)

        def entries() -> int:
            return int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())

        before = world.host.run(entries)
        for _ in range(100):  # each from a port of its own
            with world.containers[0].datagrams(0, "0.0.0.0") as sender:
                sender.sendto(b"x", (REMOTE, 9))
        assert 20 <= world.host.run(entries) - before <= 21
        with pytest.raises(TimeoutError):
            world.containers[0].connect(REMOTE, 7000)
        assert world.containers[1].ask(REMOTE, 7000)[0] == "remote"


def test_all_containers_together_leave_the_host_something(tenants: Tenants) -> None:
    group = tenants.root.settings.cgroup
    if cgroups.detect() is cgroups.Kind.V2:
        memory, pids = cgroups.ROOT / group / "memory.max", cgroups.ROOT / group / "pids.max"
    else:
        memory = cgroups.ROOT / "memory" / group / "memory.limit_in_bytes"
        pids = cgroups.ROOT / "pids" / group / "pids.max"
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0.8 * total < int(memory.read_text()) < 0.9 * total
    assert int(pids.read_text()) <= 0.75 * int(Path("/proc/sys/kernel/threads-max").read_text())


def test_configuration_of_nginx_in_a_repository_is_not_used(tenants: Tenants) -> None:
    hostile = 'server { listen 81; location / { root /; } }\nload_module "/tmp/x.so";\n'
    repository = tenants.mallory.repository("templates")
    names = ("nginx.conf.sigil", "nginx.conf.j2", "app.conf.j2", "nginx.conf.d/x.conf")
    lines = 'FROM scratch\nADD root.tar /\nCMD ["/bin/sh", "-c", "exec httpd -f -p $PORT -h /www"]\n'
    repository.commit({"Dockerfile": lines, "root.tar": busybox_root(), **dict.fromkeys(names, hostile)})
    done = repository.push(OURS, "master", "--force")
    assert "nginx.conf.sigil is not used" in done.error
    assert "listen 81" not in tenants.root.paas("nginx:show-config", OURS).text
