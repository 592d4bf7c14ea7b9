"""The pool of sandboxes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from paas.errors import SystemFailure
from paas.runtime.sandbox import SandboxPool
from paas.system import mounts

from .host import Host, Links, eventually


@contextmanager
def small(**settings: object) -> Iterator[Host]:
    host = Host(**settings)
    try:
        yield host
    finally:
        host.close()
    assert host.leftovers() == []


def test_a_sandbox_holds_together(host: Host) -> None:
    sandbox = host.pool.take()
    assert sandbox.address in (IPv4Address("10.86.0.1"), IPv4Address("10.86.0.2"))
    assert host.links.connected[sandbox.link] == sandbox.address
    assert sandbox.uid_base == host.settings.uid_base + 65536 * sandbox.number
    assert host.pool.at(sandbox.address) == sandbox
    assert {mounts.is_mount_point(pin) for pin in (sandbox.userns, sandbox.netns, sandbox.idmap)} == {True}


def test_ready_ones_are_given_at_once(host: Host) -> None:
    assert eventually(lambda: len(host.links.connected) == 1)
    time.sleep(0.05)
    began = time.perf_counter()
    host.pool.take()
    assert time.perf_counter() - began < 0.005
    assert eventually(lambda: len(host.links.connected) == 2)


def test_all_are_different(host: Host) -> None:
    taken = [host.pool.take() for _ in range(6)]
    assert len({sandbox.number for sandbox in taken}) == 6
    assert len({sandbox.link for sandbox in taken}) == 6


def test_release_leaves_nothing_and_rests_the_number(host: Host) -> None:
    sandbox = host.pool.take()
    host.pool.release(sandbox)
    host.pool.release(sandbox)
    assert not sandbox.directory.exists()
    assert sandbox.link not in host.links.connected
    assert host.pool.at(sandbox.address) is None
    assert sandbox.number not in {host.pool.take().number for _ in range(4)}


def test_the_next_engine_keeps_what_is_used_and_drops_the_rest(host: Host) -> None:
    kept, lost = host.pool.take(), host.pool.take()
    host.pool.close()
    (host.paths.sandboxes / "junk").mkdir()
    (host.paths.sandboxes / "77").mkdir()
    links = Links()
    pool = SandboxPool(host.settings, host.paths, links)
    pool.start([kept.address])
    try:
        assert pool.at(kept.address) == kept
        assert pool.at(lost.address) is None
        assert mounts.is_mount_point(kept.netns)
        assert not (host.paths.sandboxes / "junk").exists()
        assert not (host.paths.sandboxes / "77").exists()
        assert pool.take().number != kept.number
    finally:
        pool.close()


def test_a_small_network_is_used_up_and_used_again() -> None:
    with small(instance_network="10.86.0.0/29", ready_sandboxes=0) as host:
        taken = [host.pool.take() for _ in range(6)]
        with pytest.raises(SystemFailure, match="in use"):
            host.pool.take()
        host.pool.release(taken[0])
        assert host.pool.take().number == taken[0].number


def test_id_ranges_end_before_the_last_id() -> None:
    """The last ranges of a large network would lie beyond 32 bits: their numbers are left out."""
    with small(uid_base=2**32 - 65536 * 4, ready_sandboxes=0) as host:
        numbers = []
        for _ in range(6):
            sandbox = host.pool.take()
            numbers.append(sandbox.number)
            host.pool.release(sandbox)
        assert set(numbers) == {1, 2}


def test_a_network_that_fails_leaves_nothing() -> None:
    class Broken(Links):
        def connect(self, netns: Path, link: str, address: IPv4Address) -> None:
            raise SystemFailure("no link")

    with small(ready_sandboxes=0) as host:
        pool = SandboxPool(host.settings, host.paths, Broken())
        with pytest.raises(SystemFailure, match="no link"):
            pool.take()
        assert list(host.paths.sandboxes.iterdir()) == []


def test_a_fault_of_ours_does_not_end_the_filling() -> None:
    class Surprised(Links):
        def connect(self, netns: Path, link: str, address: IPv4Address) -> None:
            if not failed:
                failed.append(link)
                raise ValueError("nobody thought of this")
            super().connect(netns, link, address)

    failed: list[str] = []
    with small(ready_sandboxes=0) as host:
        links = Surprised()
        pool = SandboxPool(replace(host.settings, ready_sandboxes=1), host.paths, links)
        pool.start()
        try:
            assert eventually(lambda: len(links.connected) == 1)
            assert failed
            pool.release(pool.take())
        finally:
            pool.close()
