"""The edge of an app, as its owner sets it over ssh and visitors see it."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import tarfile
import threading
from collections.abc import Iterator

import pytest

from paas.system import run as system
from tests.harness.apps import echo, httpd
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.harness.web import Response, request
from tests.machine import DOMAIN, Machine

APP, OTHER = "edge", "edge-other"
MISSING = [
    ("domains:add", "nowhere", "a.example.com"),
    ("domains:enable", "nowhere"),
    ("domains:report", "nowhere"),
    ("ports:set", "nowhere", "http:80:80"),
    ("ports:report", "nowhere"),
    ("proxy:set", "nowhere", "proxy-port", "8080"),
    ("proxy:disable", "nowhere"),
    ("nginx:set", "nowhere", "hsts", "false"),
    ("nginx:report", "nowhere"),
    ("nginx:access-logs", "nowhere"),
    ("nginx:validate-config", "nowhere"),
    ("certs:generate", "nowhere"),
    ("certs:report", "nowhere"),
    ("certs:remove", "nowhere"),
    ("maintenance:enable", "nowhere"),
    ("maintenance:custom-page", "nowhere"),
    ("http-auth:enable", "nowhere"),
    ("http-auth:add-user", "nowhere", "anna"),
    ("redirect:set", "nowhere", "a.example.com", "b.example.com"),
    ("url", "nowhere"),
]


@pytest.fixture(scope="module")
def client(machine: Machine) -> Iterator[Client]:
    found = machine.client("edge", admin=True)
    found.repository(APP, echo()).push(APP)
    found.repository(OTHER, httpd("other")).push(OTHER)
    yield found
    for app in (APP, OTHER):
        machine.paas("apps:destroy", app, "--force")


def report(client: Client, noun: str, app: str = APP) -> dict[str, str | bool]:
    return dict(json.loads(client.ssh(f"{noun}:report", app, "--format", "json").text))


def refused(client: Client, *words: str, input: bytes | None = None) -> str:
    """Run a command that is to fail; returns what it said."""
    done = client.ssh(*words, check=False, input=input)
    assert done.status in (1, 2), f"{words}: {done.text}"
    return done.error


def ask(machine: Machine, path: str = "/", *, host: str = f"{APP}.{DOMAIN}", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(machine.address, 80, host, path, headers=named)


@pytest.mark.parametrize("words", MISSING, ids=lambda words: words[0])
def test_a_missing_app(client: Client, words: tuple[str, ...]) -> None:
    done = client.ssh(*words, check=False, input=b"<p>x")
    assert done.status == 20 and "App nowhere does not exist" in done.error


def test_domains(machine: Machine, client: Client) -> None:
    client.ssh("domains:set", APP, "b.example.com", "*.wild.example.com", "bücher.example.com")
    assert client.ssh("domains:report", APP, "--domains-app-vhosts").text == (
        "b.example.com *.wild.example.com xn--bcher-kva.example.com\n"
    )
    assert "*" not in client.ssh("urls", APP).text
    assert client.ssh("url", APP).text == "http://b.example.com\n", "the first is the most important"
    for host in ("x.wild.example.com", "xn--bcher-kva.example.com", "B.example.com"):
        assert ask(machine, host=host).status == 200
    assert f"belongs to app {APP}" in refused(client, "domains:add", OTHER, "b.example.com")
    assert f"belongs to app {OTHER}" in refused(client, "domains:add", APP, f"{OTHER}.{DOMAIN}")
    client.ssh("domains:disable", APP)
    assert report(client, "domains")["domains-app-enabled"] is False
    with pytest.raises(OSError):
        ask(machine, host="b.example.com")
    client.ssh("domains:enable", "--all")
    assert ask(machine, host="b.example.com").status == 200
    assert "Name one app" in refused(client, "domains:enable")
    client.ssh("domains:reset", APP)
    assert report(client, "domains")["domains-app-vhosts"] == f"{APP}.{DOMAIN}"
    assert "valid flags: --domains-app-enabled" in refused(client, "domains:report", APP, "--domains-nothing")
    assert "not a global domain" in refused(client, "domains:remove-global", "nobody.example.com")


def test_ports_and_the_proxy(machine: Machine, client: Client) -> None:
    assert client.ssh("ports:report", APP, "--ports-map-detected").text == "http:80:5000\n"
    client.ssh("ports:set", APP, "http:9100:5000", "tcp:9101:5000")
    assert report(client, "ports")["ports-map"] == "http:80:5000 http:9100:5000 tcp:9101:5000"
    assert machine.get("any.example.com", port=9100).status == 200
    assert "the same host port" in refused(client, "ports:set", APP, "http:9100:1", "https:9100:1")
    assert "not a port" in refused(client, "ports:add", APP, "http:80;x:1")
    client.ssh("ports:clear", APP)
    with pytest.raises(OSError):
        machine.get("any.example.com", port=9100)
    assert "only type is nginx" in refused(client, "proxy:set", APP, "type", "caddy")
    client.ssh("proxy:set", APP, "proxy-port", "9102")
    assert client.ssh("proxy:report", APP, "--proxy-computed-proxy-port").text == "9102\n"
    assert client.ssh("url", APP).text == f"http://{APP}.{DOMAIN}:9102\n"
    assert machine.get(APP, port=9102).status == 200
    assert f"mapped to app {APP}" in refused(client, "ports:add", OTHER, "tcp:9102:5000")
    assert "used by paas itself" in refused(client, "proxy:set", APP, "proxy-port", "2222")
    client.ssh("proxy:set", APP, "proxy-port")
    for off, on in (("proxy:disable", "proxy:enable"), ("proxy:clear-config", "proxy:build-config")):
        client.ssh(off, APP)
        with pytest.raises(OSError):
            ask(machine)
        assert client.ssh("urls", APP).text == "" and "no hostname" in refused(client, "url", APP)
        client.ssh(on, APP)
        assert ask(machine).status == 200


def test_nginx_settings(machine: Machine, client: Client) -> None:
    large = b"x" * (65 << 20)
    assert _answer_to_head(machine, len(large)).startswith(b"HTTP/1.1 413 ")
    client.ssh("nginx:set", APP, "client-max-body-size", "200m")
    found = report(client, "nginx")
    assert (found["nginx-client-max-body-size"], found["nginx-computed-send-timeout"]) == ("200m", "60s")
    for buffering in ("on", "off"):
        client.ssh("nginx:set", APP, "proxy-request-buffering", buffering)
        answer = request(machine.address, 80, f"{APP}.{DOMAIN}", method="POST", body=large, timeout=60)
        assert f"Body: {len(large)}" in answer.text
    client.ssh("nginx:set", APP, "x-forwarded-for-value", "$http_x_forwarded_for, $remote_addr")
    assert f"X-Forwarded-For: 192.0.2.1, {machine.host_address}" in ask(machine, X_Forwarded_For="192.0.2.1").text
    for key in ("client-max-body-size", "proxy-request-buffering", "x-forwarded-for-value"):
        client.ssh("nginx:set", APP, key)
    assert report(client, "nginx")["nginx-computed-client-max-body-size"] == "64m"


def test_hostile_values_through_a_shell(client: Client) -> None:
    before = client.ssh("nginx:show-config", APP).text
    for key, value in (
        ("client-max-body-size", "1m; return 200 'x'"),
        ("client-max-body-size", "1m\nreturn 200;"),
        ("x-forwarded-for-value", '$remote_addr"; return 200 "$(id)'),
        ("access-log-path", "/etc/cron.d/x"),
        ("access-log-format", "paas; load_module x.so"),
        ("bind-address-ipv4", "127.0.0.1:80 default_server"),
        ("http2", "off"),
        ("no-such-key", "x"),
    ):
        refused(client, "nginx:set", APP, key, value)
    refused(client, "redirect:set", APP, "a.example.com", 'b.example.com/"; return 200 "x')
    refused(client, "http-auth:add-user", APP, "a:b", "x")
    refused(client, "http-auth:add-allowed-ip", APP, "all; allow all")
    assert client.ssh("nginx:show-config", APP).text == before


def test_what_nginx_itself_refuses_is_taken_back(machine: Machine, client: Client) -> None:
    said = refused(client, "nginx:set", APP, "proxy-buffer-size", "512k")
    assert "proxy_busy_buffers_size" in said and str(machine.run_dir) not in said
    assert report(client, "nginx")["nginx-proxy-buffer-size"] == ""
    said = refused(client, "nginx:set", "--global", "proxy-buffer-size", "512k")
    assert "cannot be served" in said
    assert report(client, "nginx")["nginx-global-proxy-buffer-size"] == ""
    assert "is valid" in client.ssh("nginx:validate-config", APP).text
    assert ask(machine).status == 200


def test_only_some_see_the_app_by_an_address_of_the_host(machine: Machine, client: Client) -> None:
    client.ssh("nginx:set", APP, "bind-address-ipv4", "127.0.0.1")
    try:
        with pytest.raises(OSError):
            ask(machine)
        assert machine.get_inside(APP).status == 200
        assert machine.get(OTHER).text == machine.get_inside(OTHER).text == "other\n", "others are where they were"
    finally:
        client.ssh("nginx:set", APP, "bind-address-ipv4")


def test_headers_and_websockets(machine: Machine, client: Client) -> None:
    seen = ask(machine, X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https").text
    for line in (
        f"Host: {APP}.{DOMAIN}",
        f"X-Forwarded-For: {machine.host_address}",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Port: 80",
        f"X-Real-IP: {machine.host_address}",
    ):
        assert line in seen.splitlines()
    with socket.create_connection((machine.address, 80), timeout=10) as web:
        web.sendall(
            f"GET / HTTP/1.1\r\nHost: {APP}.{DOMAIN}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode()
        )
        assert b" 101 " in web.recv(4096)
        web.sendall(b"hello")
        assert web.recv(100) == b"hello"


def test_logs(machine: Machine, client: Client) -> None:
    following = threading.Thread(target=lambda: seen.append(_follow(client)))
    seen: list[str] = []
    following.start()
    try:
        wait_until(
            lambda: ask(machine, "/marked-request").status == 200 and seen, "the request is seen as it is logged"
        )
    finally:
        following.join()
    marked = '"GET /marked-request HTTP/1.1" 200'
    wait_until(lambda: marked in client.ssh("nginx:access-logs", APP, "-n", "1").text, "nginx has written it")
    client.ssh("nginx:set", APP, "access-log-format", "json")
    ask(machine, '/a"b')
    last = wait_until(
        lambda: re.findall(r"^{.*", client.ssh("nginx:access-logs", APP, "-n", "1").text), "it is written"
    )
    line = json.loads(last[0])
    assert (line["uri"], line["status"]) == ('/a"b', "200")
    client.ssh("nginx:set", APP, "access-log-path", "off")
    ask(machine, "/unseen")
    assert "unseen" not in client.ssh("nginx:access-logs", APP, "-n", "3").text
    client.ssh("nginx:set", APP, "access-log-path")
    client.ssh("nginx:set", APP, "access-log-format")
    assert client.ssh("nginx:error-logs", APP).status == 0
    refused(client, "nginx:access-logs", APP, "-n", "x")


def _follow(client: Client) -> str:
    """The first line that nginx:access-logs -t shows of the marked request; then the caller hangs up."""
    argv = client.ssh_command("nginx:access-logs", APP, "-t", "-n", "1")
    process = system.start(argv, stdout=system.PIPE)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if b"marked-request" in line:
                return line.decode()
        return ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_maintenance(machine: Machine, client: Client) -> None:
    client.ssh("maintenance:enable", APP)
    answer = ask(machine, "/any/path")
    assert (answer.status, answer.headers["retry-after"]) == (503, "60") and "Down for maintenance" in answer.text
    client.ssh("maintenance:custom-page", APP, input="<h1>Zurück um 5 'Uhr'</h1>".encode())
    assert ask(machine).body == "<h1>Zurück um 5 'Uhr'</h1>".encode()
    client.ssh(
        "maintenance:custom-page", APP, input=_tar({"maintenance.html": b"<img src=/img/a.png>", "img/a.png": b"png"})
    )
    page, image = ask(machine), ask(machine, "/img/a.png")
    assert (page.status, page.body, image.status, image.body) == (503, b"<img src=/img/a.png>", 200, b"png")
    assert request(machine.address, 80, f"{APP}.{DOMAIN}", "/img/a.png", method="POST", body=b"x").status == 503
    for bad, words in (
        (b"no page", "neither HTML nor"),
        (b"", "neither HTML nor"),
        (_tar({"index.html": b"<p>"}), "has no maintenance.html"),
        (_tar({"maintenance.html": b"<p>", "../../escape": b"x"}), "not a plain file"),
        (_tar({"maintenance.html": b"<p>"}, link="/etc/shadow"), "not a plain file"),
        (_tar({"maintenance.html": b"<p>"})[:700], "cannot be read"),
    ):
        assert words in refused(client, "maintenance:custom-page", APP, input=bad)
    assert report(client, "maintenance") == {"maintenance-enabled": True, "maintenance-custom-page": True}
    client.ssh("maintenance:custom-page", APP, "--reset")
    assert "Down for maintenance" in ask(machine).text
    client.ssh("maintenance:disable", APP)
    assert ask(machine).status == 200
    assert not list((machine.data_dir / "nginx" / "maintenance").glob("*/*")), "pages that do not hold are removed"


def test_passwords(machine: Machine, client: Client) -> None:
    password = 'it\'s a "pass word" $HOME ü\\'
    assert "Nobody gets in yet" in client.ssh("http-auth:enable", APP).error
    assert ask(machine).status == 403
    client.ssh("http-auth:add-user", APP, "anna", input=f"{password}\n".encode())
    client.ssh("http-auth:add-user", APP, "bert@example.com", "short")
    assert ask(machine).status == 401
    assert ask(machine, Authorization=_basic("anna", password)).status == 200
    assert ask(machine, Authorization=_basic("bert@example.com", "short")).status == 200
    assert ask(machine, Authorization=_basic("anna", "short")).status == 401
    assert report(client, "http-auth") == {
        "http-auth-enabled": True,
        "http-auth-users": "anna bert@example.com",
        "http-auth-allowed-ips": "",
    }
    client.ssh("http-auth:add-allowed-ip", APP, f"{machine.host_address}/32")
    assert ask(machine).status == 200, "this address needs no password"
    client.ssh("http-auth:remove-allowed-ip", APP, f"{machine.host_address}/32")
    client.ssh("http-auth:remove-user", APP, "bert@example.com")
    assert ask(machine, Authorization=_basic("bert@example.com", "short")).status == 401
    assert "is not a user" in refused(client, "http-auth:remove-user", APP, "nobody")
    said = refused(client, "http-auth:add-user", APP, "anna", input=b"x" * 73 + b"\n")
    assert "xxx" not in said
    kept = machine.run(
        ["grep", "-rlF", "pass word", str(machine.data_dir / "paas.db"), str(machine.run_dir / "nginx")], check=False
    )
    assert kept.status == 1 and "pass word" not in machine.engine_log + client.ssh("events", APP).text
    client.ssh("http-auth:disable", APP)
    assert ask(machine).status == 200


def test_redirections(machine: Machine, client: Client) -> None:
    client.ssh("redirect:set", APP, "old.example.com", f"{APP}.{DOMAIN}")
    answer = ask(machine, "/path?q=1", host="old.example.com")
    assert (answer.status, answer.headers["location"]) == (301, f"http://{APP}.{DOMAIN}/path?q=1")
    client.ssh("redirect:set", APP, "old.example.com", "https://example.com:8443/new", "307")
    answer = ask(machine, "/path", host="old.example.com")
    assert (answer.status, answer.headers["location"]) == (307, "https://example.com:8443/new/path")
    assert report(client, "redirect") == {"redirect-sources": "old.example.com:https://example.com:8443/new:307"}
    assert f"belongs to app {APP}" in refused(client, "domains:add", OTHER, "old.example.com")
    assert f"belongs to app {OTHER}" in refused(client, "redirect:set", APP, f"{OTHER}.{DOMAIN}", "x.example.com")
    assert "to itself" in refused(client, "redirect:set", APP, "a.example.com", "a.example.com")
    refused(client, "redirect:set", APP, "a.example.com", "b.example.com", "200")
    client.ssh("redirect:unset", APP, "old.example.com")
    assert "is not redirected" in refused(client, "redirect:unset", APP, "old.example.com")
    with pytest.raises(OSError):
        ask(machine, host="old.example.com")


def test_a_template_in_the_repository_is_said_to_be_unused(machine: Machine, client: Client) -> None:
    repository = client.repository("edge-sigil", {**httpd("x"), "nginx.conf.sigil": "{{ .APP }}"})
    assert "nginx.conf.sigil is not used" in repository.push("edge-sigil").error
    machine.paas("apps:destroy", "edge-sigil", "--force")


def test_logs_follow_a_rename_and_go_with_the_app(machine: Machine, client: Client) -> None:
    client.ssh("apps:create", "edge-passing")
    ask(machine, "/as-passing", host=f"edge-passing.{DOMAIN}")
    client.ssh("apps:rename", "edge-passing", "edge-passed")
    ask(machine, "/as-passed", host=f"edge-passed.{DOMAIN}")
    wait_until(
        lambda: re.search("as-passing.*as-passed", client.ssh("nginx:access-logs", "edge-passed").text, re.DOTALL),
        "both are written",
    )
    client.ssh("apps:destroy", "edge-passed", "--force")
    client.ssh("apps:create", "edge-passed")
    assert client.ssh("nginx:access-logs", "edge-passed").text == ""
    client.ssh("apps:destroy", "edge-passed", "--force")


def test_nginx_is_stopped_and_started_by_admins(machine: Machine, client: Client) -> None:
    plain = machine.client("edge-plain")
    assert "admin" in refused(plain, "nginx:stop")
    client.ssh("nginx:stop")
    try:
        with pytest.raises(OSError):
            ask(machine)
        assert "nginx is stopped" in refused(client, "nginx:reload")
        client.ssh("domains:add", APP, "while-stopped.example.com")
    finally:
        client.ssh("nginx:start")
    assert ask(machine, host="while-stopped.example.com").status == 200
    client.ssh("domains:reset", APP)
    client.ssh("nginx:reload")
    assert ask(machine).status == 200
    client.ssh("ssh-keys:remove", "edge-plain")


def _answer_to_head(machine: Machine, length: int) -> bytes:
    """What comes back for a request of which the body is announced and not sent."""
    with socket.create_connection((machine.address, 80), timeout=10) as web:
        web.sendall(f"POST / HTTP/1.1\r\nHost: {APP}.{DOMAIN}\r\nContent-Length: {length}\r\n\r\n".encode())
        return web.recv(100)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _tar(files: dict[str, bytes], link: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        if link:
            entry = tarfile.TarInfo("link")
            entry.type, entry.linkname = tarfile.SYMTYPE, link
            tar.addfile(entry)
    return stream.getvalue()
