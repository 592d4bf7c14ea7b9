"""git:sync through the front door, from servers on the machine's loopback."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from paas.system import run as system
from tests.harness.apps import httpd
from tests.harness.client import Client
from tests.harness.registry import free_port
from tests.harness.waiting import wait_until
from tests.machine import Machine

from .conftest import Elsewhere
from .files import report, tar
from .server import LOGIN

AppMaker = Callable[[str], str]


def test_sync_fetches_then_builds_then_sees_no_change(
    machine: Machine, elsewhere: Elsewhere, boss: Client, app: AppMaker
) -> None:
    name = app("synced")
    first = elsewhere.publish("sync one")
    done = boss.ssh("git:sync", name, elsewhere.git)
    assert "-----> Fetching git://127.0.0.1" in done.text and f"main is at commit {first[:12]}" in done.text
    assert "Receiving objects: 100%" in done.text and "not deployed. To deploy it: ps:rebuild synced" in done.text
    assert "sync one" not in machine.get(name).text
    status = json.loads(boss.ssh("git:status", name, "--format", "json").text)
    assert status["git-fetched"] == first and status["git-branch"] == "main" and not status["git-up-to-date"]

    assert "Application deployed" in boss.ssh("ps:rebuild", name).text
    assert machine.get(name).text == "sync one\n"
    assert report(machine, name)["git-sha"] == first
    assert report(machine, name)["git-deploy-branch"] == "main"

    again = boss.ssh("git:sync", "--build-if-changes", name, elsewhere.git).text
    assert "synced runs this commit already" in again and "Building" not in again
    second = elsewhere.publish("sync two")
    assert "Application deployed" in boss.ssh("git:sync", "--build-if-changes", name, elsewhere.dumb, "main").text
    assert machine.get(name).text == "sync two\n"
    assert "Building synced" in boss.ssh("git:sync", "--build", name, elsewhere.git).text

    copy = machine.disk / "clients/boss/copy"
    clone = boss.repository("sync-copy")
    clone.git("clone", "--quiet", boss.url(name), str(copy))
    assert clone.git("-C", str(copy), "rev-parse", "HEAD").text.strip() == second
    assert clone.git("-C", str(copy), "branch", "--show-current").text.strip() == "main"


def test_what_was_fetched_is_packed_and_only_what_a_release_has_stays(
    machine: Machine, elsewhere: Elsewhere, boss: Client, app: AppMaker
) -> None:
    name = app("packed")
    first = elsewhere.publish("packed one")
    boss.ssh("git:sync", "--build", name, elsewhere.git)
    repo = max((machine.data_dir / "repos").glob("*.git"), key=lambda path: int(path.stem))
    machine.run(["git", "config", "--file", str(repo / "config"), "gc.autoPackLimit", "2"], user="paas")

    def packs() -> int:
        return len(list((repo / "objects/pack").glob("*.pack")))

    for number in range(3):
        last = elsewhere.publish(f"packed {number}")
        boss.ssh("git:sync", name, elsewhere.git)
    wait_until(lambda: packs() <= 2, "the packs of several fetches are one")
    names = machine.run(["git", "--git-dir", str(repo), "for-each-ref"], user="paas").text
    assert f"refs/releases/{first}" in names and last in names
    boss.ssh("system:prune", "--force")
    assert packs() == 1


def test_tags_commits_and_other_branches(machine: Machine, elsewhere: Elsewhere, boss: Client, app: AppMaker) -> None:
    name = app("refs")
    old = elsewhere.publish("tagged")
    for bare in ("site.git", "private/site.git"):
        elsewhere.repository.git("push", "--quiet", str(elsewhere.directory / bare), f"{old}:refs/tags/v1")
    elsewhere.publish("newer")
    boss.ssh("git:sync", "--build", name, elsewhere.git, "v1")
    assert machine.get(name).text == "tagged\n"
    assert report(machine, name)["git-deploy-branch"] == ""
    elsewhere.publish("beta", "beta")
    boss.ssh("git:sync", "--build", "--skip-deploy-branch", name, elsewhere.git, "beta")
    assert machine.get(name).text == "beta\n"
    assert report(machine, name)["git-deploy-branch"] == ""
    boss.ssh("git:sync", "--build", name, elsewhere.git, old)
    assert machine.get(name).text == "tagged\n"
    done = boss.ssh("git:sync", "--build", name, elsewhere.git, "no-such", check=False)
    assert done.status == 1 and "has no branch or tag 'no-such'" in done.error
    done = boss.ssh("git:sync", "--build", name, elsewhere.git, "0" * 39 + "1", check=False)
    assert done.status == 1 and "has no commit" in done.error
    assert machine.get(name).text == "tagged\n"


def test_bad_words(elsewhere: Elsewhere, boss: Client, dev: Client, app: AppMaker) -> None:
    name = app("badwords")
    assert boss.ssh("git:sync", "nosuchapp", elsewhere.git, check=False).status == 20
    for address in ("--upload-pack=x", "ext::sh -c id", "a b", "ftp://x/y", "https://", "-oProxyCommand=x:y", ""):
        done = boss.ssh("git:sync", name, "--", address, check=False)
        assert done.status != 0 and "address" in done.error, address
    for ref in ("-x", "a..b", "a b", "x.lock", "$(id)", "refs/heads/../x"):
        done = boss.ssh("git:sync", name, elsewhere.git, "--", ref, check=False)
        assert done.status != 0 and "is not a branch name" in done.error, ref
    done = dev.ssh("git:sync", name, "/etc", check=False)
    assert done.status == 1 and "Only an admin may fetch from a directory" in done.error
    done = boss.ssh("git:sync", name, "https://user:hidden@127.0.0.1:1/x.git", check=False)
    assert done.status == 1 and "hidden" not in done.error + done.text


def test_keys_that_are_no_admins_do_not_reach_the_machine(elsewhere: Elsewhere, dev: Client, app: AppMaker) -> None:
    name = app("inward")
    for address in (elsewhere.git, elsewhere.dumb):
        done = dev.ssh("git:sync", "--build", name, address, check=False)
        assert done.status == 1 and "cannot be fetched" in done.error
    done = dev.ssh("git:from-archive", name, elsewhere.url("x.tar"), check=False)
    assert done.status == 1 and "cannot be fetched" in done.error


def test_a_private_repository(machine: Machine, elsewhere: Elsewhere, boss: Client, dev: Client, app: AppMaker) -> None:
    name = app("private")
    elsewhere.publish("secret site")
    done = boss.ssh("git:sync", name, elsewhere.private, check=False)
    assert done.status == 1 and "git:auth 127.0.0.1 USER PASSWORD" in done.error
    user, _, password = LOGIN.partition(":")
    assert dev.ssh("git:auth", "127.0.0.1", user, password, check=False).status == 1
    boss.ssh("git:auth", "127.0.0.1", user, input=f"{password}\n".encode())
    assert {"host": "127.0.0.1", "user": user} in json.loads(boss.ssh("git:auth-status", "--format", "json").text)
    assert password not in boss.ssh("git:auth-status", "127.0.0.1").text
    netrc = machine.data_dir / "accounts/.netrc"
    assert netrc.stat().st_mode & 0o777 == 0o600 and netrc.owner() == "paas"
    boss.ssh("git:sync", "--build", name, elsewhere.private)
    assert machine.get(name).text == "secret site\n"
    assert password not in machine.paas("events").text + machine.engine_log
    boss.ssh("git:auth", "127.0.0.1")
    assert boss.ssh("git:auth-status", "127.0.0.1", check=False).status == 1
    assert boss.ssh("git:auth", "127.0.0.1", check=False).status == 1
    for bad in ("two words", '"quoted', "#comment"):
        assert "no room for" in boss.ssh("git:auth", "127.0.0.1", user, bad, check=False).error
    in_address = elsewhere.private.replace("//", f"//{LOGIN}@")
    elsewhere.publish("secret two")
    done = boss.ssh("git:sync", "--build", name, in_address)
    assert password not in done.text + done.error + machine.paas("releases", name).text


def test_a_sync_that_is_interrupted_leaves_the_app_as_it_was(
    machine: Machine, elsewhere: Elsewhere, boss: Client, app: AppMaker
) -> None:
    name = app("halfway")
    elsewhere.publish("before")
    boss.ssh("git:sync", "--build", name, elsewhere.git)
    before = report(machine, name)
    [repo] = [path for path in (machine.data_dir / "repos").iterdir() if str(before["git-sha"]) in _heads(path)]
    objects = sorted(path.name for path in (repo / "objects/pack").iterdir())
    broken = elsewhere.repository.commit({"Dockerfile": "FROM scratch\nRUN false\n"})
    bare = elsewhere.directory / "site.git"
    elsewhere.repository.git("push", "--quiet", str(bare), f"{broken}:refs/heads/broken")
    done = boss.ssh("git:sync", "--build", name, elsewhere.git, "broken", check=False)
    assert (
        done.status == 1
        and "!     App build failed\n !     Dockerfile:2" in done.error
        and "builds:output halfway" in done.error
    )
    assert "!     Dockerfile:2" in boss.ssh("builds:output", name, "current").text
    assert report(machine, name) == before and machine.get(name).text == "before\n"
    assert sorted(path.name for path in (repo / "objects/pack").iterdir()) == objects
    assert broken not in _heads(repo)

    argv = [*boss.ssh_argv, "-p", str(machine.settings.ssh_port), f"paas@{machine.address}"]
    client = system.start([*argv, f"git:from-archive {name} {elsewhere.url('slow')}"], stdout=system.PIPE)
    scratch = machine.data_dir / "scratch"
    wait_until(lambda: list(scratch.glob("source-*/archive")), "it fetches")
    client.kill()
    client.wait()
    assert client.stdout is not None
    client.stdout.close()
    wait_until(lambda: not list(scratch.glob("source-*")), "nothing is left of it")
    assert report(machine, name) == before and machine.get(name).text == "before\n"


def test_a_fetch_is_cancelled_as_a_build_is(
    machine: Machine, elsewhere: Elsewhere, boss: Client, app: AppMaker
) -> None:
    name = app("cancelled-fetch")
    scratch = machine.data_dir / "scratch"
    assert boss.ssh("builds:cancel", name, check=False).status == 1
    for words in (("git:from-archive", name, elsewhere.url("slow")), ("git:sync", name, elsewhere.url("slow.git"))):
        caller = system.start(boss.ssh_command(*words), stdout=system.PIPE, stderr=system.PIPE)
        wait_until(lambda: list(scratch.glob("source-*")), "it fetches")
        assert "Cancelled the fetch" in boss.ssh("builds:cancel", name).text
        _, said = caller.communicate(timeout=20)
        assert caller.returncode == 130 and b"Cancelled; nothing was changed" in said
        wait_until(lambda: not list(scratch.glob("source-*")), "nothing is left of it")


def test_two_at_once_queue(machine: Machine, elsewhere: Elsewhere, boss: Client, app: AppMaker) -> None:
    name = app("twice")
    slow = str(httpd("twice")["Dockerfile"]).replace("ENV PATH", 'RUN ["/bin/sleep", "4"]\nENV PATH', 1)
    commit = elsewhere.repository.commit({**httpd("twice"), "Dockerfile": slow})
    bare = elsewhere.directory / "site.git"
    elsewhere.repository.git("push", "--quiet", str(bare), f"{commit}:refs/heads/twice")
    words = ("git:sync", "--build-if-changes", name, elsewhere.git, "twice")
    callers = [system.start(boss.ssh_command(*words), stdout=system.PIPE, stderr=system.PIPE) for _ in range(2)]
    said = [b"".join(caller.communicate(timeout=60)).decode() for caller in callers]
    assert [caller.returncode for caller in callers] == [0, 0], said
    first, second = sorted(said, key=lambda text: "runs this commit already" in text)
    assert "Application deployed" in first and "Waiting for" not in first
    assert f"Waiting for a deploy of {name} to finish" in second and "Building" not in second
    assert machine.get(name).text == "twice\n"
    assert len(json.loads(boss.ssh("releases", name, "--format", "json").text)) == 1


def _heads(repo: object) -> str:
    return system.run(["git", "--git-dir", str(repo), "for-each-ref"], user="paas").text


def test_the_deploy_key_and_known_hosts(machine: Machine, boss: Client) -> None:
    done = boss.ssh("git:public-key", check=False)
    assert done.status == 1 and "git:generate-deploy-key" in done.error
    made = boss.ssh("git:generate-deploy-key").text
    key = boss.ssh("git:public-key").text
    assert key.startswith("ssh-ed25519 ") and key in made
    assert boss.ssh("git:generate-deploy-key", check=False).status == 1
    private = machine.data_dir / "accounts/id_ed25519"
    assert private.stat().st_mode & 0o777 == 0o600 and private.owner() == "paas"
    for bad in ("-oProxyCommand=id", "a b", "x/y", "host:0"):
        assert boss.ssh("git:allow-host", "--", bad, check=False).status != 0


def test_over_ssh_with_the_deploy_key(machine: Machine, elsewhere: Elsewhere, boss: Client, app: AppMaker) -> None:
    """The other server is this machine's own front door."""
    source, name = app("upstream"), app("downstream")
    elsewhere.publish("over ssh")
    boss.ssh("git:sync", "--build", source, elsewhere.git)
    machine.paas("git:generate-deploy-key", check=False)
    machine.paas("ssh-keys:add", "deploykey", input=machine.paas("git:public-key").stdout)
    port = machine.settings.ssh_port
    address = f"ssh://paas@127.0.0.1:{port}/{source}"
    done = boss.ssh("git:sync", "--build", name, address, check=False)
    assert done.status == 1 and "git:allow-host 127.0.0.1" in done.error
    assert "SHA256:" in boss.ssh("git:allow-host", f"127.0.0.1:{port}").text
    boss.ssh("git:sync", "--build", name, address)
    assert machine.get(name).text == "over ssh\n"
    machine.paas("ssh-keys:remove", "deploykey")
    done = boss.ssh("git:sync", "--build", name, address, check=False)
    assert done.status == 1 and "git:public-key" in done.error


