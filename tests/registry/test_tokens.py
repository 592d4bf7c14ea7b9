"""Registries that want to know who asks, and who stands in between: tokens, proxies, mirrors."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable

import pytest

from paas.errors import Denied, InvalidInput
from paas.registry import transport
from paas.registry.credentials import Login
from tests.harness.registry import Answer, Proxy, Registry
from tests.registry.conftest import BASE, NOISE, Side, is_blob


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
