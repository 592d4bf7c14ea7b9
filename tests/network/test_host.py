"""What is read of the host: addresses, name servers, who listens."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from paas.errors import SystemFailure
from paas.network import addresses
from paas.network.listening import who_listens
from paas.network.nft import Nft
from paas.network.resolv import resolv_conf
from paas.settings import Settings
from tests.network.world import HOST, World


def test_numbers_to_addresses() -> None:
    settings = Settings(instance_network="10.1.2.0/24", service_network="10.1.3.0/24")
    assert addresses.instance_address(settings, 1) == IPv4Address("10.1.2.1")
    assert addresses.service_address(settings, 254) == IPv4Address("10.1.3.254")
    assert addresses.instance_capacity(settings) == 254


def test_host_address_is_that_of_the_default_route(world: World) -> None:
    assert world.host.run(addresses.host_address) == HOST
    world.host.ip("route delete default")
    assert world.host.run(addresses.host_address) == "127.0.0.1"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_who_listens_names_the_program(family: socket.AddressFamily) -> None:
    with socket.create_server(("", 0), family=family) as listener:
        port = listener.getsockname()[1]
        found = who_listens(port)
        assert found and found.endswith(f"(pid {os.getpid()})")
    assert who_listens(port) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["search lan\nnameserver 10.0.0.2\noptions edns0\n"], "search lan\nnameserver 10.0.0.2\noptions edns0\n"),
        (["nameserver 127.0.0.53\n", "nameserver 192.0.2.9\n"], "nameserver 192.0.2.9\n"),
        (["nameserver 127.0.0.1\nnameserver 192.0.2.9\n"], "nameserver 192.0.2.9\n"),
        (["nameserver fd00::1\nnameserver fe80::1%eth0\nnameserver 192.0.2.9\n"], "nameserver 192.0.2.9\n"),
        (["nameserver ::1\n", "# nothing\n"], "nameserver 1.1.1.1\nnameserver 9.9.9.9\n"),
        ([], "nameserver 1.1.1.1\nnameserver 9.9.9.9\n"),
    ],
)
def test_name_servers_for_containers(tmp_path: Path, files: list[str], expected: str) -> None:
    paths = [tmp_path / str(number) for number in range(len(files) + 1)]  # the last is not there
    for path, text in zip(paths, files, strict=False):
        path.write_text(text)
    assert resolv_conf(paths) == expected


@pytest.mark.parametrize("library", ["libnftables.so.1", "libmissing.so.1"], ids=["library", "tool"])
def test_nft_says_what_it_refused(world: World, library: str) -> None:
    def work() -> None:
        nft = Nft(library)
        with pytest.raises(SystemFailure, match="No such file or directory"):
            nft.run("delete table inet nowhere")
        with pytest.raises(SystemFailure, match="syntax error"):
            nft.run("nonsense")
        assert "table inet paas_test" in nft.run("list tables")

    world.host.run(work)