def test_other_keys_reach_what_lies_outside(machine: Machine, elsewhere: Elsewhere, dev: Client, app: AppMaker) -> None:
    name = app("outward")
    elsewhere.publish("from outside")
    port = free_port()
    script = Path(__file__).with_name("server.py")
    server = system.start([sys.executable, str(script), machine.host_address, str(port), str(elsewhere.directory)])
    try:
        probe = ["curl", "--silent", "--output", "/dev/null", f"http://{machine.host_address}:{port}/"]
        wait_until(lambda: system.run(probe, check=False).status == 0, "the server listens")
        dev.ssh("git:sync", "--build", name, f"http://{machine.host_address}:{port}/site.git")
        assert machine.get(name).text == "from outside\n"
        (elsewhere.directory / "outside.tar").write_bytes(tar(httpd("archive outside")))
        dev.ssh("git:from-archive", name, f"http://{machine.host_address}:{port}/outside.tar")
        assert machine.get(name).text == "archive outside\n"
    finally:
        server.kill()
        server.wait()


def test_a_directory_of_the_machine(machine: Machine, elsewhere: Elsewhere, boss: Client, app: AppMaker) -> None:
    name = app("local")
    commit = elsewhere.publish("local")
    done = boss.ssh("git:sync", "--build", name, "/root/nothing", check=False)
    assert done.status == 1 and "cannot be fetched" in done.error
    done = boss.ssh("git:sync", "--build", name, str(elsewhere.directory / "site.git"), check=False)
    assert done.status == 1 and "belong to the account" in done.error and "safe.directory" not in done.error
    system.run(["chown", "--recursive", "paas:", str(elsewhere.directory / "site.git")])
    try:
        boss.ssh("git:sync", "--build", name, f"file://{elsewhere.directory}/site.git")
    finally:
        system.run(["chown", "--recursive", "root:", str(elsewhere.directory / "site.git")])
    assert report(machine, name)["git-sha"] == commit
