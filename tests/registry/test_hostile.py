"""Registries that lie: layers, configs and manifests that nobody should believe."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Callable

import pytest

from paas.errors import InvalidInput, NotFound
from tests.harness.registry import Answer, Proxy
from tests.image.tars import archive, file, hard_link, symlink
from tests.registry.conftest import BASE, INDEX, MANIFEST, NOISE, Side, assert_nothing, is_blob


def serve_image(
    proxy: Proxy, *layers: bytes, diff_ids: list[str] | None = None, changes: dict[str, object] | None = None
) -> str:
    """Let the proxy serve an image of these blobs; returns its name. `changes` are of its manifest."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes) -> dict[str, object]:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": "application/octet-stream", "digest": digest, "size": len(data)}

    if diff_ids is None:
        plain = [gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer for layer in layers]
        diff_ids = ["sha256:" + hashlib.sha256(each).hexdigest() for each in plain]
    config = put(json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode())
    config["mediaType"] = "application/vnd.oci.image.config.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [put(each) for each in layers]}
    data = json.dumps(manifest | (changes or {})).encode()

    def fault(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        if "/manifests/" in path:
            return 200, {"Content-Type": MANIFEST}, data
        return (200, {}, blobs[path.rpartition("/")[2]]) if is_blob(path) else (200, {}, b"{}")

    proxy.fault = fault
    return f"{proxy.host}/hostile:1"


HOSTILE = {
    "dots": archive(file("../outside", b"x")),
    "inner dots": archive(file("a/../../outside", b"x")),
    "hard link out": archive(hard_link("link", "../../../etc/passwd")),
    "hard link through a symlink": archive(symlink("s", "/etc"), hard_link("link", "s/passwd")),
    "whiteout of the parent": archive(file(".wh...", b"")),
    "no tar": b"no tar at all" * 100,
    "cut": archive(file("a", b"x" * 5000))[:3000],
    "cut gzip": gzip.compress(BASE)[:-100000],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_layers_leave_nothing(there: Side, proxy: Proxy, kind: str) -> None:
    data = HOSTILE[kind]
    good = archive(file("good"))
    diff_ids = ["sha256:" + hashlib.sha256(each).hexdigest() for each in (good, data)]
    name = serve_image(proxy, gzip.compress(good), data, diff_ids=diff_ids)
    with pytest.raises(InvalidInput):
        there.pull(name)
    assert_nothing(there)


def test_absolute_names_and_symlinks_stay_inside(there: Side, proxy: Proxy) -> None:
    evil = archive(symlink("out", "/"), file("/abs", b"1"), file("out/through", b"2"))
    image = there.pull(serve_image(proxy, evil))
    assert there.files(image)["abs"] == b"1"
    assert not os.path.exists("/abs") and not os.path.exists("/through")  # noqa: PTH110


def test_a_bomb_is_stopped_at_the_limit(new_side: Callable[..., Side], proxy: Proxy) -> None:
    there = new_side(image_limit=4 << 20)
    with pytest.raises(InvalidInput, match="larger than"):
        there.pull(serve_image(proxy, gzip.compress(archive(file("zeros", bytes(64 << 20))))))
    assert_nothing(there)


def test_content_that_is_not_its_diff_id_is_refused(there: Side, proxy: Proxy) -> None:
    with pytest.raises(InvalidInput, match="not what the image's config says"):
        there.pull(serve_image(proxy, gzip.compress(BASE), diff_ids=["sha256:" + "1" * 64]))
    assert_nothing(there)


@pytest.mark.parametrize(
    "changes",
    [
        {"schemaVersion": 1},
        {"layers": None},
        {"layers": [{}]},
        {"layers": [{"mediaType": "x", "digest": "sha256:../../etc", "size": 1}]},
        {"layers": [{"mediaType": "x", "digest": "sha256:" + "a" * 64, "size": -1}]},
        {"layers": [{"mediaType": "x", "digest": "sha256:" + "a" * 64, "size": True}]},
        {"layers": []},
        {"config": None},
        {
            "config": {
                "mediaType": "application/vnd.cncf.helm.config.v1+json",
                "digest": "sha256:" + "a" * 64,
                "size": 2,
            }
        },
        {"mediaType": "application/x-something", "layers": "no"},
        {"mediaType": INDEX},
    ],
)
def test_manifests_that_make_no_sense_are_refused(there: Side, proxy: Proxy, changes: dict[str, object]) -> None:
    name = serve_image(proxy, BASE, changes=changes)
    with pytest.raises(InvalidInput):
        there.pull(name)
    assert_nothing(there)


def test_an_index_gives_this_machines_image(there: Side, proxy: Proxy) -> None:
    name = serve_image(proxy, BASE)
    inner = proxy.fault
    answer = inner("GET", "/manifests/", {})
    assert isinstance(answer, tuple)
    digest = "sha256:" + hashlib.sha256(answer[2]).hexdigest()

    def entry(system: str, machine: str, digest: str) -> dict[str, object]:
        platform = {"os": system, "architecture": machine}
        return {"mediaType": MANIFEST, "digest": digest, "size": len(answer[2]), "platform": platform}

    wrong = "sha256:" + "f" * 64
    mine = os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64")
    entries = [entry("linux", "s390x", wrong), entry("unknown", "unknown", wrong), entry("linux", mine, digest)]

    def index(method: str, path: str, headers: dict[str, str]) -> Answer | int | None:
        if path.endswith("/manifests/1"):
            return 200, {"Content-Type": INDEX}, json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
        return inner(method, path, headers)

    proxy.fault = index
    assert there.files(there.pull(name)) == {"noise": NOISE}
    entries.pop()
    with pytest.raises(NotFound, match="not made for linux/") as error:
        there.pull(name)
    assert "linux/s390x" in str(error.value.hint)
