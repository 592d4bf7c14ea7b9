"""What others do to the rules of the machine, and what of it is mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.errors import SystemFailure
from paas.network import neighbours
from paas.network.guard import Guard
from paas.network.network import Network
from paas.network.rules import Forward
from paas.system.run import run
from tests.network.conftest import SETTINGS
from tests.network.world import HOST, REMOTE, VIP, World


def nft(world: World, commands: str) -> str:
    return world.host.run(lambda: run(["nft", "-f", "-"], input=commands.encode())).text


def count(world: World) -> int:
    """Rules that accept something, in all tables."""
    return nft(world, "list ruleset").count("accept")


def check(world: World, guard: Guard | None = None) -> None:
    world.host.run((guard or Guard(world.network)).check)


def test_a_flush_of_all_rules_is_mended(world: World) -> None:
    world.host.serve("nginx", 18000, "::")
    world.containers[0].serve("instance", 5000)
    world.network.set_proxy({80: 18000})
    world.network.set_service(VIP, {80: [(world.address(0), 5000)]})
    nft(world, "flush ruleset")
    check(world)
    assert world.remote.ask(HOST, 80)[0] == "nginx"
    assert world.host.ask(str(VIP), 80)[0] == "instance"


def test_rules_that_were_saved_earlier_do_not_come_back(world: World) -> None:
    guard = Guard(world.network)
    check(world, guard)
    world.host.serve("old", 18000, "::")
    world.host.serve("new", 18001, "::")
    world.network.set_proxy({80: 18000})
    saved = nft(world, "list ruleset")
    world.network.set_proxy({80: 18001})
    nft(world, "flush ruleset\n" + saved)
    check(world, guard)
    assert world.remote.ask(HOST, 80)[0] == "new"


def test_nothing_is_done_while_nothing_changes(world: World) -> None:
    guard = Guard(world.network)
    check(world, guard)
    before = nft(world, "list tables")
    check(world, guard)
    assert nft(world, "list tables") == before
    assert not world.host.run(world.network.repair)


def test_what_could_not_be_mended_is_tried_again(world: World) -> None:
    class Refused(Network):
        refusals = 1

        def repair(self) -> bool:
            if self.refusals:
                self.refusals -= 1
                raise SystemFailure("not now")
            return world.network.repair()

    guard = Guard(world.host.run(lambda: Refused(SETTINGS)))
    nft(world, "flush ruleset")
    with pytest.raises(SystemFailure):
        check(world, guard)
    check(world, guard)
    assert "table inet paas_test" in nft(world, "list tables")


def test_an_engine_that_starts_leaves_the_table_until_it_knows_all(world: World) -> None:
    world.network.set_linked({VIP: [world.address(0)]}, frozenset({(world.address(1), VIP)}))
    before = nft(world, "list ruleset")
    next_one = world.host.run(lambda: Network(SETTINGS))
    next_one.set_linked({VIP: [world.address(1)]}, frozenset())
    next_one.set_service(VIP, {80: [(world.address(1), 5000)]})
    assert nft(world, "list ruleset") == before


def test_a_firewall_that_routed_packets_never_see_is_left_alone(world: World) -> None:
    nft(world, "table arp other { chain c { type filter hook input priority 0; policy drop; }\n }")
    assert world.host.run(world.network.admit) == []


_POLICY = "type filter hook {hook} priority 0; policy drop; {before}\n }}\n }}"
FIREWALLS = {
    "policy": "table inet other {{ chain c {{ " + _POLICY,
    "last rule": "table inet other {{ chain c {{ type filter hook {hook} priority 0; {before} counter drop\n }}\n }}",
    "iptables": "table ip filter {{ chain {upper} {{ " + _POLICY,
}


@pytest.mark.parametrize("kind", FIREWALLS)
@pytest.mark.parametrize("hook", ["forward", "input"])
def test_other_firewalls_let_pass_what_is_for_apps(world: World, kind: str, hook: str) -> None:
    def other(before: str = "") -> str:
        return FIREWALLS[kind].format(hook=hook, upper=hook.upper(), before=before)

    world.host.serve("nginx", 18000, "::")
    world.containers[0].serve("instance", 5000)
    world.remote.serve("outside", 7000)
    world.network.set_proxy({80: 18000})
    world.network.set_forwards([Forward("tcp", 5432, world.address(0), 5000)])
    nft(world, other())
    reach = (HOST, 5432) if hook == "forward" else (HOST, 80)
    with pytest.raises(TimeoutError):
        world.remote.connect(*reach, timeout=0.2)
    guard = Guard(world.network)
    check(world, guard)
    assert world.remote.ask(*reach)[0] == ("instance" if hook == "forward" else "nginx")
    if hook == "forward":
        assert world.containers[0].ask(REMOTE, 7000)[0] == "outside"
    rules = count(world)
    check(world)
    assert count(world) == rules, "once is enough"
    world.host.run(lambda: neighbours.withdraw(world.network._ruleset, world.network._frame))
    assert count(world) == rules - 2
    table = "ip filter" if kind == "iptables" else "inet other"
    nft(world, f"delete table {table}\n" + other(f"ip saddr {REMOTE} drop;"))
    check(world, guard)
    with pytest.raises(TimeoutError):
        world.remote.connect(*reach, timeout=0.2)


def test_a_legacy_firewall(world: World) -> None:
    if not Path("/usr/sbin/iptables-legacy").exists():
        pytest.skip("iptables-legacy is not installed")
    world.containers[0].serve("instance", 5000)
    world.network.set_forwards([Forward("tcp", 5432, world.address(0), 5000)])
    world.host.run(lambda: run(["iptables-legacy", "-P", "FORWARD", "DROP"]))
    with pytest.raises(TimeoutError):
        world.remote.connect(HOST, 5432, timeout=0.2)
    check(world)
    assert world.remote.ask(HOST, 5432)[0] == "instance"
    world.host.run(lambda: neighbours.withdraw(world.network._ruleset, world.network._frame))
    assert "ACCEPT" not in world.host.run(lambda: run(["iptables-legacy", "-S", "FORWARD"])).text
