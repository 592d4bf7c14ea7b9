"""Who may do what: users, roles, and what those see who have none."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest

from paas.apps.access import Role
from paas.commands.catalog import filled
from paas.commands.declare import Command
from tests.harness.apps import httpd
from tests.harness.client import Client
from tests.machine import Machine

OURS, THEIRS = "acl-ours", "acl-theirs"
_ENDLESS = {"stats": ("--no-stream",)}


@pytest.fixture(scope="module")
def root(machine: Machine) -> Iterator[Machine]:
    machine.paas("apps:create", OURS)
    machine.paas("apps:create", THEIRS)
    machine.paas("config:set", OURS, "SECRET=hidden-value")
    yield machine
    for app in machine.paas("apps:list").text.split():
        if app.startswith("acl-"):
            machine.paas("apps:destroy", app, "--force")


def user(root: Machine, name: str, *grants: tuple[str, ...]) -> Client:
    client = root.client(name)
    root.paas("access:remove", name)
    for grant in grants:
        root.paas("access:add", name, *grant)
    return client


@pytest.fixture(scope="module")
def viewer(root: Machine) -> Client:
    return user(root, "acl-viewer", ("view", OURS))


@pytest.fixture(scope="module")
def deployer(root: Machine) -> Client:
    return user(root, "acl-deployer", ("deploy", OURS))


@pytest.fixture(scope="module")
def nobody(root: Machine) -> Client:
    return user(root, "acl-nobody")


def words(command: Command, app: str) -> list[str]:
    """A command's first example, said of `app`."""
    example = shlex.split(command.examples[0].partition(" <")[0].partition(" >")[0].partition(" &&")[0])
    first = next((argument for argument in command.arguments if argument.names_app), None)
    if first is not None and "--global" not in example:
        names = [word for word in example[1:] if word in ("wiki", "shop")]
        if not names:
            return [example[0], *_ENDLESS.get(command.name, ()), app, *example[1:]]
        example = [app if word == names[0] else word for word in example]
    return [example[0], *_ENDLESS.get(command.name, ()), *example[1:]]


def refused(client: Client, argv: list[str]) -> bool:
    done = client.ssh(*argv, check=False, input=b"")
    said = done.text + done.error
    return done.status in (1, 20) and ("Access denied" in said or "has no role on it" in said)


def test_no_command_forgets_to_ask(nobody: Client, viewer: Client, deployer: Client) -> None:
    """Every command of the catalog, by a user without a role, and by those who have theirs on another app."""
    asked = 0
    for command in filled():
        if command.needs is None:
            continue
        asked += 1
        argv = words(command, THEIRS)
        app_is_named = THEIRS in argv
        if app_is_named or not command.lists:
            for client in (nobody, deployer) if asked % 2 else (nobody, viewer):
                assert refused(client, argv), (client.name, argv)
        elif command.lists:
            done = nobody.ssh(*argv, check=False)
            assert THEIRS not in done.text and OURS not in done.text, argv
    assert asked > 60


@pytest.mark.parametrize("command", [c for c in filled() if c.needs is Role.DEPLOY], ids=lambda c: c.name)
def test_what_a_view_does_not_allow_is_said_with_the_way_to_it(command: Command, viewer: Client) -> None:
    argv = words(command, OURS)
    if OURS not in argv or (command.shows_without and len(argv) < 3):
        pytest.skip("it names no app, or only shows")
    done = viewer.ssh(*argv, check=False, input=b"")
    assert done.status == 1, argv
    assert "needs the role deploy on acl-ours; acl-viewer has view" in done.error
    assert "root on the host" in done.error or "An admin (" in done.error
    assert f"access:add acl-viewer deploy {OURS}" in done.error


