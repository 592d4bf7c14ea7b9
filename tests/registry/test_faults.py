"""Registries that break, lie, or want something."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest

from paas.errors import Cancelled, Conflict, Denied, InvalidInput, NotFound, PaasError, SystemFailure
from paas.registry import downloads, transport, uploads
from paas.registry.credentials import Login
from paas.registry.transport import Unreachable
from paas.system.files import ensure_directory
from paas.system.run import run
from tests.harness.registry import Answer, Proxy, Registry
from tests.image.tars import archive, file, hard_link, symlink
from tests.registry.conftest import Side

NOISE = os.urandom(3 << 20)
BASE = archive(file("noise", NOISE))
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (transport, downloads, uploads):
        monkeypatch.setattr(module, "PATIENCE", (0.01, 0.01, 0.01))


@pytest.fixture
def proxy(registry: Registry) -> Iterator[Proxy]:
    with Proxy(registry.port) as made:
        yield made


@pytest.fixture
def name(here: Side, repo: str, proxy: Proxy) -> str:
    """The name by which an image is reached through the proxy."""
    here.image(BASE, name=f"{repo}:1")
    here.push(f"{repo}:1")
    return f"{proxy.host}/{repo.partition('/')[2]}:1"


def is_blob(path: str) -> bool:
    return "/blobs/sha256:" in path


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
    ensure_directory(there.paths.scratch)
    run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(there.paths.scratch)])
    try:
        with pytest.raises(SystemFailure, match="room"):
            there.pull(name)
        usage = shutil.disk_usage("/")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(SystemFailure, match="disk is full") as error:
            there.pull(name)
        assert "images:prune" in str(error.value.hint)
        assert_nothing(there)
    finally:
        run(["umount", str(there.paths.scratch)])


# -- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_is_fetched_for_what_is_wanted(there: Side, name: str, proxy: Proxy) -> None:
    def fault(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        if path.startswith("/token"):
            return 200, {}, json.dumps({"token": "abc.def"}).encode()
        if path != "/v2/" and headers.pop("Authorization", "") != "Bearer abc.def":
            token = f'Bearer realm="http://{proxy.host}/token",service="s p",scope="repository:x:pull"'
            return 401, {"Www-Authenticate": f'Basic realm="a", {token}, Digest realm="c"'}, b""
        return None

    proxy.fault = fault
    there.registries.credentials.set(proxy.host, Login("robot", "secret"))
    there.pull(name)
    [token] = [(path, headers) for _, path, headers in proxy.requests if path.startswith("/token")]
    assert "service=s+p" in token[0] and "scope=repository%3Ax%3Apull" in token[0]
    assert token[1]["Authorization"].startswith("Basic ")


def test_tokens_that_expire_are_fetched_again(there: Side, name: str, proxy: Proxy) -> None:
    uses = {"n": 0, "tokens": 0}

    def fault(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        if path.startswith("/token"):
            uses["n"], uses["tokens"] = 0, uses["tokens"] + 1
            return 200, {}, json.dumps({"access_token": f"t{uses['tokens']}"}).encode()
        if path == "/v2/":
            return None
        uses["n"] += 1
        if headers.pop("Authorization", "") != f"Bearer t{uses['tokens']}" or uses["n"] > 2:
            return 401, {"Www-Authenticate": f'Bearer realm="http://{proxy.host}/token",service="s"'}, b""
        return None

    proxy.fault = fault
    there.pull(name)
    assert uses["tokens"] >= 2


def test_a_registry_that_takes_no_token_is_given_up(there: Side, name: str, proxy: Proxy) -> None:
    def fault(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "x"}'
        scope = os.urandom(4).hex()
        challenge = f'Bearer realm="http://{proxy.host}/token",service="s",scope="{scope}"'
        return 401, {"Www-Authenticate": challenge}, b""

    proxy.fault = fault
    with pytest.raises(Denied):
        there.pull(name)
    assert len(proxy.requests) < 20


def test_a_proxy_of_the_environment_is_used(here: Side, repo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(0, lambda method, path, headers: (200, {}, b"{}")) as proxy:
        monkeypatch.setenv("http_proxy", f"http://ann:s%40cret@{proxy.host}")
        monkeypatch.setenv("no_proxy", "")
        with transport.Transport(lambda: False) as made:
            assert made.fetch("GET", "http://registry.example.com/v2/", {}, limit=10).data == b"{}"
        [(_, path, headers)] = proxy.requests
        assert path == "http://registry.example.com/v2/"
        assert headers["Proxy-Authorization"] == "Basic " + base64.b64encode(b"ann:s@cret").decode()
        here.image(BASE, name=f"{repo}:1")
        here.push(f"{repo}:1")
        assert len(proxy.requests) == 1


def test_a_login_is_not_sent_without_tls_to_elsewhere(there: Side, name: str, proxy: Proxy) -> None:
    challenge = {"Www-Authenticate": 'Bearer realm="ftp://elsewhere.example/token"'}
    proxy.fault = lambda method, path, _: (401, challenge, b"") if "/manifests/" in path else None
    with pytest.raises(InvalidInput, match="no usable place"):
        there.pull(name)


def test_a_redirect_elsewhere_gets_no_login(there: Side, name: str, proxy: Proxy, registry: Registry) -> None:
    with Proxy(registry.port) as other:

        def fault(method: str, path: str, headers: dict[str, str]) -> Answer | None:
            if is_blob(path):
                return 307, {"Location": f"http://{other.host}{path}"}, b""
            if path != "/v2/" and "Authorization" not in headers:
                return 401, {"Www-Authenticate": 'Basic realm="x"'}, b""
            headers.pop("Authorization", None)
            return None

        proxy.fault = fault
        there.registries.credentials.set(proxy.host, Login("robot", "secret"))
        there.pull(name)
        assert other.requests
        assert not any("Authorization" in headers for _, _, headers in other.requests)


# -- mirrors ----------------------------------------------------------------------------------------------------------


def test_a_mirror_is_asked_for_what_docker_hub_has(
    here: Side, new_side: Callable[..., Side], registry: Registry, proxy: Proxy
) -> None:
    here.image(BASE, name=f"{registry.host}/library/mirrored:1")
    here.push(f"{registry.host}/library/mirrored:1")
    there = new_side(registry_mirrors=f"http://127.0.0.1:1, http://{proxy.host}")
    assert there.files(there.pull("mirrored:1")) == {"noise": NOISE}
    assert there.store.tagged("docker.io/library/mirrored:1") is not None
    assert proxy.paths("GET", "/v2/library/mirrored/manifests/1")
    assert not there.registries.is_newer("mirrored:1", lambda: False)


# -- hostile images ---------------------------------------------------------------------------------------------------


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


def assert_nothing(side: Side) -> None:
    assert side.is_clean()
    assert side.store.list() == []
    side.store.prune()
    assert [path.name for path in side.paths.layers.iterdir() if path.name != ".empty"] == []
