"""Repositories made to harm: what git takes and refuses, what the pusher is told, what never runs."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.source import repos
from paas.system import run as system
from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.machine import Machine
from tests.source.repository import USER
from tests.source.repository import Repository as Bare

from .attacker import until

APP = "hostile"
SERVE = 'CMD ["httpd", "-f", "-p", "5000", "-h", "/www"]\n'
_NUMBERS = itertools.count()
FILE, DIRECTORY, LINK, MODULE = b"100644", b"40000", b"120000", b"160000"


@pytest.fixture(scope="module")
def pusher(machine: Machine) -> Iterator[Client]:
    client = machine.client("pushing-stranger")
    machine.paas("apps:create", APP)
    client.repository("first", httpd("first")).push(APP)
    yield client
    for key in ("push-max-files", "push-max-file-size", "push-max-refs"):
        machine.paas("git:set", "--global", key)
    machine.paas("apps:destroy", "--force", APP)


@pytest.fixture
def work(pusher: Client, request: pytest.FixtureRequest) -> Repository:
    name = f"{request.node.name.partition('[')[0]}-{next(_NUMBERS)}"
    return pusher.repository(name, httpd(name))


def bare_of(machine: Machine) -> Path:
    return max((machine.data_dir / "repos").glob("*.git"), key=lambda path: int(path.stem))


def refs(machine: Machine) -> str:
    argv = ["git", "--git-dir", str(bare_of(machine)), "for-each-ref", "--format=%(refname)"]
    return system.run(argv, user=USER).text


def is_clean(machine: Machine) -> bool:
    """Whether no push has left anything of what it brought."""
    return not list((bare_of(machine) / "objects").glob("tmp_objdir*"))


def plumb(work: Repository, kind: str, raw: bytes) -> str:
    """Any object, whatever git thinks of it; returns its id."""
    data = f"{kind} {len(raw)}\0".encode() + raw
    oid = hashlib.sha1(data).hexdigest()
    file = work.path / ".git/objects" / oid[:2] / oid[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(zlib.compress(data))
    return oid


def commit_of(work: Repository, *entries: tuple[bytes, bytes, str]) -> str:
    """A commit of a tree that is our app and `entries`: mode, name, object id; nothing is checked."""
    listed = system.run(["git", "ls-tree", "-z", "HEAD"], cwd=work.path).stdout.split(b"\0")[:-1]
    known = [(line.split()[0].lstrip(b"0"), line.partition(b"\t")[2], line.split()[2].decode()) for line in listed]
    raw = b"".join(
        mode + b" " + name + b"\0" + bytes.fromhex(oid)
        for mode, name, oid in sorted([*known, *entries], key=lambda entry: entry[1])
    )
    tree = plumb(work, "tree", raw)
    return work.git("commit-tree", "-m", "Hostile", tree).text.strip()


def push(work: Repository, pusher: Client, commit: str, ref: str = "refs/heads/master") -> system.Completed:
    return work.git("push", pusher.url(APP), f"+{commit}:{ref}", check=False, timeout=120)


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (DIRECTORY, b".git"),
        (DIRECTORY, b".GIT"),
        (DIRECTORY, b"git~1"),
        (DIRECTORY, b".g\xe2\x80\x8cit"),
        (DIRECTORY, b".git "),
        (DIRECTORY, b".git."),
        (DIRECTORY, b".git::$INDEX_ALLOCATION"),
        (FILE, b".."),
        (FILE, b"."),
        (FILE, b"a/b"),
        (FILE, b"/etc"),
        (LINK, b".gitmodules"),
        (b"777", b"mode"),
    ],
)
def test_trees_that_no_git_makes(machine: Machine, pusher: Client, work: Repository, mode: bytes, name: bytes) -> None:
    before = refs(machine)
    oid = work.git("rev-parse", "HEAD:Dockerfile").text.strip()
    if mode == DIRECTORY:
        oid = plumb(work, "tree", b"100644 config\0" + bytes.fromhex(oid))
    done = push(work, pusher, commit_of(work, (mode, name, oid)))
    assert done.status == 1 and ("fsck" in done.error or "!     " in done.error), done.error
    assert refs(machine) == before and is_clean(machine)
    assert machine.get(APP).status == 200


def test_links_that_lead_outside_stay_links(machine: Machine, pusher: Client, work: Repository) -> None:
    """In the tree, for COPY, and on the way to what is asked for."""
    for name, target in (("out", "/etc/passwd"), ("up", "../../../../../../etc"), ("dir", "/etc"), ("self", "self")):
        (work.path / name).symlink_to(target)
    wrong = "COPY up/passwd /copied/\n"
    dockerfile = f"FROM scratch\nADD root.tar /\nCOPY . /app/\n{wrong}RUN readlink /app/out >/www/index.html\n{SERVE}"
    work.commit({"Dockerfile": dockerfile})
    done = work.push(APP, "master", "--force", check=False)
    assert done.status == 1 and "!     " in done.error, "nothing is there that up/ could lead to"
    work.commit({"Dockerfile": dockerfile.replace(wrong, "")})
    work.push(APP, "master", "--force")
    assert machine.get(APP).text == "/etc/passwd\n"
    for link in ("Procfile", "app.json"):
        (work.path / link).symlink_to("/etc/shadow")
    work.commit({})
    assert "root:" not in work.push(APP, "master", "--force", check=False).error, (
        "nothing here follows a link out of the tree"
    )


def test_names_with_control_characters(machine: Machine, pusher: Client, work: Repository) -> None:
    """Names are bytes; in what people are shown they are harmless."""
    evil = "x\x1b]0;owned\x07\x1b[2J\nname"
    work.commit({evil: "x", "é\u202etxt": "y", "CASE": "1", "case": "2", "Case": "3"})
    work.commit({"Dockerfile": f'FROM scratch\nCOPY ["{evil[:-5]}*missing", "/"]\n'.replace('\n"', '"')})
    done = work.push(APP, "master", "--force", check=False)
    assert done.status == 1
    assert "\x1b]0;owned" not in done.error and "\x07" not in done.error
    modules = f'[submodule "x"]\n\tpath = {evil[:8]}\n\turl = -u./x\n'
    blob = plumb(work, "blob", modules.encode())
    done = push(work, pusher, commit_of(work, (FILE, b".gitmodules", blob), (MODULE, evil.encode(), "1" * 40)))
    assert "\x07" not in done.error


def test_trees_that_unfold_without_end(machine: Machine, pusher: Client, work: Repository) -> None:
    """A push of 3 KB that stands for ten million files."""
    oid = plumb(work, "tree", b"100644 x\0" + bytes.fromhex(work.git("rev-parse", "HEAD:Dockerfile").text.strip()))
    for _ in range(7):
        oid = plumb(work, "tree", b"".join(b"40000 %c\0" % (97 + n) + bytes.fromhex(oid) for n in range(10)))
    machine.paas("git:set", "--global", "push-max-files", "500")
    work.commit({"Dockerfile": "FROM scratch\nADD root.tar /\nCOPY bomb /bomb\n"})
    done = push(work, pusher, commit_of(work, (DIRECTORY, b"bomb", oid)))
    assert done.status == 1 and "more than 500 files and directories" in done.error
    deep = plumb(work, "tree", b"100644 x\0" + bytes.fromhex(work.git("rev-parse", "HEAD:Dockerfile").text.strip()))
    for _ in range(300):
        deep = plumb(work, "tree", b"40000 d\0" + bytes.fromhex(deep))
    done = push(work, pusher, commit_of(work, (DIRECTORY, b"bomb", deep)))
    assert done.status == 1 and "!     " in done.error
    assert is_clean(machine)
    machine.paas("git:set", "--global", "push-max-files")


def test_files_and_refs_have_limits(machine: Machine, pusher: Client, work: Repository) -> None:
    before = refs(machine)
    machine.paas("git:set", "--global", "push-max-file-size", "1m")
    machine.paas("git:set", "--global", "push-max-refs", "20")
    dev = pusher.ssh("git:set", "--global", "push-max-refs", "9999", check=False)
    assert dev.status == 1, "limits are an admin's"
    (work.path / "zeros").write_bytes(bytes(4 << 20))  # 4 KB in a pack
    work.commit({})
    done = work.push(APP, "master", "--force", check=False)
    oid = work.git("rev-parse", "HEAD:zeros").text.strip()
    assert done.status == 1 and f"Object {oid[:12]} of the push has 4.0 MiB; files here may have 1.0 MiB" in done.error
    work.git("reset", "--quiet", "--hard", "HEAD^")
    names = [f"refs/tags/t{number}" for number in range(30)]
    done = work.git("push", pusher.url(APP), *(f"HEAD:{name}" for name in names), check=False)
    assert done.status == 1 and "30 branches and tags in this push; 20 are taken at once" in done.error
    assert refs(machine) == before and is_clean(machine)
    done = work.git("push", pusher.url(APP), *(f"HEAD:{name}" for name in names[:10]))
    work.git("push", pusher.url(APP), *(f":{name}" for name in names[:10]))
    assert refs(machine) == before


@pytest.mark.parametrize(
    "ref",
    ["refs/releases/x", "refs/heads/-x", "refs/heads/a..b", "HEAD", "refs/heads/x.lock", "refs/replace/" + "1" * 40],
)
def test_names_of_refs(machine: Machine, pusher: Client, work: Repository, ref: str) -> None:
    """Ours, those that look like options, those that name what they are not: refused, or kept and never obeyed."""
    page = machine.get(APP).text
    push(work, pusher, work.head, ref)
    kept = refs(machine).split()
    assert not [name for name in kept if name.startswith("refs/releases/x") or ".." in name or name.endswith(".lock")]
    assert machine.get(APP).text == page, "nothing was deployed"
    work.git("push", pusher.url(APP), f":{ref}", check=False)


def test_nothing_of_a_repository_runs(machine: Machine, pusher: Client, work: Repository) -> None:
    """Hooks, filters, drivers, modules: none is run where the push comes in, whatever the tree says."""
    trace = machine.disk / "trace"
    trace.mkdir()
    trace.chmod(0o777)
    script = f"#!/bin/sh\ntouch {trace}/$(basename $0)\n"
    hooks = {f"{place}/{name}": script for place in ("hooks", ".githooks") for name in ("pre-receive", "post-update")}
    attributes = "* filter=evil diff=evil merge=evil ident export-subst\n*.bin filter=lfs\n"
    build = "FROM scratch\nADD root.tar /\nCOPY page /www/index.html\n"
    work.commit({**hooks, "page": "$Id$ $Format:%H$\n", "Dockerfile": build + SERVE})
    work.commit({".gitattributes": attributes})
    module = f'[submodule "x"]\n\tpath = lib\n\turl = -u./x\n\tupdate = !touch {trace}/update\n'
    done = work.push(APP, "master", "--force")
    assert machine.get(APP).text == "$Id$ $Format:%H$\n", "files come as they are in the commit"
    assert "Git LFS come as pointers" in done.error
    blob = plumb(work, "blob", module.encode())
    done = push(work, pusher, commit_of(work, (FILE, b".gitmodules", blob), (MODULE, b"lib", "1" * 40)))
    assert done.status == 1 and "fsck" in done.error, "git itself refuses what is made to be run"
    assert list(trace.iterdir()) == []


@pytest.mark.parametrize("url", ["https://example.com/lib.git", "file:///etc"])
def test_submodules_are_empty_and_said_to_be(machine: Machine, pusher: Client, work: Repository, url: str) -> None:
    build = "FROM scratch\nADD root.tar /\nCOPY lib /www/lib\nRUN ls -A /www/lib | wc -l >/www/index.html\n"
    work.commit({"Dockerfile": build + SERVE})
    blob = plumb(work, "blob", f'[submodule "lib"]\n\tpath = lib\n\turl = {url}\n'.encode())
    done = push(work, pusher, commit_of(work, (FILE, b".gitmodules", blob), (MODULE, b"lib", "1" * 40)))
    assert done.status == 0, done.error
    assert "'lib' is a submodule: it is not fetched and its directory is empty here" in done.error
    assert machine.get(APP).text == "0\n"


def test_what_git_offers_beyond_pushes(machine: Machine, pusher: Client, work: Repository) -> None:
    done = work.git("push", "-o", "ci.skip", pusher.url(APP), "HEAD:refs/heads/side", check=False)
    assert done.status != 0 and "push options" in done.error
    shallow = pusher.repository("of-a-filter")
    done = shallow.git("clone", "--quiet", "--filter=blob:none", pusher.url(APP), "copy", check=False)
    assert done.status == 0, "the whole is given"
    assert work.git("-c", "protocol.version=2", "ls-remote", pusher.url(APP)).status == 0
    done = work.git("archive", f"--remote={pusher.url(APP)}", "HEAD", check=False)
    assert done.status != 0
    other = pusher.repository("sha256")
    (other.path / "new").mkdir()
    other.git("-C", "new", "init", "--quiet", "--object-format=sha256")
    other.git("-C", "new", "commit", "--quiet", "--allow-empty", "-m", "x")
    done = other.git("-C", "new", "push", pusher.url(APP), "HEAD:refs/heads/master", check=False)
    assert done.status != 0 and "hash algorithm" in done.error
    stranger = machine.client("stranger-at-git")
    machine.paas("access:remove", "stranger-at-git", check=False)
    unknown = machine.client("unknown-at-git", known=False)
    for words in (("clone", unknown.url(APP), "copy"), ("push", unknown.url(APP), "HEAD:refs/heads/master")):
        assert unknown.repository(f"none-{words[0]}").git(*words, check=False).status != 0
    assert stranger.name not in refs(machine)


def test_a_push_that_is_killed_leaves_nothing(machine: Machine, pusher: Client, work: Repository) -> None:
    before = refs(machine)
    work.commit({"Dockerfile": "FROM scratch\nADD root.tar /\nRUN sleep 60\n", "data": os.urandom(300_000).hex()})
    argv = ["git", "push", pusher.url(APP), "+HEAD:refs/heads/master"]
    env = {"GIT_SSH_COMMAND": " ".join(pusher.ssh_argv)}
    process = system.start(argv, cwd=work.path, env=env, new_session=True)
    until(lambda: list((bare_of(machine) / "objects").glob("tmp_objdir*")), "what it brings has come", 20)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    until(lambda: is_clean(machine), "the quarantine is gone", 20)
    assert refs(machine) == before


def test_a_configuration_that_names_programs(open_path: Path) -> None:
    """As somebody who has taken over the front door can write it: no git that the engine runs obeys it."""
    bare = Bare(open_path)
    commit = bare.commit(bare.tree((FILE, b"x", bare.blob(b"x"))))
    bare.git("update-ref", "refs/heads/master", commit)
    trace, program = open_path / "trace", open_path / "program"
    trace.mkdir()
    trace.chmod(0o777)
    program.write_text(f"#!/bin/sh\ntouch {trace}/$(basename $0)-$$\nexit 1\n")
    program.chmod(0o755)
    hooks = bare.path / "hooks"
    system.run(["mkdir", str(hooks)], user=USER)
    for hook in ("reference-transaction", "pre-auto-gc", "post-update", "pre-receive", "update", "post-checkout"):
        system.run(["cp", str(program), str(hooks / hook)], user=USER)
    for key, value in (
        ("core.hooksPath", str(hooks)),
        ("core.fsmonitor", str(program)),
        ("core.sshCommand", str(program)),
        ("core.alternateRefsCommand", str(program)),
        ("core.pager", str(program)),
        ("core.askPass", str(program)),
        ("gpg.program", str(program)),
        ("log.showSignature", "true"),
        ("credential.helper", f"!{program}"),
        ("uploadpack.packObjectsHook", str(program)),
        ("extensions.partialClone", "evil"),
        ("remote.evil.promisor", "true"),
        ("remote.evil.url", f"ext::{program}"),
        ("remote.evil.uploadpack", str(program)),
        ("protocol.ext.allow", "always"),
        (f"url.ext::{program}.insteadOf", str(bare.path)),
        ("core.repositoryFormatVersion", "1"),
    ):
        system.run(["git", "config", "--file", str(bare.path / "config"), key, value], user=USER)
    repos.point_head(bare.path, "other", USER)
    repos.head_branch(bare.path, USER)
    repos.commit_of(bare.path, "refs/heads/master", USER)
    repos.subject_of(bare.path, commit, USER)
    for work in (lambda at: repos.keep(at, USER, [commit]), lambda at: repos.collect(at, USER), repos.tidy):
        try:
            work(bare.path)
        except Exception as error:  # noqa: BLE001  it may refuse, and run nothing
            print(error)
    with bare.open(commit) as tree:
        assert [entry.path for entry in tree.walk(tree.root)] == ["x"]
    missing = bare.commit(bare.tree((FILE, b"y", "2" * 40)))
    with bare.open(missing) as tree, pytest.raises(Exception, match="lacks"):
        tree.read(next(iter(tree.walk(tree.root))), 10)
    for name in ("copy.git", "other.git"):
        repos.init_bare(open_path / "repos" / name, USER)
    for take in (repos.copy, repos.fetch_all):
        try:
            take(bare.path, open_path / "repos/copy.git", USER)
        except Exception as error:  # noqa: BLE001
            print(error)
    assert sorted(path.name for path in trace.iterdir()) == []