def test_what_a_view_allows(viewer: Client) -> None:
    assert viewer.ssh("apps:list").text.split() == ["=====>", "My", "Apps", OURS]
    assert json.loads(viewer.ssh("apps:report", OURS, "--format", "json").text)["app-locked"] is False
    assert OURS in viewer.ssh("domains:report").text and THEIRS not in viewer.ssh("domains:report").text
    assert viewer.ssh("ps:scale", OURS).status == 0
    assert "hidden-value" not in viewer.ssh("events", OURS).text
    assert viewer.ssh("apps:exists", OURS).status == 0


def test_an_app_of_others_and_none_sound_the_same(deployer: Client) -> None:
    theirs = deployer.ssh("apps:report", THEIRS, check=False)
    none = deployer.ssh("apps:report", "acl-nothere", check=False)
    assert theirs.status == none.status == 20
    assert theirs.error.replace(THEIRS, "X") == none.error.replace("acl-nothere", "X")


def test_what_others_have_is_not_named(root: Machine, deployer: Client) -> None:
    root.paas("domains:add", THEIRS, "theirs.example.com")
    root.paas("ports:set", THEIRS, "tcp:7411:7411")
    root.paas("redirect:set", THEIRS, "moved.example.com", "theirs.example.com")
    declared = deployer.repository("acl-declared", httpd("x") | {"paas.yml": "domains: [theirs.example.com]\n"})
    for done, known in (
        (deployer.ssh("domains:add", OURS, "theirs.example.com", check=False), "domains:add"),
        (deployer.ssh("domains:add", OURS, "moved.example.com", check=False), "domains:add"),
        (deployer.ssh("redirect:set", OURS, "theirs.example.com", "x.example.com", check=False), ""),
        (deployer.ssh("ports:add", OURS, "tcp:7411:5000", check=False), ""),
        (deployer.ssh("ports:set", OURS, "tcp:7411:5000", check=False), ""),
        (deployer.ssh("proxy:set", OURS, "proxy-port", "7411", check=False), ""),
        (declared.push(OURS, check=False), ""),
    ):
        assert done.status != 0, done.argv
        assert "another app" in done.error and THEIRS not in done.error.replace(f"{THEIRS}.paas.test", ""), done.error
        assert not known or "Choose another hostname" in done.error
    assert THEIRS not in deployer.ssh("events", OURS).text.replace(f"{THEIRS}.paas.test", "")
    for argv in (("domains:add", OURS, "theirs.example.com"), ("ports:add", OURS, "tcp:7411:5000")):
        assert f"app {THEIRS}" in root.paas(*argv, check=False).error


def test_git_obeys(root: Machine, deployer: Client, viewer: Client, nobody: Client) -> None:
    repository = nobody.repository("acl", httpd("x"))
    for app in (OURS, THEIRS, "acl-fresh"):
        push = repository.push(app, check=False)
        assert push.status != 0 and "does not exist, or acl-nobody has no role on it" in push.error
    push = viewer.repository("acl", httpd("x")).push(OURS, check=False)
    assert push.status != 0 and f"git-receive-pack needs the role deploy on {OURS}" in push.error
    assert repository.git("ls-remote", nobody.url(OURS), check=False).status != 0
    events = json.loads(root.paas("events", "--who", "acl-nobody", "--format", "json").text)
    assert any(e["outcome"] == "denied" and e["app"] == THEIRS and e["action"] == "git-receive-pack" for e in events)


def test_a_creator_deploys_what_they_make(root: Machine) -> None:
    creator = user(root, "acl-creator", ("create",))
    creator.ssh("apps:create", "acl-made")
    creator.ssh("config:set", "acl-made", "A=1")
    creator.repository("acl-pushed", httpd("hello")).push("acl-pushed")
    assert creator.ssh("apps:list", "--quiet").text.split() == ["acl-made", "acl-pushed"]
    assert root.get("acl-pushed").text == "hello\n"
    assert creator.ssh("apps:create", THEIRS, check=False).status == 1
    assert refused(creator, ["config:show", THEIRS])


