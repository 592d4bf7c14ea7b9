"""Stored data that has been damaged: found, never run, mended where it can be derived."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from paas.paths import PROJECT
from paas.system.run import Completed, run
from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "whole"


@pytest.fixture(scope="module")
def one() -> Iterator[Machine]:
    """A machine whose data is damaged, bit by bit."""
    with Machine() as made:
        made.engine_start()
        yield made


@pytest.fixture(scope="module")
def client(one: Machine) -> Client:
    return one.client()


@pytest.fixture(scope="module")
def repository(one: Machine, client: Client) -> Repository:
    made = client.repository(APP, httpd("one"))
    made.push(APP)
    assert findings(one) == []
    return made


def findings(machine: Machine, *words: str) -> list[dict[str, str]]:
    done = machine.paas("system:check", "--format", "json", *words, check=False)
    found: list[dict[str, str]] = json.loads(done.text)
    assert done.status == int(any(not finding["repaired"] for finding in found))
    return found


def layers_of(machine: Machine, app: str) -> list[Path]:
    """The directories of the serving release's layers, bottom first."""
    with sqlite3.connect(machine.data_dir / "paas.db") as db:
        rows = db.execute(
            "SELECT layer FROM apps JOIN releases ON releases.app = apps.id AND number = release"
            " JOIN image_layers ON image_layers.image = releases.image WHERE name = ? ORDER BY position",
            (app,),
        ).fetchall()
    return [machine.data_dir / "layers" / str(number) for (number,) in rows]


def test_everything_is_whole_and_only_administrators_ask(one: Machine, client: Client, repository: Repository) -> None:
    assert "Everything is as it was stored" in one.paas("system:check").text
    denied = client.ssh("system:check", check=False)
    assert denied.status != 0
    assert "admin" in denied.error
    wait_until(lambda: "daily" in one.paas("system:backups").text, "the first copy of the database was made", 30)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing file", "missing layer"])
def test_a_layer_that_is_damaged_is_not_run_and_a_rebuild_mends_it(
    one: Machine, client: Client, repository: Repository, damage: str
) -> None:
    repository.commit({"index.html": f"{damage}\n"})
    repository.push(APP)
    assert findings(one) == []
    top = layers_of(one, APP)[-1]
    page = top / "www" / "index.html"
    info = page.stat()
    match damage:
        case "truncated":
            page.write_text("")
        case "flipped":  # neither its size nor its time tells
            page.write_text("wrong one!\n"[: info.st_size].ljust(info.st_size, "!"))
            __import__("os").utime(page, ns=(info.st_atime_ns, info.st_mtime_ns))
        case "missing file":
            page.unlink()
        case "missing layer":
            shutil.rmtree(top)
    (found,) = findings(one)
    assert (found["kind"], found["name"]) == ("layer", top.name)
    assert f"{APP} release" in found["problem"]
    assert found["advice"] == f"paas ps:rebuild {APP}"

    refused = client.ssh("ps:restart", APP, check=False)
    assert refused.status == 1
    assert "cannot run" in refused.error and "is damaged" in refused.error and f"ps:rebuild {APP}" in refused.error
    (left,) = findings(one, "--repair")
    assert "no registry is known to have it" in left["problem"]

    client.ssh("ps:rebuild", APP)
    assert one.get(APP).text == f"{damage}\n"
    client.ssh("ps:restart", APP)
    assert findings(one) == []


def test_what_the_build_cache_alone_has_is_dropped(one: Machine, client: Client, repository: Repository) -> None:
    repository.commit({"Dockerfile": "FROM scratch\nADD root.tar /\nRUN echo a >/x\nRUN false\n"})
    assert repository.push(APP, check=False).status != 0
    repository.git("reset", "--hard", "HEAD~1")
    with sqlite3.connect(one.data_dir / "paas.db") as db:
        used = {str(n) for (n,) in db.execute("SELECT layer FROM image_layers")}
        cached = {str(n) for (n,) in db.execute("SELECT layer FROM build_cache")} - used
    directory = one.data_dir / "layers" / max(cached, key=int)
    next(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()).write_text("else\n")
    (found,) = findings(one, "--repair")
    assert found["repaired"] == "dropped from the build cache"
    assert findings(one) == []


def test_an_image_whose_config_was_changed_is_not_run(one: Machine, client: Client, repository: Repository) -> None:
    with sqlite3.connect(one.data_dir / "paas.db") as db:
        (id, config) = db.execute(
            "SELECT images.id, images.config FROM images JOIN releases ON image = images.id JOIN apps"
            " ON apps.id = app AND release = number WHERE name = ?",
            (APP,),
        ).fetchone()
        db.execute("UPDATE images SET config = ? WHERE id = ?", (config.replace("httpd -f", "httpd -v"), id))
    (found,) = findings(one)
    assert found["kind"] == "image"
    assert "not what its id says" in client.ssh("ps:restart", APP, check=False).error
    with sqlite3.connect(one.data_dir / "paas.db") as db:
        db.execute("UPDATE images SET config = ? WHERE id = ?", (config, id))
    client.ssh("ps:restart", APP)


