"""Setup, upgrade and uninstall of a server in a scratch directory, with tools that only leave their traces."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from pathlib import Path

import pytest

from paas.errors import Conflict, InvalidInput, PaasError, SystemFailure, UsageError
from paas.output import Discard
from paas.settings import Settings
from paas.setup import install, uninstall
from paas.setup.host import Host
from paas.setup.install import Wish, key_lines, with_settings
from paas.setup.main import parse
from paas.setup.steps import perform, show
from paas.setup.unit import UNIT_TEXT
from paas.setup.upgrade import Upgrade
from paas.setup.versions import Source, Versions, opened
from paas.system import mounts
from tests.setup.fake import Tools, new_database, new_host, new_project

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOne"


@pytest.fixture
def server(tmp_path: Path) -> tuple[Host, Tools]:
    return new_host(tmp_path / "server")


def setup(host: Host, source: Source, **changed: str | int) -> None:
    perform(Discard(), install.steps(host, Wish(source, Settings(), changed, (KEY,), "admin")))


def source_of(tmp_path: Path, mark: str = "") -> Source:
    with opened(str(new_project(tmp_path / f"project{mark}", mark))) as source:
        return source


def installed(tmp_path: Path, host: Host) -> Source:
    source = source_of(tmp_path)
    with opened(source.origin) as fresh:
        setup(host, fresh, domain="example.com")
    return source


def test_a_plan_changes_nothing(tmp_path: Path, server: tuple[Host, Tools]) -> None:
    host, tools = server
    before = sorted(host.root.rglob("*"))

    left = show(Discard(), install.steps(host, Wish(source_of(tmp_path), Settings(), {}, (KEY,), "admin")))

    assert left == 11
    assert sorted(host.root.rglob("*")) == before
    assert not [words for words in tools.ran if words.split()[0] in ("apt-get", "useradd", "sysctl")]


def test_setup_installs_and_finds_nothing_to_do_the_second_time(tmp_path: Path, server: tuple[Host, Tools]) -> None:
    host, tools = server
    source = installed(tmp_path, host)

    assert host.points("/usr/local/bin/paas") == "/opt/paas/current/bin/paas"
    assert Versions(host).current == source.version
    assert host.text("/etc/systemd/system/paas.service") == UNIT_TEXT
    assert 'domain: "example.com"' in (host.text("/etc/paas/settings.yml") or "")
    assert not host.is_there("/usr/sbin/policy-rc.d")
    assert len(tools.keys) == 1
    assert host.path("/var/lib/paas").stat().st_mode & 0o777 == 0o711
    plan = install.steps(host, Wish(source, Settings(), {"domain": "example.com"}, (KEY,), "admin"))
    assert show(Discard(), plan) == 0


@pytest.mark.parametrize("tool", ["apt-get", "useradd", "pip", "sysctl", "systemctl", "ssh-keys:add"])
def test_after_a_step_that_failed_a_second_run_goes_on(tmp_path: Path, server: tuple[Host, Tools], tool: str) -> None:
    host, tools = server
    tools.broken = {tool}
    with opened(str(new_project(tmp_path / "project"))) as source:
        with pytest.raises(PaasError) as failed:
            setup(host, source)
        assert "again" in (failed.value.hint or "")
        assert not host.is_there("/usr/sbin/policy-rc.d")
        tools.broken = set()

        setup(host, source)

        assert Versions(host).is_installed(source.version) and tools.active and len(tools.keys) == 1


def test_the_command_of_somebody_else_is_not_replaced(tmp_path: Path, server: tuple[Host, Tools]) -> None:
    host, _ = server
    host.write("/usr/local/bin/paas", "theirs")
    with opened(str(new_project(tmp_path / "project"))) as source, pytest.raises(SystemFailure, match="is no symlink"):
        setup(host, source)
    assert host.text("/usr/local/bin/paas") == "theirs"


def upgrade(host: Host, source: Source) -> None:
    Upgrade(host, Settings(), source).run(Discard())


def test_an_upgrade_backs_up_and_switches(tmp_path: Path, server: tuple[Host, Tools]) -> None:
    host, tools = server
    old = installed(tmp_path, host)
    new_database(host.root, 9)
    with opened(str(new_project(tmp_path / "new", "new"))) as new:
        upgrade(host, new)

        assert Versions(host).current == new.version != old.version
        assert Versions(host).is_installed(old.version)
    (backup,) = host.path("/var/lib/paas/upgrades").iterdir()  # one file, no log beside it
    assert backup.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(backup) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (9,)
    assert "systemctl restart paas" in tools.ran


@pytest.mark.parametrize("damaged", [False, True])
def test_a_version_whose_engine_does_not_answer_is_given_up(
    tmp_path: Path, server: tuple[Host, Tools], damaged: bool
) -> None:
    host, tools = server
    old = installed(tmp_path, host)
    database = new_database(host.root, 9)
    with opened(str(new_project(tmp_path / "new", "new"))) as new:
        tools.sick = {new.version}
        change = Upgrade(host, Settings(), new, patience=0.1)
        perform(Discard(), change.preparing())
        new_database(host.root, 10)  # as the new version's engine would, before it fails
        if damaged:
            database.write_bytes(b"no database" * 1000)

        with pytest.raises(SystemFailure, match=f"{old.version} runs again"):
            change.switch_or_go_back(Discard())

    assert Versions(host).current == old.version
    assert host.text("/etc/systemd/system/paas.service") == UNIT_TEXT
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (9,)
    assert tools.active


def test_a_version_that_knows_less_of_the_database_is_refused(tmp_path: Path, server: tuple[Host, Tools]) -> None:
    host, tools = server
    old = installed(tmp_path, host)
    new_database(host.root, 10)
    refused = pytest.raises(Conflict, match=r"schema 10; version .* knows 9 at most")
    with opened(str(new_project(tmp_path / "older", "older"))) as older, refused:
        upgrade(host, older)
    assert Versions(host).current == old.version
    assert "systemctl restart paas" not in tools.ran


def test_uninstall_keeps_the_data_unless_it_is_purged(tmp_path: Path, server: tuple[Host, Tools]) -> None:
    host, tools = server
    installed(tmp_path, host)
    new_database(host.root, 9)
    perform(Discard(), uninstall.steps(host, Settings(), purge=False))

    assert not tools.active
    assert not host.is_there("/opt/paas") and host.points("/usr/local/bin/paas") is None
    assert not host.is_there("/etc/systemd/system/paas.service") and not host.is_there("/etc/sysctl.d/60-paas.conf")
    assert host.is_there("/var/lib/paas/paas.db") and host.is_there("/etc/paas/settings.yml")
    assert show(Discard(), uninstall.steps(host, Settings(), purge=False)) == 0

    perform(Discard(), uninstall.steps(host, Settings(), purge=True))
    assert not host.is_there("/var/lib/paas") and not host.is_there("/etc/paas")


def test_a_disk_for_the_data_stays_empty_and_what_is_mounted_in_it_is_not_touched(
    tmp_path: Path, server: tuple[Host, Tools]
) -> None:
    host, _ = server
    installed(tmp_path, host)
    new_database(host.root, 9)
    data, theirs, inside = host.path("/var/lib/paas"), tmp_path / "theirs", host.path("/var/lib/paas/theirs")
    theirs.mkdir()
    (theirs / "precious").touch()
    with ExitStack() as undo:
        mounts.bind(data, data)
        undo.callback(mounts.unmount_below, data)
        inside.mkdir()
        mounts.bind(theirs, inside)
        steps = uninstall.steps(host, Settings(), purge=True)
        with pytest.raises(Conflict, match="theirs is a mount"):
            perform(Discard(), steps)
        assert (theirs / "precious").exists()

        mounts.unmount(inside)
        perform(Discard(), steps)
        assert list(data.iterdir()) == [] and not host.is_there("/etc/paas")
        uninstall.steps(host, Settings(), purge=True)  # an empty disk is not taken for somebody else's directory


def test_a_directory_that_is_not_ours_is_not_purged(server: tuple[Host, Tools]) -> None:
    host, _ = server
    host.write("/var/lib/paas/precious", "")
    with pytest.raises(Conflict, match="not a data directory of paas"):
        uninstall.steps(host, Settings(), purge=True)


def test_settings_keep_what_else_stands_in_the_file() -> None:
    text = "# mine\ndomain: old.example\nbuild_memory: 1\n"
    assert with_settings(text, {"domain": "new.example", "ssh_port": 22}) == (
        '# mine\ndomain: "new.example"\nbuild_memory: 1\nssh_port: 22\n'
    )
    assert with_settings(text, {}) == text


def test_keys_are_found_behind_options_and_comments() -> None:
    text = f'# {KEY}\nfrom="10.0.0.1",no-pty {KEY} me@home\n\nnot a key\nssh-rsa AAAAB3NzaC1yc2E= you\n'
    assert key_lines(text) == (KEY, "ssh-rsa AAAAB3NzaC1yc2E=")


@pytest.mark.parametrize("words", [["--purge"], ["--domain"], ["extra"], ["--yes", "--dry-run"]])
def test_a_wrong_command_line_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse("setup", words)


@pytest.mark.parametrize("origin", ["/nonexistent", "paas-1.0-py3-none-any.whl", "/nonexistent@main"])
def test_what_is_no_version_of_paas_is_refused(origin: str) -> None:
    with pytest.raises((InvalidInput, SystemFailure)), opened(origin):
        pass
