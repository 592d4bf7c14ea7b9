"""Certificates: added over ssh and on the host, seen by clients that check them."""

from __future__ import annotations

import io
import json
import ssl
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paas.system import run as system
from tests.conftest import MachineMaker
from tests.harness import tls
from tests.harness.apps import echo, httpd
from tests.harness.authority import Authority
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.harness.web import Response
from tests.machine import DOMAIN, Machine

APP, OTHER = "tls", "tls-other"
HOST = f"{APP}.{DOMAIN}"


@dataclass(frozen=True, slots=True)
class World:
    machine: Machine
    client: Client
    authority: Authority

    def add(self, *hostnames: str, days: int = 90, app: str = APP) -> str:
        """Give an app a certificate of the authority; returns what was said on stderr."""
        crt, key = self.authority.issue(*hostnames, days=days)
        return self.client.ssh("certs:add", app, input=archive(crt + self.authority.intermediate_pem, key)).error

    def get(self, hostname: str = HOST, path: str = "/") -> Response:
        return tls.get(self.machine.address, hostname, path, self.authority.root_pem)

    def report(self, app: str = APP) -> dict[str, str | bool]:
        return dict(json.loads(self.client.ssh("certs:report", app, "--format", "json").text))

    def curl(self, *words: str) -> str:
        """By HTTP/2 where both can, unchecked; prints status and version after the answer."""
        at = ["--resolve", f"{HOST}:443:{self.machine.address}"]
        return system.run(["curl", "-sk", "-m", "10", "-w", "\n%{http_code} HTTP/%{http_version}", *at, *words]).text


@pytest.fixture(scope="module")
def world(machine: Machine) -> Iterator[World]:
    client = machine.client("tls", admin=True)
    client.repository(APP, echo()).push(APP)
    client.repository(OTHER, httpd("other")).push(OTHER)
    yield World(machine, client, Authority())
    for app in (APP, OTHER):
        machine.paas("apps:destroy", app, "--force")
    assert not list((machine.data_dir / "certs").glob("*/*"))


def archive(crt: str, key: str, names: tuple[str, str] = ("server.crt", "server.key")) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, text in zip(names, (crt, key), strict=True):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def test_https(world: World) -> None:
    machine = world.machine
    with pytest.raises(ssl.SSLError):
        world.get()
    assert "It is not for" not in world.add(HOST)
    answer = world.get()
    assert answer.headers["strict-transport-security"] == "max-age=15724800; includeSubDomains"
    for line in ("X-Forwarded-Proto: https", "X-Forwarded-Port: 443", f"X-Forwarded-For: {machine.host_address}"):
        assert line in answer.text.splitlines()
    plain = machine.get(APP, "/path?q=1")
    assert (plain.status, plain.headers["location"]) == (301, f"https://{HOST}/path?q=1")
    assert world.client.ssh("urls", APP).text == f"https://{HOST}\n"
    assert world.curl(f"https://{HOST}/").endswith("200 HTTP/2")
    with tls.connect(machine.address, HOST, world.authority.root_pem) as secure:
        assert secure.version() == "TLSv1.3"
        secure.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode())
        assert b" 101 " in secure.recv(4096)
        secure.sendall(b"hello")
        assert secure.recv(100) == b"hello"


def test_hosts_without_a_certificate_are_refused(world: World) -> None:
    world.add(HOST)
    for hostname in (f"{OTHER}.{DOMAIN}", "nobody.example.com"):
        with pytest.raises(ssl.SSLError, match="unrecognized"):
            tls.connect(world.machine.address, hostname)
    assert world.machine.get(OTHER).text == "other\n", "it is served by http as before"
    done = system.run(["curl", "-sk", "--tls-max", "1.1", f"https://{world.machine.address}/"], check=False)
    assert done.status != 0


def test_each_hostname_gets_its_own_certificate_and_a_wildcard_covers_one_label(world: World) -> None:
    client = world.client
    client.ssh("domains:add", APP, "*.wild.example.com", "apart.example.com")
    said = world.add(HOST, "*.wild.example.com")
    assert "not for apart.example.com" in said
    world.add(f"{OTHER}.{DOMAIN}", app=OTHER)
    assert "Host: x.wild.example.com" in world.get("x.wild.example.com").text
    assert world.get(f"{OTHER}.{DOMAIN}").text == "other\n"
    assert "Host: apart.example.com" in world.machine.get("apart.example.com").text, "by http, not redirected"
    assert world.report()["ssl-hostnames"] == f"{HOST} *.wild.example.com"
    client.ssh("certs:remove", OTHER)
    client.ssh("domains:reset", APP)


def test_what_is_said_of_a_certificate(world: World) -> None:
    world.add(HOST)
    found = world.report()
    assert (found["ssl-enabled"], found["ssl-subject"], found["ssl-issuer"]) == (True, f"CN={HOST}", "CN=Test Issuer")
    assert world.client.ssh("certs:report", APP, "--ssl-verified").text.startswith("not verified by an authority")
    shown = world.client.ssh("certs:show", APP, "crt").text
    assert shown.count("BEGIN CERTIFICATE") == 2
    key = world.client.ssh("certs:show", APP, "key").text
    plain = world.machine.client("tls-plain")
    assert plain.ssh("certs:show", APP, "crt").text == shown
    denied = plain.ssh("certs:show", APP, "key", check=False)
    assert denied.status == 1 and "admin" in denied.error and not denied.text
    world.client.ssh("ssh-keys:remove", "tls-plain")
    directory = Path(str(found["ssl-dir"]))
    assert {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()} == {
        "server.crt": 0o600,
        "server.key": 0o600,
    }
    assert (directory / "server.key").stat().st_uid == 0
    assert key.splitlines()[1] not in world.machine.engine_log + world.client.ssh("events", APP).text
    assert "expired" in world.add(HOST, days=-1)
    assert "expires soon" in world.add(HOST, days=5)