def test_a_repository_is_made_anew(one: Machine, client: Client, repository: Repository) -> None:
    (repo,) = (one.data_dir / "repos").glob("*.git")
    for file in (repo / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o600)
            file.write_bytes(b"damaged")
    (found,) = findings(one)
    assert (found["kind"], found["name"]) == ("repository", APP)
    (found,) = findings(one, "--repair")
    assert "push once more" in found["repaired"]
    repository.commit({"index.html": "again\n"})
    repository.push(APP)
    assert one.get(APP).text == "again\n"
    assert findings(one) == []


def test_certificates_host_keys_and_logins(one: Machine, client: Client, repository: Repository) -> None:
    certificate, key = _self_signed(one.disk / "tls", f"{APP}.paas.test")
    archive = one.run(["tar", "-C", str(certificate.parent), "-c", certificate.name, key.name]).stdout
    one.paas("certs:add", APP, input=archive)
    assert findings(one) == []
    (stored,) = (one.data_dir / "certs").glob("*/*/server.key")
    stored.write_text("")
    (one.data_dir / "ssh" / "host_ecdsa").write_text("nothing")
    (one.data_dir / "registries.json").write_text("{")
    assert {finding["kind"] for finding in findings(one)} == {"certificate", "host key", "logins"}
    one.paas("certs:add", APP, input=archive)
    (one.data_dir / "registries.json").unlink()
    assert [finding["kind"] for finding in findings(one, "--repair")] == ["host key"]
    assert findings(one) == []


def test_what_is_derived_is_made_anew(one: Machine, client: Client, repository: Repository) -> None:
    (config,) = one.run(["sh", "-c", f"ls {one.run_dir}/nginx/g*/apps.conf | tail -1"]).text.split()
    one.run(["sh", "-c", f"echo > {config}"])
    one.run(["nft", "flush", "map", "inet", "paas", "proxy"])
    assert {finding["kind"] for finding in findings(one)} == {"nginx", "network"}
    assert all(finding["repaired"] for finding in findings(one, "--repair"))
    assert findings(one) == []
    assert one.get(APP).status in (200, 301)


def _self_signed(directory: Path, name: str) -> tuple[Path, Path]:
    directory.mkdir()
    certificate, key = directory / "server.crt", directory / "server.key"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    run(
        ["openssl", *words, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        + ["-keyout", str(key), "-out", str(certificate)]
    )
    return certificate, key


def test_a_damaged_database_is_refused_and_a_backup_put_back() -> None:
    with Machine() as machine:
        machine.engine_start()
        _damage_and_restore(machine)


def offline(machine: Machine, *words: str) -> Completed:
    """What `paas WORDS` becomes when no engine answers."""
    argv = [sys.executable, "-m", "paas", *words]
    return machine.run(argv, env={"PYTHONPATH": str(PROJECT)}, check=False)


def _damage_and_restore(machine: Machine) -> None:
    client = machine.client()
    client.repository("kept", httpd("one")).push("kept")
    machine.paas("config:set", "kept", "SECRET=stays")
    machine.paas("system:backups", "--make")
    (backup,) = json.loads(machine.paas("system:backups", "--format", "json").text)
    refused = machine.paas("system:restore", str(backup["number"]), check=False)
    assert "The engine is running" in refused.error

    database = machine.data_dir / "paas.db"
    key = machine.data_dir / "paas.key"
    machine.engine_stop()
    key.rename(key.with_suffix(".away"))
    assert "paas.key is missing" in offline(machine, "system:check").text
    key.write_bytes(Fernet.generate_key())
    assert "encrypted with another key" in offline(machine, "system:check").text
    key.with_suffix(".away").rename(key)
    assert offline(machine, "system:check").status == 0

    data = bytearray(database.read_bytes())
    for page in range(8, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = bytes(64)
    database.write_bytes(data)
    with pytest.raises(AssertionError, match="is damaged"):
        machine.engine_start()
    assert machine.get("kept").text == "one\n", "what runs goes on"
    told = offline(machine, "system:check")
    assert told.status == 1
    assert "paas system:restore" in told.text
    done = offline(machine, "system:restore", str(backup["number"]))
    assert "paas.db.former-1" in done.text
    machine.engine_start()
    assert machine.get("kept").text == "one\n"
    assert machine.paas("config:get", "kept", "SECRET").text == "stays\n"
    assert machine.paas("system:check").status == 0
