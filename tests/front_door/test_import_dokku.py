"""Moving from Dokku: a host's files as Dokku leaves them, from a directory and as a tar over ssh."""

from __future__ import annotations

import base64
import io
import json
import secrets
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paas.system import run as system
from paas.system.files import remove_tree
from tests.harness.apps import httpd
from tests.harness.authority import Authority
from tests.harness.client import Client
from tests.machine import Machine

SECRET = "it's\na 's3cret'"


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    return machine.client("mover", admin=True)


@pytest.fixture
def host(machine: Machine, client: Client) -> Iterator[Path]:
    """home/dokku and var/lib/dokku with two apps, `moved` and the older `aged`, in a directory of the machine's."""
    top = machine.disk / "old-server"
    repository = client.repository(f"to-move-{secrets.token_hex(3)}", httpd("moved"))
    for app in ("moved", "aged"):
        bare = top / "home/dokku" / app
        bare.parent.mkdir(parents=True, exist_ok=True)
        system.run(["git", "clone", "-q", "--bare", str(repository.path), str(bare)])
        (bare / "hooks").mkdir(exist_ok=True)
        (bare / "hooks/post-update").write_text("#!/bin/sh\ntouch /tmp/hook-ran\n")
        (bare / "config").open("a").write("[uploadpack]\n\tpackObjectsHook = touch /tmp/hook-ran\n")

    def write(path: str, text: str) -> None:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)

    library = "var/lib/dokku/config"
    quoted = SECRET.replace("'", "'\\''")
    write(f"{library}/config/moved/ENV", f"export TOKEN='{quoted}'\nexport DOKKU_APP_RESTORE='1'\nexport B='2'\n")
    write(f"{library}/nginx/moved/client-max-body-size", "10m\n")
    chain, private = Authority().issue("secure.moved.example.com")
    write("home/dokku/moved/tls/server.crt", chain)
    write("home/dokku/moved/tls/server.key", private)
    write("home/dokku/moved/VHOST", "moved.example.com\nWWW.moved.example.com\n")
    write(f"{library}/ps/moved/scale", "web=2\n")
    write(f"{library}/git/moved/deploy-branch", "master\n")
    write(f"{library}/ports/moved/map", "http:80:5000\nhttp:8081:5000\n")
    write(f"{library}/builder-dockerfile/moved/dockerfile-path", "Dockerfile\n")
    write(f"{library}/docker-options/moved/_default_.deploy", "-v moved-data:/data\n--privileged\n--shm-size 96m\n")
    write(f"{library}/resource/moved/_default_.limit.memory", "300m\n")
    write("home/dokku/aged/ENV", "export OLD='yes'\nexport NO_VHOST='1'\n")
    write("home/dokku/aged/DOKKU_SCALE", "web=1\n")
    write("home/dokku/aged/DOCKER_OPTIONS_DEPLOY", "-v /nonexistent/here:/data\n")
    write("home/dokku/ENV", "export FROM_OLD_SERVER='1'\n")
    key = client.public_key.split()
    write(
        "home/dokku/.ssh/authorized_keys",
        f'command="FINGERPRINT=SHA256:x NAME=\\"old-friend\\" `cat /home/dokku/.sshcommand` $SSH_ORIGINAL_COMMAND",'
        f"no-agent-forwarding {key[0]} {_other_key()}\n",
    )
    yield top
    remove_tree(top)
    for app in ("moved", "aged"):
        machine.paas("apps:destroy", app, "--force", check=False)
    machine.paas("config:unset", "--global", "FROM_OLD_SERVER", check=False)
    machine.paas("ssh-keys:remove", "old-friend", check=False)


def _other_key() -> str:
    return base64.b64encode(b"\0\0\0\x0bssh-ed25519" + b"\0\0\0\x20" + b"k" * 32).decode()


def packed(top: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        tar.add(top, arcname=".")
    return stream.getvalue()


def from_directory(machine: Machine, client: Client, top: Path, *words: str) -> str:
    return machine.paas("import:dokku", *words, str(top), timeout=120).text


def from_tar(machine: Machine, client: Client, top: Path, *words: str) -> str:
    return client.ssh("import:dokku", *words, "-", input=packed(top)).text


@pytest.mark.parametrize("take", [from_directory, from_tar])
def test_apps_come_over(machine: Machine, client: Client, host: Path, take: Callable[..., str]) -> None:
    shown = take(machine, client, host, "--dry-run")
    assert "moved.example.com" in shown and "s3cret" not in shown
    assert "moved" not in client.ssh("apps:list").text.split(), "a dry run makes nothing"

    take(machine, client, host, "--deploy")
    assert machine.get("moved.example.com").text == "moved\n"
    assert machine.get("www.moved.example.com").text == "moved\n"
    config = json.loads(client.ssh("config:export", "moved", "--format", "json").text)
    assert config == {"TOKEN": SECRET, "B": "2"}
    assert json.loads(client.ssh("ps:scale", "moved", "--format", "json").text) == {"web": 2}
    assert "8081" in client.ssh("ports:list", "moved").text
    assert "/data" in client.ssh("storage:list", "moved").text
    assert client.ssh("docker-options:list", "moved", "--phase", "deploy").text == "--shm-size 96m\n"
    assert "300m" in client.ssh("resource:report", "moved").text
    assert client.ssh("config:get", "--global", "FROM_OLD_SERVER").text == "1\n"
    assert "old-friend" in client.ssh("ssh-keys:list").text
    assert client.ssh("certs:report", "moved", "--ssl-hostnames").text == "secure.moved.example.com\n"
    assert client.ssh("nginx:report", "moved", "--nginx-client-max-body-size").text == "10m\n"
    assert client.ssh("config:get", "aged", "OLD").text == "yes\n"
    assert "/data" not in client.ssh("storage:list", "aged").text, "its directory is not on this host"
    assert machine.run(["test", "-e", "/tmp/hook-ran"], check=False).status != 0

    again = machine.paas("import:dokku", str(host), check=False)
    assert again.status == 1 and b"moved" in again.stderr
    assert machine.get("moved.example.com").text == "moved\n", "an app that is here is left as it is"


def test_hostile_archives(machine: Machine, client: Client, host: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("home/dokku/../../../../tmp/out", "/home/dokku/evil/HEAD", "home/dokku/evil/ENV"):
            entry = tarfile.TarInfo(name)
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
        link = tarfile.TarInfo("home/dokku/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    shown = client.ssh("import:dokku", "--dry-run", "-", input=stream.getvalue())
    assert "link" not in shown.text
    assert client.ssh("import:dokku", "-", input=b"not a tar", check=False).status == 1
    whole = packed(host)
    assert client.ssh("import:dokku", "-", input=whole[: len(whole) // 2], check=False).status == 1
    assert client.ssh("import:dokku", "/etc", check=False).status == 1
    assert machine.paas("import:dokku", "/etc", check=False).status == 1
    assert machine.paas("import:dokku", str(host), "--app", "nobody", check=False).status == 1
    assert not list((machine.data_dir / "scratch").glob("dokku-*"))
