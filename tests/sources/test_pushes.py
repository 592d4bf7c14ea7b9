"""Pushes: which deploy, what the app learns of its commit, and where images go besides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from paas.system import run as system
from tests.conftest import MachineMaker
from tests.harness.apps import httpd
from tests.harness.client import Client
from tests.harness.registry import PASSWORD, USER
from tests.harness.waiting import wait_until
from tests.machine import Machine
from tests.registry.test_commands import start_registry

from .conftest import serving
from .files import report, tar

AppMaker = Callable[[str], str]
PORT = 5017

SHOWS_REV = {
    **httpd("x"),
    "Dockerfile": "FROM scratch\nADD root.tar /\nARG GIT_REV=none\nLABEL built-from=$GIT_REV\n"
    'CMD ["/bin/sh", "-c", "env >/www/index.html; exec httpd -f -p $PORT -h /www"]\n',
}


def variables(machine: Machine, app: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in machine.get(app).text.splitlines())


def test_the_app_knows_its_commit(machine: Machine, dev: Client, app: AppMaker) -> None:
    name = app("revised")
    work = dev.repository("revised", SHOWS_REV)
    machine.paas("docker-options:add", name, "build", "--build-arg", "GIT_REV")
    work.push(name)
    assert variables(machine, name)["GIT_REV"] == work.head
    image = json.loads(machine.paas("inspect", machine.paas("images", "-a", "-q").text.split()[0]).text)[0]
    assert image["Config"]["Labels"] == {"built-from": work.head}
    dev.ssh("git:set", name, "rev-env-var", "SOURCE_VERSION")
    wait_until(lambda: "GIT_REV" not in variables(machine, name), "the new instance answers")
    assert variables(machine, name)["SOURCE_VERSION"] == work.head
    dev.ssh("git:set", name, "rev-env-var", "")
    wait_until(lambda: not {"GIT_REV", "SOURCE_VERSION"} & set(variables(machine, name)), "neither is set")
    assert report(machine, name)["git-computed-rev-env-var"] == ""
    dev.ssh("git:set", name, "rev-env-var")
    wait_until(lambda: variables(machine, name).get("GIT_REV") == work.head, "it is set again")
    work.commit({"more": "x"})
    work.push(name)
    wait_until(lambda: variables(machine, name)["GIT_REV"] == work.head, "the new commit answers")
    for value in ("1X", "A B", "PORT"):
        assert dev.ssh("git:set", name, "rev-env-var", value, check=False).status == 1
    assert report(machine, name)["git-sha"] == work.head


def test_the_deploy_branch_never_changes_by_itself(machine: Machine, dev: Client, app: AppMaker) -> None:
    name = app("branched")
    work = dev.repository("branched", httpd("on main"))
    work.push(name, "main")
    work.commit({"index.html": "on feature\n"})
    done = work.push(name, "feature")
    assert "refs/heads/feature is stored and not deployed" in done.error and "Building" not in done.error
    assert machine.get(name).text == "on main\n"
    copy = dev.repository("branched-copy")
    copy.git("clone", "--quiet", dev.url(name), "copy")
    assert copy.git("-C", "copy", "branch", "--show-current").text.strip() == "main"
    copy.git("-C", "copy", "pull", "--quiet", dev.url(name), "feature")
    stranger = machine.client("stranger-to-branched", known=False)
    assert stranger.repository("none").git("ls-remote", stranger.url(name), check=False).status != 0
    status = json.loads(dev.ssh("git:status", name, "--format", "json").text)
    assert status["git-branch"] == "main" and status["git-up-to-date"] and status["git-subject"] == "Change"
    assert "Nothing is locked" in dev.ssh("git:unlock", name).text
    dev.ssh("git:initialize", name)
    assert "now" in dev.ssh("repo:gc", name).text
    assert "Freed" in dev.ssh("repo:purge-cache", name).text
    work.push(name, "main")
    assert machine.get(name).text == "on feature\n"
    dev.ssh("repo:gc", name)
    newest = max((machine.data_dir / "repos").iterdir(), key=lambda path: int(path.stem))
    kept = ["git", "--git-dir", str(newest), "for-each-ref", "--format=%(objectname)", "refs/releases"]
    assert len(system.run(kept, user="paas").text.split()) == 2
    assert "refs/releases" not in work.git("ls-remote", dev.url(name)).text


def test_a_shallow_push_says_what_to_do(machine: Machine, dev: Client, app: AppMaker) -> None:
    name = app("shallow")
    work = dev.repository("deep", httpd("one"))
    work.commit({"index.html": "two\n"})
    shallow = dev.repository("shallow")
    shallow.git("fetch", "--quiet", "--depth=1", f"file://{work.path}", "master:there")
    shallow.git("checkout", "--quiet", "there")
    done = shallow.push(name, check=False)
    assert done.status == 1 and "shallow clone" in done.error and "git fetch --unshallow" in done.error
    assert json.loads(dev.ssh("git:status", name, "--format", "json").text)["git-head"] == ""
    shallow.git("fetch", "--quiet", "--unshallow", f"file://{work.path}")
    newest = max((machine.data_dir / "repos").iterdir(), key=lambda path: int(path.stem))
    (newest / "shallow_Ab12Cd").write_text(f"{work.head}\n")  # as a git that was killed leaves it
    shallow.push(name)
    assert machine.get(name).text == "two\n"


def test_settings(machine: Machine, dev: Client, app: AppMaker) -> None:
    name = app("settings")
    for noun, key, value, why in (
        ("git", "keep-git-dir", "true", "there is no .git directory"),
        ("git", "source-image", "x", "is not a property of git"),
        ("git", "archive-max-files", "0", "whole number"),
        ("git", "archive-max-size", "much", "is not a size"),
        ("git", "deploy-branch", "a..b", "is not a branch name"),
        ("builder", "selected", "pack", "is not offered here"),
        ("builder", "selected", "magic", "is not a builder"),
        ("builder", "build-dir", "../x", "is not a path"),
    ):
        done = dev.ssh(f"{noun}:set", name, key, value, check=False)
        assert done.status == 1 and why in done.error, (key, done.error)
    for key, value in (("selected", "dockerfile"), ("skip-cleanup", "true")):
        dev.ssh("builder:set", name, key, value)
    found = json.loads(machine.paas("builder:report", name, "--format", "json").text)
    assert found["builder-selected"] == "dockerfile" and found["builder-computed-skip-cleanup"] is True
    assert dev.ssh("git:set", "--global", "deploy-branch", "x", check=False).status == 1
    for command in ("git:report", "git:status", "git:unlock", "git:initialize", "repo:gc", "repo:purge-cache"):
        assert dev.ssh(command, "nosuchapp", check=False).status == 20, command
    done = dev.ssh("builder-pack:set", name, "projecttoml-path", "x", check=False)
    assert done.status == 2 and "is not offered here" in done.error


def test_buildpacks_are_kept_in_order(machine: Machine, dev: Client, app: AppMaker) -> None:
    name = app("packed")

    def listed() -> list[str]:
        found: list[str] = json.loads(dev.ssh("buildpacks:list", name, "--format", "json").text)
        return [pack.rpartition("/")[2] for pack in found]

    dev.ssh("buildpacks:add", name, "heroku/nodejs")
    dev.ssh("buildpacks:add", name, "--index", "1", "https://example.com/apt.git#v1")
    assert listed() == ["apt.git#v1", "nodejs"]
    dev.ssh("buildpacks:set", name, "--index", "2", "heroku/python")
    assert listed() == ["apt.git#v1", "python"]
    assert dev.ssh("buildpacks:add", name, "heroku/python", check=False).status == 1
    dev.ssh("buildpacks:set", "--replace", name, "heroku/go", "heroku/ruby")
    dev.ssh("buildpacks:remove", name, "--index", "1")
    assert listed() == ["ruby"]
    assert dev.ssh("buildpacks:remove", name, "heroku/go", check=False).status == 1
    for bad in ("../x", "-x", "a b", "x;y"):
        assert dev.ssh("buildpacks:add", name, "--", bad, check=False).status == 1
    dev.ssh("buildpacks:set-property", name, "stack", "heroku/heroku:24")
    found = json.loads(dev.ssh("buildpacks:report", name, "--format", "json").text)
    assert found["buildpacks-stack"] == "heroku/heroku:24" and "ruby" in found["buildpacks-list"]
    dev.ssh("buildpacks:clear", name)
    assert listed() == []
    assert dev.ssh("buildpacks:list", "nosuchapp", check=False).status == 20


@pytest.fixture
def registry(machine: Machine) -> Iterator[str]:
    process = start_registry(machine, PORT, login=True)
    yield f"127.0.0.1:{PORT}"
    process.kill()
    process.wait()


def test_releases_are_pushed_to_a_registry(
    machine: Machine, registry: str, boss: Client, dev: Client, app: AppMaker
) -> None:
    name = app("published")
    for key, value in (("server", registry), ("push-on-release", "true"), ("push-extra-tags", "latest,stable")):
        boss.ssh("registry:set", name, key, value)
    boss.ssh("registry:set", name, "image-repo-template", "team/{{ .AppName }}-image")
    found = json.loads(boss.ssh("registry:report", name, "--format", "json").text)
    assert found["registry-computed-image"] == f"{registry}/team/published-image"
    work = boss.repository("published", httpd("published"))
    done = work.push(name, check=False)
    assert done.status == 1 and "!     " in done.error
    assert report(machine, name)["git-sha"] == ""

    words = ("registry:login", "--password-stdin", name, registry, USER)
    assert boss.ssh(*words, input=b"wrong", check=False).status == 1
    boss.ssh(*words, input=f"{PASSWORD}\n".encode())
    assert "Pushing 127.0.0.1" in work.push(name).error
    assert machine.get(name).text == "published\n"
    for tag in ("1", "latest", "stable"):
        url = f"http://{USER}:{PASSWORD}@{registry}/v2/team/published-image/manifests/{tag}"
        accept = "Accept: application/vnd.oci.image.manifest.v1+json"
        assert "schemaVersion" in machine.run(["curl", "--silent", "--fail", "-H", accept, url]).text
    boss.ssh("registry:set", name, "image-repo", "other/place")
    boss.ssh("ps:rebuild", name)
    url = f"http://{USER}:{PASSWORD}@{registry}/v2/other/place/tags/list"
    assert "2" in json.loads(machine.run(["curl", "--silent", "--fail", url]).text)["tags"]
    boss.ssh("registry:logout", name, registry)
    assert boss.ssh("registry:logout", name, registry, check=False).status == 1
    for key, value in (
        ("image-repo", "Bad Name"),
        ("image-repo", "a:b"),
        ("image-repo-template", "x/{{ .Other }}"),
        ("push-extra-tags", "a b"),
        ("server", "http//x y"),
    ):
        assert boss.ssh("registry:set", name, key, value, check=False).status == 1, value
    assert dev.ssh("registry:set", name, "server", "x", check=False).status == 1


def test_an_engine_that_is_killed_while_it_fetches_leaves_the_app_as_it_was(new_machine: MachineMaker) -> None:
    machine = new_machine()
    boss = machine.client("boss", admin=True)
    machine.paas("apps:create", "killed")
    boss.ssh("git:from-archive", "killed", "--", input=tar(httpd("before")))
    before = json.loads(machine.paas("git:status", "killed", "--format", "json").text)
    scratch = machine.data_dir / "scratch"
    with serving(machine, machine.disk):
        argv = [*boss.ssh_argv, "-p", str(machine.settings.ssh_port), f"paas@{machine.address}"]
        client = system.start([*argv, "git:from-archive killed http://127.0.0.1:8098/slow"])
        wait_until(lambda: [path for path in scratch.glob("source-*/archive") if path.stat().st_size], "it fetches")
        machine.engine_kill()
        client.wait(30)
        wait_until(lambda: not machine.run(["pgrep", "-x", "curl"], check=False).text, "the fetch has ended")
        machine.engine_start()
    assert not list(scratch.glob("source-*"))
    assert json.loads(machine.paas("git:status", "killed", "--format", "json").text) == before
    assert machine.get("killed").text == "before\n"
