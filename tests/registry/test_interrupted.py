"""Pulls that were interrupted: the next one goes on where they were, and nothing of them stays for ever."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from paas.errors import Cancelled
from paas.registry import partials
from paas.registry.partials import Partials
from paas.registry.transport import Unreachable
from tests.harness.registry import Proxy
from tests.harness.waiting import wait_until
from tests.registry.conftest import NOISE, Side, is_blob

_HALF = 1 << 20


def breaks_once_at(proxy: Proxy, offset: int) -> None:
    """The layer ends there, and after that nobody answers."""
    seen: list[str] = []

    def fault(method: str, path: str, headers: dict[str, str]) -> int | None:
        if not is_blob(path) or len(proxy.paths("GET", "/blobs/")) < 2:  # the first one is the config
            return None
        seen.append(path)
        return offset if len(seen) == 1 else 0

    proxy.fault = fault


def mend(proxy: Proxy) -> None:
    proxy.fault = lambda method, path, headers: None
    proxy.requests.clear()


def ranges(proxy: Proxy) -> list[str]:
    return [headers["Range"] for _, path, headers in proxy.requests if is_blob(path) and "Range" in headers]


def kept(side: Side) -> list[Path]:
    return [path for path in side.paths.downloads.iterdir() if path.is_file()]


@pytest.fixture
def interrupted(there: Side, name: str, proxy: Proxy) -> str:
    """The name of an image of which a part has come."""
    breaks_once_at(proxy, _HALF)
    with pytest.raises(Unreachable):
        there.pull(name)
    assert [file.stat().st_size for file in kept(there)] == [_HALF]
    assert there.is_clean()
    mend(proxy)
    return name


def test_the_next_pull_goes_on(there: Side, interrupted: str, proxy: Proxy) -> None:
    assert there.files(there.pull(interrupted)) == {"noise": NOISE}
    assert ranges(proxy) == [f"bytes={_HALF}-"]
    assert kept(there) == []


def test_a_pull_that_was_cancelled_goes_on(there: Side, name: str, proxy: Proxy) -> None:
    proxy.pause = 0.02
    with pytest.raises(Cancelled):
        there.registries.pull(
            name, there.out.line, lambda: any(file.stat().st_size for file in there.paths.downloads.glob("pull-*/*"))
        )
    proxy.pause = 0
    mend(proxy)
    there.pull(name)
    assert len(ranges(proxy)) == 1


@pytest.mark.parametrize("damage", [b"\0" * _HALF, b"x" * (4 << 20)], ids=["zeros", "too long"])
def test_a_part_that_is_damaged_is_fetched_again(there: Side, interrupted: str, proxy: Proxy, damage: bytes) -> None:
    """A crash of the machine may leave anything."""
    kept(there)[0].write_bytes(damage)
    assert there.files(there.pull(interrupted)) == {"noise": NOISE}


def test_a_blob_that_is_whole_is_not_asked_for(there: Side, name: str, proxy: Proxy) -> None:
    breaks_once_at(proxy, 1 << 40)
    done = there.pull(name)
    there.store.remove(done, untag=True)
    mend(proxy)
    there.pull(name)
    assert len(proxy.paths("GET", "/blobs/")) == 2  # nothing is kept of what came to its end


def test_an_engine_that_is_killed_leaves_what_it_has(there: Side, name: str, proxy: Proxy) -> None:
    proxy.pause = 0.02
    child = os.fork()
    if child == 0:
        try:
            there.pull(name)
        finally:
            os._exit(1)
    try:
        wait_until(
            lambda: sum(file.stat().st_size for file in there.paths.downloads.glob("pull-*/*")) > _HALF, "half has come"
        )
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    proxy.pause = 0
    mend(proxy)
    again = Side.again(there)
    assert again.is_clean() and len(kept(again)) == 1
    assert again.files(again.pull(name)) == {"noise": NOISE}
    assert len(ranges(proxy)) == 1


def test_what_is_kept_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By age, by size (the oldest first), and by hand."""
    monkeypatch.setattr(partials, "_BUDGET", 250)
    store = Partials(tmp_path)
    for number, age in enumerate((8 * 86400, 300, 200, 100)):
        place = store.workplace()
        (place / f"{number}").write_bytes(bytes(100))
        os.utime(place / f"{number}", (time.time() - age,) * 2)
        store.keep(place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]
    claimed = store.workplace()
    store.claim("3", claimed)
    assert store.clear() == 100
    assert [path.name for path in claimed.iterdir()] == ["3"]
