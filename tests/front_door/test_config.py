"""Config vars as files, and in an editor."""

from __future__ import annotations

import io
import json
import shlex
import tarfile
from collections.abc import Iterator

import pytest

from tests.harness.client import Client
from tests.machine import Machine
from tests.ssh.test_terminal import screen

APP = "settings"
AWKWARD = 'it\'s "quoted" $HOME `id` \\ = ünï\nsecond line\ttab'


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    return machine.client("settler", admin=True)


@pytest.fixture
def app(machine: Machine, client: Client) -> Iterator[str]:
    client.ssh("apps:create", APP)
    yield APP
    machine.paas("apps:destroy", APP, "--force")


def values(client: Client) -> dict[str, str]:
    found: dict[str, str] = json.loads(client.ssh("config:export", APP, "--format", "json").text)
    return found


@pytest.mark.parametrize("format", ["envfile", "json"])
def test_what_is_exported_is_imported_again(client: Client, app: str, format: str) -> None:
    client.ssh("config:set", app, f"A={AWKWARD}", "B=", "C= # x ", "D=${A}", "URL=https://a:b@c/?d=e&f")
    before, text = values(client), client.ssh("config:export", app, "--format", format).stdout
    client.ssh("config:clear", app)
    assert values(client) == {}
    client.ssh("config:set", app, "OTHER=1")
    client.ssh("config:import", app, "--format", format, "-", input=text)
    assert values(client) == {**before, "OTHER": "1"}
    done = client.ssh("config:import", app, "--format", format, "--replace", "-", input=text)
    assert values(client) == before and "quoted" not in done.text


def test_formats(client: Client, app: str) -> None:
    client.ssh("config:set", app, "A=it's", "B=2")

    def export(format: str) -> str:
        return client.ssh("config:export", app, "--format", format).text

    assert shlex.split(export("exports")) == ["export", "A=it's", "export", "B=2"]
    assert shlex.split(export("shell")) == ["A=it's", "B=2"]
    assert shlex.split(export("docker-args")) == ["--env=A=it's", "--env=B=2"]
    assert export("docker-args-keys") == "--env=A --env=B\n"
    assert export("pack-keys") == "--env A --env B\n"
    assert export("pretty") == "A: it's\nB: 2\n"
    assert json.loads(export("json-list"))[0] == {"name": "A", "value": "it's"}
    assert client.ssh("config:keys", app).text == "A\nB\n"
    assert shlex.split(client.ssh("config:get", app, "A", "--quoted").text) == ["it's"]
    with tarfile.open(fileobj=io.BytesIO(client.ssh("config:bundle", app).stdout)) as tar:
        assert [(entry.name, entry.mode) for entry in tar] == [("A", 0o600), ("B", 0o600)]
    client.ssh("config:set", app, "--encoded", "C=aMOpCg==")
    assert values(client)["C"] == "hé\n"


def test_global_ones_are_below(client: Client, app: str) -> None:
    client.ssh("config:set", "--global", "SHARED_FOR_TEST=all")
    try:
        client.ssh("config:set", app, "OWN=1")
        assert values(client) == {"OWN": "1"}
        merged = json.loads(client.ssh("config:show", app, "--merged", "--format", "json").text)
        assert merged == {"OWN": "1", "SHARED_FOR_TEST": "all"}
        assert client.ssh("config:keys", "--global").text == "SHARED_FOR_TEST\n"
    finally:
        client.ssh("config:unset", "--global", "SHARED_FOR_TEST")


@pytest.mark.parametrize(
    ("words", "input", "status"),
    [
        (["config:import", APP, "-"], b"A=1\nnot a variable\n", 1),
        (["config:import", APP, "-"], b"1A=1\n", 1),
        (["config:import", APP, "--format", "json", "-"], b'{"A": ["s3cret"]}', 1),
        (["config:import", APP, "--format", "json", "-"], b'["s3cret"]', 1),
        (["config:import", APP, "--format", "json", "-"], b'{"A": s3cret}', 1),
        (["config:import", APP, "--format", "toml", "-"], b"", 1),
        (["config:import", APP, "/etc/passwd"], b"", 1),
        (["config:import", "missing-app", "-"], b"A=1\n", 20),
        (["config:set", APP, "--encoded", "A=s3cret!"], b"", 1),
        (["config:set", APP, "--global", "s3cret"], b"", 1),
        (["config:export", APP, "--format", "xml"], b"", 1),
        (["config:export", APP, "--global"], b"", 2),
        (["config:export"], b"", 2),
        (["config:edit", APP], b"", 2),
    ],
)
def test_bad_input_changes_nothing(client: Client, app: str, words: list[str], input: bytes, status: int) -> None:
    client.ssh("config:set", app, "KEPT=1")
    done = client.ssh(*words, input=input, check=False)
    assert done.status == status and b"s3cret" not in done.stderr.replace(b"'s3cret' has no", b"")
    assert values(client) == {"KEPT": "1"}


def test_the_editor(machine: Machine, client: Client, app: str) -> None:
    client.ssh("config:set", app, "GONE=1", "KEPT=2")
    options = ["-tt", "-p", str(machine.settings.ssh_port), f"paas@{machine.address}"]

    def edit(*keys: bytes) -> bytes:
        with screen([*client.ssh_argv, *options, f"config:edit {app}"]) as it:
            it.until(b"GONE")
            for key in keys:
                it.type(key)
            assert it.process.wait(20) == 0
            return it.read()

    edit(b"\x18")  # Ctrl-X: leave
    assert values(client) == {"GONE": "1", "KEPT": "2"}
    down, cut, save, leave = b"\x1b[B", b"\x0b", b"\x0f\r", b"\x18"
    edit(down, down, cut, b"NEW='3'\r", save, leave)
    assert values(client) == {"KEPT": "2", "NEW": "3"}
    assert not list((machine.run_dir / "editing").glob("*"))


def test_what_was_misquoted_is_in_no_log(client: Client, app: str) -> None:
    assert client.ssh("config:set", app, "MOTTO=be", "s3cret-word", check=False).status == 1
    said = client.ssh("events", app).text
    assert "config:set" in said and "s3cret" not in said
