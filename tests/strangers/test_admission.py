"""Who is let in when many want to: with a clock and chances of our own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.errors import InvalidInput
from paas.settings import Settings
from paas.ssh.admission import Admission, Failure, Visitor, source_of


class Gate:
    """An admission with the time and the chance in `now` and `luck`."""

    def __init__(self, **limits: Any) -> None:
        self.now, self.luck = 1000.0, 0.99
        self.dropped: list[str] = []
        self.admission = Admission(Settings(**limits), lambda: self.now, lambda: self.luck)

    def enter(self, address: str, name: str = "") -> Visitor | str:
        return self.admission.enter(address, lambda: self.dropped.append(name))

    def visitor(self, address: str, name: str = "") -> Visitor:
        found = self.enter(address, name)
        assert isinstance(found, Visitor)
        return found

    def fail(self, address: str, failure: Failure = Failure.REFUSED, times: int = 1) -> None:
        for _ in range(times):
            self.admission.leave(self.visitor(address), failure)


def test_a_crowd_makes_room_for_those_who_come() -> None:
    gate = Gate(ssh_logins=10, ssh_logins_per_address=8)
    for number in range(8):
        gate.visitor("192.0.2.1", f"crowd{number}")
    honest = gate.visitor("192.0.2.2", "honest")
    gate.visitor("192.0.2.3", "third")
    gate.visitor("192.0.2.4", "fourth")
    assert gate.dropped == ["crowd0"], "the oldest of the address that has the most"
    gate.visitor("192.0.2.1", "crowd8")
    assert gate.dropped == ["crowd0", "crowd1"]
    assert gate.admission.proved(honest)


def test_one_address_pushes_out_only_its_own() -> None:
    gate = Gate(ssh_logins=10, ssh_logins_per_address=3)
    first = gate.visitor("192.0.2.1", "0")
    gate.visitor("192.0.2.2", "other")
    for number in range(1, 5):
        gate.visitor("192.0.2.1", str(number))
    assert gate.dropped == ["0", "1"]
    assert not gate.admission.proved(first)
    gate.admission.leave(first, Failure.LEFT)


def test_connections_sent_away_count_until_they_have_ended() -> None:
    gate = Gate(ssh_logins=3, ssh_logins_per_address=2)
    every = [gate.visitor("192.0.2.1") for _ in range(5)]
    assert gate.enter("192.0.2.2") == "too many connections"
    gate.admission.leave(every[0], Failure.LEFT)
    assert isinstance(gate.enter("192.0.2.2"), Visitor)


def test_those_who_have_proved_a_key() -> None:
    gate = Gate(ssh_connections=3, ssh_connections_per_address=2)
    inside = [gate.visitor("192.0.2.1"), gate.visitor("192.0.2.1")]
    assert all(gate.admission.proved(each) for each in inside)
    assert gate.enter("192.0.2.1") == "too many connections from one address"
    assert gate.admission.proved(gate.visitor("192.0.2.2"))
    assert gate.enter("192.0.2.3") == "too many connections"
    gate.admission.leave(inside[0], Failure.LEFT)
    assert isinstance(gate.enter("192.0.2.1"), Visitor)


def test_back_off() -> None:
    gate = Gate(ssh_back_off=60)
    gate.fail("192.0.2.1", times=6)
    assert gate.enter("192.0.2.1") == "too many failed logins"
    assert isinstance(gate.enter("192.0.2.2"), Visitor)
    gate.luck = 0.1
    lucky = gate.visitor("192.0.2.1")
    gate.luck = 0.99
    assert gate.admission.proved(lucky), "somebody behind the same address gets in"
    assert isinstance(gate.enter("192.0.2.1"), Visitor), "and is not held off after that"
    gate.luck = 0.0
    gate.fail("192.0.2.1", times=1000)
    gate.luck = 0.99
    assert isinstance(gate.enter("192.0.2.1"), str)
    gate.now += 61
    assert isinstance(gate.enter("192.0.2.1"), Visitor), "however much it did, it is over after a minute"


def test_who_is_never_held_off() -> None:
    gate = Gate(ssh_never_back_off="127.0.0.0/8,::1/128,203.0.113.0/24,2001:db8::/32")
    for address in ("127.0.0.1", "203.0.113.9", "2001:db8::5"):
        gate.fail(address, times=50)
        assert isinstance(gate.enter(address), Visitor)
    off = Gate(ssh_back_off=0)
    off.fail("192.0.2.1", times=50)
    assert isinstance(off.enter("192.0.2.1"), Visitor)


def test_addresses_that_count_as_one() -> None:
    assert source_of("192.0.2.1") == source_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1") != source_of("2001:db8:0:1::1")
    assert source_of("fe80::1%eth0") == source_of("fe80::2")


def test_what_is_remembered_is_bounded() -> None:
    gate = Gate()
    for number in range(10_000):
        gate.fail(f"10.0.{number // 256}.{number % 256}")
    assert len(gate.admission._points) == 4096


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 50)), max_size=200))
def test_whatever_happens_the_counts_come_out_even(steps: list[tuple[str, int, int]]) -> None:
    gate = Gate(ssh_logins=6, ssh_logins_per_address=3, ssh_connections=5, ssh_connections_per_address=3)
    inside: list[Visitor] = []
    for kind, source, which in steps:
        gate.now += 1
        if kind == "a" and isinstance(visitor := gate.enter(f"192.0.2.{source}"), Visitor):
            inside.append(visitor)
        elif inside and kind == "b":
            gate.admission.proved(inside[which % len(inside)])
        elif inside:
            gate.admission.leave(inside.pop(which % len(inside)), Failure.REFUSED)
        states = [each.state for each in inside]
        # Two more: whoever was let in last may prove a key when the house is full by then.
        assert states.count("waiting") <= 6 and states.count("sent away") <= 7 and states.count("proved") <= 11
    for each in inside:
        gate.admission.leave(each, Failure.LEFT)
    admission = gate.admission
    assert not admission._waiting and not admission._proved and admission._going == 0


@pytest.mark.parametrize("name", ["ssh_logins", "ssh_sessions", "ssh_login_grace", "ssh_memory"])
def test_limits_of_zero_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="more than 0"):
        Settings(**{name: 0})  # type: ignore[arg-type]


def test_networks_that_are_none() -> None:
    for text in ("10.0.0.1/8", "x", "::/200"):
        with pytest.raises(InvalidInput, match="ssh_never_back_off"):
            Settings(ssh_never_back_off=text)
