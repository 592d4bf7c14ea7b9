"""Looking for images: in a registry's catalog, by an index's own search, and where there is neither."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from paas.errors import Conflict, Denied, PaasError
from paas.registry.credentials import Login
from paas.registry.search import Hit
from tests.harness.registry import PASSWORD, USER, Answer, Proxy, Registry
from tests.registry.conftest import Side

HITS = {
    "results": [
        {"name": "debian", "description": "A \x1b[31mdistribution", "star_count": 9, "is_official": True},
        {"name": "some/debian-like", "description": None, "star_count": "many"},
        {"name": "Not/a name"},
        "nothing",
    ]
}


@pytest.fixture
def index() -> Iterator[Proxy]:
    """A registry with a search of its own."""

    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        if path.startswith("/v1/search?"):
            return 200, {}, json.dumps(HITS).encode()
        return (200, {}, b"{}") if path == "/v2/" else (404, {}, b"")

    with Proxy(0, answer) as proxy:
        yield proxy


def search(side: Side, registry: str, term: str, limit: int = 25) -> list[Hit]:
    return side.registries.search(registry, term, limit, lambda: False)


def test_by_catalog(here: Side, registry: Registry, repo: str) -> None:
    here.image(name=f"{repo}/shop:1")
    here.image(name=f"{repo}/shop-db:1")
    for name in ("shop", "shop-db"):
        here.push(f"{repo}/{name}:1")
    mark = repo.rpartition("/")[2]
    assert [hit.name for hit in search(here, registry.host, f"{mark}/shop")] == [f"{repo}/shop", f"{repo}/shop-db"]
    assert len(search(here, registry.host, mark, limit=1)) == 1
    assert search(here, registry.host, "nothing-like-it") == []


def test_by_an_index(here: Side, index: Proxy) -> None:
    first, second = search(here, index.host, "debian & more")
    assert (first.name, first.stars, first.official) == (f"{index.host}/debian", 9, True)
    assert (second.name, second.description, second.stars) == (f"{index.host}/some/debian-like", "", 0)
    assert index.paths("GET", "/v1/search") == ["/v1/search?q=debian+%26+more&n=25"]


def test_pages_of_a_catalog(here: Side) -> None:
    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        if path == "/v2/_catalog?n=1000":
            link = {"Link": '</v2/_catalog?n=1000&last=shop>; rel="next"'}
            return 200, link, b'{"repositories": ["other", "shop", 7]}'
        if path.startswith("/v2/_catalog"):
            return 200, {"Link": '<http://elsewhere.test/>; rel="next"'}, b'{"repositories": ["shop2"]}'
        return (200, {}, b"{}") if path == "/v2/" else (404, {}, b"")

    with Proxy(0, answer) as proxy:
        assert [hit.name for hit in search(here, proxy.host, "shop")] == [f"{proxy.host}/shop", f"{proxy.host}/shop2"]


@pytest.mark.parametrize("status", [404, 405])
def test_neither(here: Side, status: int) -> None:
    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        return 200 if path == "/v2/" else status, {}, b""

    with Proxy(0, answer) as proxy, pytest.raises(Conflict, match="offers no search") as error:
        search(here, proxy.host, "shop")
    assert f"paas pull {proxy.host}/NAME" in str(error.value.hint)


@pytest.mark.parametrize("data", [b"not json", b"[]", b'{"repositories": {}}', b"[" * 10000])
def test_nonsense(here: Side, data: bytes) -> None:
    with Proxy(0, lambda method, path, headers: (200, {}, data)) as proxy:
        try:
            assert search(here, proxy.host, "shop") == []
        except PaasError as error:
            assert "damaged" in error.message


def test_with_a_login(here: Side, secure_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure_registry.ca))
    with pytest.raises(Denied):
        search(here, secure_registry.host, "x")
    here.registries.log_in(secure_registry.host, Login(USER, PASSWORD), lambda: False)
    assert search(here, secure_registry.host, "nothing-like-it") == []
