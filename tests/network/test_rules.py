"""The table as text, without a kernel."""

from __future__ import annotations

from ipaddress import IPv4Address

from paas.network import rules
from paas.network.rules import Forward, Frame, NetworkState

FRAME = Frame("t", "nt", "10.86.0.0/16", "10.87.0.0/16", (18000, 18999), 8192)
VIP = IPv4Address("10.87.0.9")
A, B = (IPv4Address("10.86.0.1"), 5000), (IPv4Address("10.86.0.2"), 5000)


def test_first_backend_makes_the_service_known() -> None:
    assert rules.set_service(FRAME, VIP, {}, {80: [A]}).splitlines() == [
        "add chain inet t s_10_87_0_9_80",
        "flush chain inet t s_10_87_0_9_80",
        "add rule inet t s_10_87_0_9_80 meta l4proto tcp dnat ip to 10.86.0.1:5000",
        "add element inet t services { 10.87.0.9 . 80 : goto s_10_87_0_9_80 }",
    ]


def test_switch_replaces_the_one_rule() -> None:
    assert rules.set_service(FRAME, VIP, {80: [A]}, {80: [A, B]}).splitlines() == [
        "add chain inet t s_10_87_0_9_80",
        "flush chain inet t s_10_87_0_9_80",
        "add rule inet t s_10_87_0_9_80 meta l4proto tcp dnat ip to numgen inc mod 2 map "
        "{ 0 : 10.86.0.1 . 5000, 1 : 10.86.0.2 . 5000 }",
    ]


def test_last_backend_takes_the_service_away() -> None:
    gone = [
        "delete element inet t services { 10.87.0.9 . 80 : goto s_10_87_0_9_80 }",
        "flush chain inet t s_10_87_0_9_80",
        "delete chain inet t s_10_87_0_9_80",
    ]
    assert rules.set_service(FRAME, VIP, {80: [A]}, {}).splitlines() == gone
    assert rules.set_service(FRAME, VIP, {80: [A]}, {80: []}).splitlines() == gone


def test_nothing_to_do() -> None:
    assert rules.set_service(FRAME, VIP, {80: [A]}, {80: (A,)}) == ""
    assert rules.set_service(FRAME, VIP, {}, {80: []}) == ""


def test_only_the_port_that_changed() -> None:
    changed = rules.set_service(FRAME, VIP, {80: [A], 443: [A]}, {80: [A], 443: [B]})
    assert "s_10_87_0_9_443" in changed
    assert "s_10_87_0_9_80" not in changed


def test_a_forward_leads_to_a_chain_of_its_own() -> None:
    forwards = [Forward("tcp", 5432, *A), Forward("tcp", 5432, *B), Forward("udp", 53, *B)]
    both = "dnat ip to numgen inc mod 2 map { 0 : 10.86.0.1 . 5000, 1 : 10.86.0.2 . 5000 }"
    assert rules.set_forwards(FRAME, [], forwards).splitlines() == [
        "add chain inet t f_tcp_5432",
        "flush chain inet t f_tcp_5432",
        f"add rule inet t f_tcp_5432 meta l4proto tcp {both}",
        "add element inet t forwards { tcp . 5432 : goto f_tcp_5432 }",
        "add chain inet t f_udp_53",
        "flush chain inet t f_udp_53",
        "add rule inet t f_udp_53 meta l4proto udp dnat ip to 10.86.0.2:5000",
        "add element inet t forwards { udp . 53 : goto f_udp_53 }",
    ]
    assert rules.set_forwards(FRAME, forwards, forwards) == ""
    assert rules.set_forwards(FRAME, forwards, forwards[:2]).splitlines() == [
        "delete element inet t forwards { udp . 53 : goto f_udp_53 }",
        "flush chain inet t f_udp_53",
        "delete chain inet t f_udp_53",
    ]


def test_proxy_ports_are_led_elsewhere_without_touching_the_map() -> None:
    added = rules.set_proxy(FRAME, {}, {443: 18001, 80: 18000})
    assert "add element inet t proxy { 80 : goto p_80 }" in added
    assert rules.set_proxy(FRAME, {443: 18001, 80: 18000}, {443: 18001, 80: 18002}).splitlines() == [
        "add chain inet t p_80",
        "flush chain inet t p_80",
        'add rule inet t p_80 iifname "nt*" meta l4proto tcp dnat ip to 127.0.0.1:18002',
        "add rule inet t p_80 meta l4proto tcp redirect to :18002",
    ]
    assert "delete element inet t proxy { 80 : goto p_80 }" in rules.set_proxy(FRAME, {80: 18002}, {})


def test_whole_table_drops_and_makes_in_one_text() -> None:
    state = NetworkState({VIP: {80: [A]}}, [Forward("tcp", 5432, *A)], {80: 18000})
    text = rules.whole(FRAME, state)
    assert text.startswith("add table inet t\ndelete table inet t\n")
    for piece in (
        rules.set_service(FRAME, VIP, {}, {80: [A]}),
        rules.set_forwards(FRAME, [], state.forwards),
        rules.set_proxy(FRAME, {}, state.proxy),
    ):
        assert piece in text


def test_rules_do_not_grow_with_the_number_of_apps() -> None:
    """What each packet walks through stays the same; apps only add elements and chains reached by a map."""
    many = {IPv4Address("10.87.1.0") + n: {80: [A, B]} for n in range(100)}
    base, full = (rules.whole(FRAME, NetworkState(services)) for services in ({}, many))
    grown = [line for line in full.splitlines() if line not in set(base.splitlines())]
    assert all(line.startswith(("add chain", "flush chain", "add rule inet t s_", "add element")) for line in grown)
