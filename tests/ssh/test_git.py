"""git push and clone with the real git."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from paas.system import run as system

from .stub import Place, eventually


def _refs(place: Place, app: str) -> str:
    return system.run(["git", "--git-dir", str(place.engine.repo(app)), "for-each-ref"], user="paas").text


def test_push_and_clone(place: Place) -> None:
    work = place.clone_to_push("wiki", {"Dockerfile": "FROM scratch\n", "src/app.py": "print(1)\n"})
    done = place.git("push", "paas", "master", cwd=work)
    assert "remote: -----> Building" in done.error
    assert "remote: =====> Application deployed" in done.error
    assert place.engine.pushed == [{"Dockerfile": b"FROM scratch\n", "src/app.py": b"print(1)\n"}]
    assert "refs/heads/master" in _refs(place, "wiki")
    (work / "src/app.py").write_text("print(2)\n")
    place.git("commit", "-qam", "Second", cwd=work)
    place.git("push", "paas", "master", cwd=work)
    assert place.engine.pushed[1]["src/app.py"] == b"print(2)\n"
    place.git("clone", "-q", "paas@127.0.0.1:wiki", "copy", cwd=place.root)
    assert (place.root / "copy/src/app.py").read_text() == "print(2)\n"


def test_a_refused_push_changes_nothing(place: Place) -> None:
    place.engine.refuse = "The build failed"
    work = place.clone_to_push("refused", {"x": "1"})
    done = place.git("push", "paas", "master", cwd=work, check=False)
    assert done.status == 1
    assert "remote:  !     The build failed" in done.error
    assert "pre-receive hook declined" in done.error
    assert _refs(place, "refused") == ""
    objects = place.engine.repo("refused") / "objects"
    assert sorted(path.name for path in objects.iterdir()) == ["info", "pack"]


def test_the_engines_refusal_is_shown(place: Place) -> None:
    work = place.clone_to_push("missing", {"x": "1"})
    done = place.git("push", "paas", "master", cwd=work, check=False)
    assert "!     App missing does not exist\n !     apps:list shows them." in done.error


def test_a_push_over_the_limit_is_refused(place: Place) -> None:
    place.engine.limit = 200_000
    work = place.clone_to_push("large", {"x": "1"})
    (work / "blob").write_bytes(os.urandom(400_000))
    place.git("add", "-A", cwd=work)
    place.git("commit", "-qm", "Large", cwd=work)
    done = place.git("push", "paas", "master", cwd=work, check=False)
    assert done.status == 1
    assert "exceeds maximum allowed size" in done.error
    assert _refs(place, "large") == "" and place.engine.pushed == []


def test_a_client_that_goes_away_cancels_the_deploy(place: Place) -> None:
    place.engine.hold_push = True
    work = place.clone_to_push("gone", {"x": "1"})
    process = system.start(
        ["git", "push", "paas", "master"], cwd=work, env=place.git_env(), stderr=system.PIPE, new_session=True
    )
    assert place.engine.waiting.wait(10)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(10)
    assert place.engine.hung_up.wait(5)
    objects = place.engine.repo("gone") / "objects"
    assert eventually(lambda: not list(objects.glob("tmp_objdir*")))
    assert _refs(place, "gone") == ""
    assert process.stderr is not None
    process.stderr.close()


def test_hooks_and_settings_in_a_repository_are_not_listened_to(place: Place) -> None:
    work = place.clone_to_push("hooks", {"x": "1"})
    place.git("push", "-q", "paas", "master", cwd=work)
    repo, trace = place.engine.repo("hooks"), place.root / "trace"
    (repo / "hooks").mkdir()
    for name in ("pre-receive", "update", "post-receive", "post-update"):
        hook = repo / "hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} >> {trace}\nexit 1\n")
        hook.chmod(0o755)
    system.run(["git", "--git-dir", str(repo), "config", "core.hooksPath", str(repo / "hooks")], user="paas")
    (work / "x").write_text("2")
    place.git("commit", "-qam", "Second", cwd=work)
    place.git("push", "-q", "paas", "master", cwd=work)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["..", ".", ".git", ".GIT"])
def test_hostile_trees_are_refused(place: Place, name: str) -> None:
    app = f"hostile{len(name)}{name.count('g')}"
    work = place.clone_to_push(app, {"x": "1"})
    blob = place.git("hash-object", "-w", "x", cwd=work).text.strip()
    raw = b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob)
    tree = system.run(
        ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"], input=raw, cwd=work, env=place.git_env()
    ).text.strip()
    commit = place.git("commit-tree", "-m", "Hostile", tree, cwd=work).text.strip()
    done = place.git("push", "paas", f"{commit}:refs/heads/master", cwd=work, check=False)
    assert done.status == 1
    assert place.engine.pushed == []


def test_the_hook_without_a_front_door_explains_itself(tmp_path: Path) -> None:
    from paas.paths import HOOKS

    done = system.run([str(HOOKS / "pre-receive")], input=b"", check=False)
    assert done.status == 1 and "SSH server" in done.error
