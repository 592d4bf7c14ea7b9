"""A large layer is on its way before all of it is packed."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from paas.image.packing import Packed, pack_layer
from paas.registry import push, uploads
from tests.harness.registry import Proxy
from tests.harness.waiting import wait_until
from tests.image.tars import archive, file
from tests.registry.conftest import Side

BIG = os.urandom(4 << 20)


@pytest.fixture
def target(repo: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> str:
    """A name by way of the proxy. Packing takes until something was sent, in small chunks."""

    def slowly(*arguments: object) -> Packed:
        packed: Packed = real(*arguments)
        wait_until(lambda: proxy.paths("PATCH", "/blobs/uploads/"), "a chunk is sent")
        return packed

    real: Callable[..., Packed] = pack_layer
    monkeypatch.setattr(push, "pack_layer", slowly)
    monkeypatch.setattr(uploads, "_CHUNK", 1 << 18)
    return f"{proxy.host}/{repo.partition('/')[2]}:1"


def test_it_arrives_whole(here: Side, there: Side, repo: str, proxy: Proxy, target: str) -> None:
    here.image(archive(file("big", BIG)), name=target)
    here.push(target)
    methods = [method for method, path, _ in proxy.requests if "/blobs/" in path]
    assert methods.index("PATCH") < methods.index("HEAD")
    assert there.files(there.pull(f"{repo}:1")) == {"big": BIG}
    assert here.is_clean()


@pytest.mark.parametrize("status", [503, 404, 400])
def test_a_beginning_that_is_refused_is_sent_again(
    here: Side, there: Side, repo: str, proxy: Proxy, target: str, status: int
) -> None:
    refused: list[str] = []

    def fault(method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes] | None:
        if method == "PATCH" and not refused:
            refused.append(path)
            return status, {}, b""
        return None

    proxy.fault = fault
    here.image(archive(file("big", BIG)), name=target)
    here.push(target)
    assert there.files(there.pull(f"{repo}:1")) == {"big": BIG}


def test_it_stops_when_the_registry_has_the_layer(
    here: Side, there: Side, repo: str, proxy: Proxy, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as plainly:
        plainly.setattr(push, "pack_layer", pack_layer)
        there.image(archive(file("big", BIG)), name=f"{repo}:1")
        there.push(f"{repo}:1")
    here.image(archive(file("big", BIG)), name=target)
    here.push(target)
    assert "Layer already exists" in here.out.text
    assert proxy.paths("DELETE", "/blobs/uploads/")
    assert not proxy.paths("PUT", "/blobs/uploads/")