def test_what_is_refused_leaves_what_was_there(world: World) -> None:
    world.add(HOST)
    before = world.report()
    crt, key = world.authority.issue(HOST)
    chain = world.authority.intermediate_pem
    for data, words in (
        (archive(crt, world.authority.issue(HOST)[1]), "does not belong"),
        (archive(chain + crt, key), "wrong order"),
        (archive(crt, key, ("server.crt", "server.txt")), "no server.key"),
        (archive("x" * (300 << 10), key), "no server.crt"),
        (archive(crt, key)[:600], "not a tar archive|cannot be read|no server"),
        (b"", "not a tar archive"),
        (crt.encode() + key.encode(), "not a tar archive"),
    ):
        done = world.client.ssh("certs:add", APP, input=data, check=False)
        assert done.status == 1 and any(word in done.error for word in words.split("|")), done.error
        assert key.splitlines()[1] not in done.error
    said = world.client.ssh("certs:add", APP, "/etc/ssl/certs/x.pem", "/etc/shadow", check=False)
    assert said.status == 1 and "only on the host itself" in said.error
    assert world.report() == before
    assert len(list(Path(str(before["ssl-dir"])).parent.iterdir())) == 1


def test_files_on_the_host_and_a_certificate_for_trying(world: World) -> None:
    machine = world.machine
    crt, key = world.authority.issue(HOST)
    (machine.disk / "own cert.pem").write_text(crt + world.authority.intermediate_pem)
    (machine.disk / "own.key").write_text(key)
    machine.paas("certs:update", APP, str(machine.disk / "own cert.pem"), str(machine.disk / "own.key"))
    assert world.get().status == 200
    missing = machine.paas("certs:add", APP, str(machine.disk / "nothing"), str(machine.disk / "own.key"), check=False)
    assert missing.status == 1 and "cannot be read" in missing.error
    world.client.ssh("certs:generate", APP)
    assert world.report()["ssl-verified"] == "self signed"
    assert tls.get(machine.address, HOST).status == 200
    world.client.ssh("nginx:set", APP, "hsts-preload", "true")
    assert "preload" in tls.get(machine.address, HOST).headers["strict-transport-security"]
    world.client.ssh("nginx:set", APP, "hsts", "false")
    assert "strict-transport-security" not in tls.get(machine.address, HOST).headers
    for setting in ("hsts", "hsts-preload"):
        world.client.ssh("nginx:set", APP, setting)
    world.client.ssh("certs:remove", APP)
    with pytest.raises(ssl.SSLError):
        tls.get(machine.address, HOST)
    assert machine.get(APP).status == 200
    again = world.client.ssh("certs:remove", APP, check=False)
    assert again.status == 1 and "has no certificate" in again.error


def test_port_maps_that_speak_tls(world: World) -> None:
    client, machine = world.client, world.machine
    warned = client.ssh("ports:add", APP, "https:8443:5000")
    assert "has no certificate" in warned.error
    client.ssh("certs:generate", APP)
    with tls.connect(machine.address, "any.example.com", port=8443) as secure:
        assert secure.version()
    assert f"https://{HOST}:8443" in client.ssh("urls", APP).text
    client.ssh("proxy:set", APP, "proxy-ssl-port", "9443")
    assert machine.get(APP).headers["location"] == f"https://{HOST}:9443/"
    client.ssh("proxy:set", APP, "proxy-ssl-port")
    client.ssh("ports:clear", APP)
    client.ssh("certs:remove", APP)


def test_https_outlives_the_engine_and_one_damaged_key_harms_nobody_else(new_machine: MachineMaker) -> None:
    machine = new_machine()
    client, authority = machine.client("me", admin=True), Authority()
    world = World(machine, client, authority)
    for app in (APP, OTHER):
        client.repository(app, httpd(app)).push(app)
        world.add(f"{app}.{DOMAIN}", app=app)
    machine.engine_kill()
    assert world.get().text == f"{APP}\n", "nginx serves without the engine"
    machine.engine_start()
    assert world.get().text == f"{APP}\n"
    key = Path(str(world.report()["ssl-dir"])) / "server.key"
    key.write_text("damaged")
    client.ssh("domains:add", OTHER, "more.example.com")
    assert world.get(f"{OTHER}.{DOMAIN}").text == f"{OTHER}\n"
    assert machine.get("more.example.com").text == f"{OTHER}\n", "the change of another app is in force"
    assert machine.get(APP).status == 503, "never without what is set on it"
    done = client.ssh("nginx:validate-config", check=False)
    assert done.status == 1 and f"{APP}: " in done.error and "server.key" in done.error
    assert f"{OTHER}: the configuration is valid" in done.text
    said = client.ssh("domains:add", APP, "new.example.com", check=False)
    assert said.status == 1 and "server.key" in said.error
    client.ssh("apps:rename", APP, "renamed")
    machine.engine_stop()
    machine.power_off()
    machine.boot()
    machine.engine_start()
    wait_until(lambda: world.get(f"{OTHER}.{DOMAIN}").text == f"{OTHER}\n", "after a restart of the machine too")
    world.add(f"renamed.{DOMAIN}", app="renamed")
    wait_until(lambda: world.get(f"renamed.{DOMAIN}").text == f"{APP}\n", "its new certificate mends it")
