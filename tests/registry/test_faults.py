"""Registries that break: in the middle, always, or until one waits a little."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from email.utils import formatdate

import pytest

from paas.errors import Cancelled, Conflict, Denied, InvalidInput, NotFound, PaasError, SystemFailure
from paas.registry.transport import Unreachable
from paas.system.files import ensure_directory
from paas.system.run import run
from tests.harness.registry import Answer, Proxy
from tests.image.tars import archive, file
from tests.registry.conftest import BASE, NOISE, Side, assert_nothing, is_blob


def test_a_connection_that_is_cut_is_taken_up_where_it_broke(there: Side, name: str, proxy: Proxy) -> None:
    proxy.fault = lambda method, path, headers: 1 << 20 if is_blob(path) else None
    assert there.files(there.pull(name)) == {"noise": NOISE}
    ranges = [headers.get("Range") for _, path, headers in proxy.requests if is_blob(path)]
    offsets = [int(each.removeprefix("bytes=").rstrip("-")) for each in ranges if each]
    assert len(offsets) >= 2
    assert offsets == sorted(set(offsets))


def test_a_registry_that_knows_no_ranges_sends_everything_again(there: Side, name: str, proxy: Proxy) -> None:
    cuts = [2 << 20]

    def fault(method: str, path: str, headers: dict[str, str]) -> int | None:
        headers.pop("Range", None)
        return cuts.pop() if cuts and is_blob(path) and len(proxy.paths("GET", "/blobs/")) > 1 else None

    proxy.fault = fault
    assert there.files(there.pull(name)) == {"noise": NOISE}
    assert not cuts


def test_a_registry_that_always_breaks_is_given_up(there: Side, name: str, proxy: Proxy) -> None:
    proxy.fault = lambda method, path, headers: 0 if is_blob(path) else None
    with pytest.raises(Unreachable):
        there.pull(name)
    assert_nothing(there)


@pytest.mark.parametrize("body", [b"x", b"x" * len(NOISE) * 2, b""], ids=["short", "long", "empty"])
def test_other_bytes_are_refused(there: Side, name: str, proxy: Proxy, body: bytes) -> None:
    def fault(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        return (200, {}, body) if is_blob(path) and len(proxy.paths("GET", "/blobs/")) > 1 else None

    proxy.fault = fault
    with pytest.raises((InvalidInput, Unreachable)):
        there.pull(name)
    assert_nothing(there)


def test_a_manifest_that_is_not_its_digest_is_refused(here: Side, there: Side, repo: str, proxy: Proxy) -> None:
    here.image(BASE, name=f"{repo}:1")
    digest = here.push(f"{repo}:1")
    proxy.fault = lambda method, path, headers: (200, {}, b'{"schemaVersion": 2}') if "/manifests/" in path else None
    with pytest.raises(InvalidInput, match="something else"):
        there.pull(f"{proxy.host}/{repo.partition('/')[2]}@{digest}")


@pytest.mark.parametrize(
    ("status", "headers", "kind", "words"),
    [
        (401, {"Www-Authenticate": 'Basic realm="x"'}, Denied, "paas login"),
        (403, {}, Denied, "paas login"),
        (404, {}, NotFound, "spelled right"),
        (429, {"Retry-After": "33"}, Conflict, "33 seconds"),
        (429, {"Retry-After": formatdate(time.time() + 1000, usegmt=True)}, Conflict, "seconds"),
        (429, {}, Conflict, "later"),
        (418, {}, PaasError, "later"),
    ],
)
def test_what_a_registry_refuses_has_words(
    there: Side, name: str, proxy: Proxy, status: int, headers: dict[str, str], kind: type[PaasError], words: str
) -> None:
    proxy.fault = lambda method, path, _: (status, headers, b"<html>no</html>") if "/manifests/" in path else None
    with pytest.raises(kind) as error:
        there.pull(name)
    assert words in str(error.value.hint)
    assert "html" not in error.value.message
    assert_nothing(there)


def test_errors_that_pass_are_waited_for(there: Side, name: str, proxy: Proxy) -> None:
    left = [503, 500]
    proxy.fault = lambda method, path, _: (left.pop(), {}, b"") if left and "/manifests/" in path else None
    there.pull(name)
    assert not left


def test_nobody_listens(there: Side) -> None:
    with pytest.raises(Unreachable):
        there.pull("127.0.0.1:1/app:1")


def test_a_push_that_is_cut_goes_on(here: Side, there: Side, repo: str, proxy: Proxy) -> None:
    target = f"{proxy.host}/{repo.partition('/')[2]}:2"
    big = os.urandom(20 << 20)
    here.image(archive(file("big", big)), name=target)
    left = [("PATCH", 503), ("PATCH", 503), ("PUT", 503), ("POST", 502)]

    def fault(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        if left and left[-1][0] == method and "/blobs/" in path:
            return left.pop()[1], {}, b""
        return None

    proxy.fault = fault
    here.push(target)
    assert len(left) <= 1
    assert there.files(there.pull(f"{repo}:2")) == {"big": big}


def test_a_slow_registry_is_cancelled_at_once(there: Side, name: str, proxy: Proxy) -> None:
    proxy.pause = 0.5
    told: list[float] = []

    def cancelled() -> bool:
        if re.search(r": Downloading \d[\d.]*k?B/3\.\d+MB", there.out.text):
            told.append(time.monotonic())
        return bool(told)

    with pytest.raises(Cancelled):
        there.registries.pull(name, there.out.line, cancelled)
    assert time.monotonic() - told[0] < 1
    assert_nothing(there)


def test_a_full_disk_has_words_and_leaves_nothing(there: Side, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_directory(there.paths.downloads)
    run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(there.paths.downloads)])
    try:
        with pytest.raises(SystemFailure, match="room"):
            there.pull(name)
        usage = shutil.disk_usage("/")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(SystemFailure, match="disk is full") as error:
            there.pull(name)
        assert "system:prune" in str(error.value.hint)
        assert_nothing(there)
    finally:
        run(["umount", str(there.paths.downloads)])


def test_layers_are_sent_several_at_a_time_and_one_that_fails_stops_them(
    here: Side, there: Side, repo: str, proxy: Proxy
) -> None:
    target = f"{proxy.host}/{repo.partition('/')[2]}:several"
    tars = [archive(file(f"part{number}", os.urandom(100_000))) for number in range(6)]
    image = here.image(*tars, name=target)
    together = threading.Event()

    def meet(method: str, path: str, headers: dict[str, str]) -> None:
        """The first upload waits for the second to come."""
        if method == "PUT" and "/uploads/" in path:
            if len(proxy.paths("PUT", "/uploads/")) >= 2:
                together.set()
            assert together.wait(10)

    proxy.fault = meet
    here.push(target)
    assert there.files(there.pull(target)) == here.files(image)

    other = f"{proxy.host}/{repo.partition('/')[2]}-other:1"
    here.image(*(archive(file(f"new{number}", os.urandom(100_000))) for number in range(6)), name=other)
    before = len(proxy.paths("PUT", "/uploads/"))
    proxy.fault = lambda method, path, headers: (403, {}, b"") if method == "PUT" and "/uploads/" in path else None
    with pytest.raises(Denied):
        here.push(other)
    assert len(proxy.paths("PUT", "/uploads/")) - before <= 3
    assert here.is_clean()
