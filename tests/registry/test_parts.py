"""The parts that need no registry: settings, logins, names, words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from paas.errors import Denied, InvalidInput, NotFound, SystemFailure
from paas.output import ago, decimal_bytes
from paas.registry.bases import RegistryImages
from paas.registry.credentials import Credentials, Login
from paas.registry.registries import registry_name
from paas.registry.transport import retry_after
from paas.settings import load
from tests.registry.conftest import Side


def test_settings() -> None:
    made = load(
        Path("/nonexistent"),
        {"PAAS_REGISTRY_MIRRORS": "https://a.example, http://b:5000/", "PAAS_INSECURE_REGISTRIES": "10.0.0.1:5000 lan"},
    )
    assert made.mirrors == ("https://a.example", "http://b:5000")
    assert made.insecure == ("10.0.0.1:5000", "lan")


@pytest.mark.parametrize(
    ("name", "value"),
    [("MIRRORS", "a.example"), ("MIRRORS", "https://a.example/path"), ("MIRRORS", "https://u:p@a.example")],
)
def test_mirrors_are_urls_of_hosts(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match="registry_mirrors"):
        load(Path("/nonexistent"), {f"PAAS_REGISTRY_{name}": value})


def test_logins_are_kept_as_docker_does_it(tmp_path: Path) -> None:
    logins = Credentials(tmp_path / "file")
    assert logins.get("docker.io") is None
    logins.set("docker.io", Login("ann", "pa:ss"))
    logins.set("registry.example.com:5000", Login("bob", "secret"))
    assert json.loads((tmp_path / "file").read_text())["auths"].keys() == {
        "https://index.docker.io/v1/",
        "registry.example.com:5000",
    }
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert logins.get("docker.io") == Login("ann", "pa:ss")
    assert "pa:ss" not in repr(logins.get("docker.io"))
    assert logins.registries() == ["docker.io", "registry.example.com:5000"]
    assert logins.remove("docker.io") and not logins.remove("docker.io")


@pytest.mark.parametrize("user", ["", "a:b", "a\nb"])
def test_names_that_the_form_has_no_room_for(tmp_path: Path, user: str) -> None:
    with pytest.raises(InvalidInput):
        Credentials(tmp_path / "file").set("x.example", Login(user, "secret"))


def test_a_damaged_file_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{")
    with pytest.raises(SystemFailure, match="cannot be read"):
        Credentials(tmp_path / "file").get("x.example")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (None, "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://registry.example.com/v2/", "registry.example.com"),
        ("localhost:5000", "localhost:5000"),
    ],
)
def test_names_of_registries(text: str | None, name: str) -> None:
    assert registry_name(text) == name


@pytest.mark.parametrize("text", ["plain", "a b.example", "-x.example", "x.example:port"])
def test_no_registries(text: str) -> None:
    with pytest.raises(InvalidInput):
        registry_name(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "Less than a second ago"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (60, "About a minute ago"),
        (150, "2 minutes ago"),
        (3600, "About an hour ago"),
        (47 * 3600, "47 hours ago"),
        (3 * 86400, "3 days ago"),
        (21 * 86400, "3 weeks ago"),
        (90 * 86400, "3 months ago"),
        (800 * 86400, "2 years ago"),
        (-100, "Less than a second ago"),
    ],
)
def test_times_as_docker_shows_them(seconds: int, words: str) -> None:
    then = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    now = datetime.fromtimestamp(then.timestamp() + seconds, UTC)
    assert ago("2026-01-02T03:04:05.000000000Z", now) == words


def test_what_is_no_time() -> None:
    assert ago("yesterday", datetime.now(UTC)) == ""
    assert ago("2026-01-02", datetime.now(UTC)) == ""


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0B"), (999, "999B"), (1536, "1.54kB"), (74_800_000, "74.8MB"), (1_230_000_000, "1.23GB")]
)
def test_sizes_as_docker_shows_them(size: int, words: str) -> None:
    assert decimal_bytes(size) == words


def test_times_to_wait() -> None:
    assert retry_after({"Retry-After": "7"}) == 7
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({}) is None


@pytest.mark.parametrize("registry", ["127.0.0.1:5000", "169.254.169.254:80", "10.1.2.3", "localhost:1"])
def test_builds_of_apps_do_not_reach_private_registries(here: Side, registry: str) -> None:
    bases = RegistryImages(here.store, here.registries)
    with here.store.lease() as lease, pytest.raises(Denied, match="private network"):
        bases.find(f"{registry}/x:1", lease=lease, say=print, cancelled=lambda: False, refresh=False, trusted=False)


def test_builds_of_apps_reach_what_has_a_login(here: Side) -> None:
    here.registries.credentials.set("127.0.0.1:1", Login("ann", "secret"))
    bases = RegistryImages(here.store, here.registries)
    with here.store.lease() as lease, pytest.raises(NotFound, match="no registry"):
        bases.find("127.0.0.1:1/x:1", lease=lease, say=print, cancelled=lambda: False, refresh=False, trusted=False)