def test_the_first_role_ends_what_every_new_user_has(root: Machine) -> None:
    client = root.client("acl-new")
    assert THEIRS in client.ssh("apps:list").text
    assert "ended" in root.paas("access:add", "acl-new", "view", OURS).text
    assert THEIRS not in client.ssh("apps:list").text
    root.paas("access:remove", "acl-new", OURS)
    assert client.ssh("apps:list", "--quiet").text == ""
    root.paas("access:set", "--global", "default-role", "none")
    try:
        assert refused(root.client("acl-later"), ["config:show", OURS])
    finally:
        root.paas("access:set", "--global", "default-role")
    assert root.paas("access:add", "acl-nwe", "view", OURS, check=False).error.count("acl-new") == 1


def test_data_of_other_apps_cannot_be_mounted(root: Machine, deployer: Client) -> None:
    root.paas("storage:mount", THEIRS, "acl-data:/data")
    (root.data_dir / "storage" / "acl-data").mkdir(exist_ok=True)
    assert "Access denied" in deployer.ssh("storage:mount", OURS, "acl-data:/data", check=False).error
    assert deployer.ssh("storage:mount", OURS, "acl-own:/data").status == 0
    assert deployer.ssh("storage:mount", OURS, "/etc:/data", check=False).status == 1


@pytest.mark.parametrize(
    "words",
    [
        ["docker-options:add", OURS, "deploy", "-v acl-theirs-data:/data"],
        ["docker-options:add", OURS, "deploy", "-v /etc:/data"],
        ["network:set", OURS, "attach-post-create", "acl-network"],
    ],
)
def test_no_way_round_to_what_others_have(root: Machine, deployer: Client, words: list[str]) -> None:
    root.paas("storage:mount", THEIRS, "acl-theirs-data:/more", check=False)
    root.paas("network:create", "acl-network", check=False)
    try:
        done = deployer.ssh(*words, check=False)
        assert done.status == 1 and ("Access denied" in done.error or "Only an admin" in done.error), done.error
    finally:
        root.paas("network:destroy", "acl-network", "--force", check=False)


def test_events_of_an_app_that_is_gone(root: Machine, deployer: Client) -> None:
    root.paas("apps:create", "acl-gone")
    root.paas("apps:destroy", "acl-gone", "--force")
    assert "apps:destroy" in root.paas("events", "acl-gone").text
    assert refused(deployer, ["events", "acl-gone"])


def test_several_keys_of_one_user(root: Machine) -> None:
    first = user(root, "acl-two", ("view", OURS))
    second = root.client("acl-two-laptop", known=False)
    root.paas("ssh-keys:add", "acl-two", input=second.public_key.encode())
    assert second.ssh("apps:list").text == first.ssh("apps:list").text
    keys = json.loads(root.paas("ssh-keys:list", "--format", "json", "acl-two").text)
    assert len(keys) == 2
    root.paas("ssh-keys:remove", "--fingerprint", keys[0]["fingerprint"])
    assert len(json.loads(root.paas("ssh-keys:list", "--format", "json", "acl-two").text)) == 1
    root.paas("ssh-keys:remove", "acl-two")
    assert "acl-two" not in root.paas("access:list").text, "a later user of the name inherits nothing"


def test_a_key_from_a_file_of_the_host(root: Machine) -> None:
    client = root.client("acl-file", known=False)
    path = root.disk / "acl.pub"
    path.write_text(client.public_key)
    root.paas("ssh-keys:add", "acl-file", str(path))
    assert client.ssh("version").status == 0
    assert root.paas("ssh-keys:add", "acl-file", str(path), check=False).status == 1
    path.unlink()


def test_roles_of_oneself_are_shown(viewer: Client, root: Machine) -> None:
    mine = json.loads(viewer.ssh("access:list", "--format", "json").text)
    assert mine == [{"app": OURS, "role": "view", "user": "acl-viewer", "with_first_key": False}]
    assert refused(viewer, ["access:add", "acl-viewer", "admin"])
    wrong = root.paas("access:add", "acl-viewer", "owner", OURS, check=False)
    assert wrong.status == 1 and "Roles: view, deploy, admin, create" in wrong.error
