"""What containers reach and who reaches them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network.world import HOST, HOST6, METADATA, REMOTE, Namespace, World


@pytest.fixture
def neighbour() -> Iterator[Namespace]:
    made = Namespace()
    yield made
    made.close()


def test_way_out_is_masqueraded(world: World) -> None:
    world.remote.serve("remote", 7000)
    assert world.containers[0].ask(REMOTE, 7000) == ("remote", HOST)


def test_no_way_to_other_containers(world: World) -> None:
    world.containers[1].serve("b", 5000)
    with pytest.raises(TimeoutError):
        world.containers[0].connect(str(world.address(1)), 5000)


def test_host_reaches_containers(world: World) -> None:
    world.containers[0].serve("a", 5000)
    assert world.host.ask(str(world.address(0)), 5000)[0] == "a"


def test_others_do_not_reach_containers_directly(world: World) -> None:
    world.containers[0].serve("a", 5000)
    with pytest.raises(TimeoutError):
        world.remote.connect(str(world.address(0)), 5000)


def test_services_of_the_host_are_refused(world: World) -> None:
    world.host.serve("private", 9000)
    world.host.serve_datagrams("private", 9053)
    with pytest.raises(ConnectionRefusedError):
        world.containers[0].connect(HOST, 9000)
    with pytest.raises(TimeoutError):
        world.containers[0].ask_datagram(HOST, 9053)
    assert world.remote.ask(HOST, 9000)[0] == "private"


def test_loopback_of_the_host_is_out_of_reach(world: World) -> None:
    """For root in a container who sends packets for 127.0.0.1 down the link."""
    world.host.serve("private", 9001, "127.0.0.1")
    container = world.containers[0]
    container.ip(
        "route delete local 127.0.0.0/8 dev lo table local",
        "route delete local 127.0.0.1 dev lo table local",
        "address delete 127.0.0.1/8 dev lo",
        "route add 127.0.0.1/32 via 169.254.1.1 dev eth0 onlink",
    )
    container.run(lambda: Path("/proc/sys/net/ipv4/conf/eth0/route_localnet").write_text("1"))
    with pytest.raises(TimeoutError):
        container.connect("127.0.0.1", 9001)


def test_cloud_metadata_is_out_of_reach_but_not_its_name_server(world: World) -> None:
    world.remote.serve("metadata", 80)
    world.remote.serve("names", 53)
    world.remote.serve_datagrams("names", 53, METADATA)
    with pytest.raises(TimeoutError):
        world.containers[0].connect(METADATA, 80)
    assert world.containers[0].ask(METADATA, 53)[0] == "names"
    assert world.containers[0].ask_datagram(METADATA, 53) == "names"
    assert world.host.ask(METADATA, 80)[0] == "metadata"


@pytest.mark.parametrize("filtering", ["0", "1", "2"])
def test_nothing_leaves_with_a_borrowed_address(world: World, filtering: str) -> None:
    """Whatever rp_filter the host gives its interfaces."""
    for scope in ("all", "nt1"):
        file = Path(f"/proc/sys/net/ipv4/conf/{scope}/rp_filter")
        world.host.run(lambda file=file: file.write_text(filtering))  # type: ignore[misc]
    borrowed, own = (str(world.address(1)), "203.0.113.9"), str(world.address(0))
    world.containers[0].ip(*(f"address add {address}/32 dev lo" for address in borrowed))
    with world.remote.datagrams(7000) as received:
        received.settimeout(1)

        def send(source: str) -> None:
            with world.containers[0].datagrams(0, source) as sender:
                sender.sendto(source.encode(), (REMOTE, 7000))

        send(own)  # the gateway's hardware address is known from here on
        assert received.recv(100).decode() == own
        for source in (*borrowed, own):
            send(source)
        assert received.recv(100).decode() == own


def test_no_ipv6_on_links(world: World) -> None:
    world.host.serve("private", 9000, "::")
    container = world.containers[0]
    container.ip("address add fd77::9/64 dev eth0 nodad", "route add ::/0 dev eth0")
    with pytest.raises(OSError):
        container.connect(HOST6, 9000)


def test_traffic_of_others_passes(world: World, neighbour: Namespace) -> None:
    """The host may route for more than containers: the table judges only what concerns their links."""
    world.remote.serve("remote", 7000)
    world.host.ip(
        f"link add lab0 type veth peer name eth0 netns {neighbour.path}",
        "address add 203.0.113.1/24 dev lab0",
        "link set lab0 up",
    )
    neighbour.ip("address add 203.0.113.2/24 dev eth0", "link set eth0 up", "route add default via 203.0.113.1")
    world.remote.ip(f"route add 203.0.113.0/24 via {HOST}")
    assert neighbour.ask(REMOTE, 7000) == ("remote", "203.0.113.2")
