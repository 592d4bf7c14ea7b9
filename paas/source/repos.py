"""Bare repositories of apps, owned by the unprivileged account that git runs as."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from paas.errors import SystemFailure
from paas.system import run as system
from paas.system.accounts import account
from paas.system.files import ensure_directory, remove_tree, sync_directory, tree_size, write_atomic

_FILES = {
    "HEAD": "ref: refs/heads/master\n",
    "config": "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
}
_DIRECTORIES = ("objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags")

_OVERRULED = {
    "core.alternateRefsCommand": "true",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.pager": "cat",
    "core.sshCommand": "false",
    "credential.helper": "",
    "gpg.program": "false",
    "log.showSignature": "false",
}
"""Whoever has taken over the front door can write a repository's configuration. These settings name programs, and are
ours whatever it says; lazy fetches and transports, which name others, are refused below."""


def git_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What every git of ours is run with: no configuration but `settings` and the repository's own, less what could
    run a program; no replaced objects."""
    found = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file",
    }
    every = {**_OVERRULED, **settings}
    found["GIT_CONFIG_COUNT"] = str(len(every))
    for number, (key, value) in enumerate(every.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


GIT_ENV = git_environment({})


def init_bare(path: Path, user: str) -> None:
    """Make an empty bare repository (what `git init --bare` leaves, without its samples); one that is there stays."""
    owner = account(user)
    ensure_directory(path.parent, mode=0o750, owner=(0, owner[1]))
    if path.exists():
        return
    # Its owner gets it last: nobody else can put a symlink in our way. Whole or not there: renamed into place.
    made = path.with_name(f".tmp-{secrets.token_hex(4)}")
    try:
        for directory in (made, *(made / name for name in _DIRECTORIES)):
            directory.mkdir(mode=0o700)
        for name, text in _FILES.items():
            write_atomic(made / name, text, owner=owner)
        for name in reversed(_DIRECTORIES):
            os.chown(made / name, *owner)
        os.chown(made, *owner)
        made.rename(path)
    except BaseException:
        remove_tree(made)
        raise
    sync_directory(path.parent)


def copy(source: Path, target: Path, user: str) -> None:
    """Bring all branches, tags and commits of a repository into one that is empty. Raises SystemFailure."""
    refs = "+refs/*:refs/*"
    argv = ["git", "--git-dir", str(target), "fetch", "--quiet", "--no-auto-gc", str(source), refs]
    system.run(argv, env=GIT_ENV, user=user, timeout=600)


def tidy(path: Path, user: str | None = None) -> None:
    """Pack loose objects, and many packs to one, where git finds it worth it; pushes may go on meanwhile. As `user`,
    else as ourselves."""
    argv = ["git", "--git-dir", str(path), "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet"]
    system.run(argv, env=GIT_ENV, user=user, timeout=3600)


def fetch_all(source: Path, path: Path, user: str) -> None:
    """Take all branches of another bare repository on this host, checking every object. Raises SystemFailure."""
    checks = ["-c", "transfer.fsckObjects=true", "-c", "protocol.file.allow=always"]
    argv = ["git", *checks, "--git-dir", str(path), "fetch", "--quiet", "--no-tags", f"file://{source}"]
    system.run([*argv, "+refs/heads/*:refs/heads/*"], env=GIT_ENV, user=user, timeout=1800)


def point_head(path: Path, branch: str, user: str) -> None:
    """Let a branch be what a clone of the repository checks out."""
    ref = f"refs/heads/{branch}"
    try:
        if (path / "HEAD").read_text().strip() == f"ref: {ref}":
            return
    except (OSError, UnicodeDecodeError):
        pass  # git mends it
    system.run(["git", "--git-dir", str(path), "symbolic-ref", "HEAD", ref], env=GIT_ENV, user=user)


def head_branch(path: Path, user: str) -> str | None:
    """The branch that HEAD names, whether it is there or not."""
    argv = ["git", "--git-dir", str(path), "symbolic-ref", "--quiet", "HEAD"]
    done = system.run(argv, env=GIT_ENV, user=user, check=False)
    name = done.text.strip()
    return name.removeprefix("refs/heads/") if done.status == 0 and name.startswith("refs/heads/") else None


def commit_of(path: Path, ref: str, user: str) -> str | None:
    """The commit that a ref stands for; None where there is none."""
    argv = ["git", "--git-dir", str(path), "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"]
    done = system.run(argv, env=GIT_ENV, user=user, check=False)
    return done.text.strip() if done.status == 0 else None


def is_shallow_push(path: Path, quarantine: Path | None, commits: Sequence[str], user: str) -> bool:
    """Whether a push comes from a shallow clone. While git takes one it keeps a list beside the objects; a git that
    was killed has left such a list behind, so that the history is looked at as well."""
    if not any(path.glob("shallow_*")):
        return False
    env = dict(GIT_ENV)
    if quarantine is not None:
        env |= {"GIT_OBJECT_DIRECTORY": str(quarantine), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(path / "objects")}
    argv = ["git", "--git-dir", str(path), "rev-list", "--quiet", *commits, "--"]
    return system.run(argv, env=env, user=user, check=False, timeout=600).status != 0


def largest_object(path: Path, quarantine: Path, user: str) -> tuple[str, int]:
    """The id and the size in bytes of the largest object that a push brings, by what it is when it is unpacked."""
    argv = ["git", "--git-dir", str(path), "cat-file", "--batch-all-objects", "--unordered", "--buffer"]
    env = {**GIT_ENV, "GIT_OBJECT_DIRECTORY": str(quarantine)}
    argv.append("--batch-check=%(objectsize) %(objectname)")
    process = system.start(argv, env=env, user=user, stdout=system.PIPE)
    assert process.stdout is not None
    largest, oid = 0, ""
    try:
        for line in process.stdout:  # there may be millions
            size, _, name = line.partition(b" ")
            if size.isdigit() and int(size) > largest:
                largest, oid = int(size), name.decode("ascii", "replace").strip()
        if process.wait(60) != 0:
            raise SystemFailure("git cannot read what was pushed")
    finally:
        process.stdout.close()
        process.kill()
        process.wait(10)
    return oid, largest


def subject_of(path: Path, commit: str, user: str) -> str:
    """The first line of a commit's message."""
    argv = ["git", "--git-dir", str(path), "log", "-1", "--format=%s", commit]
    line = system.run(argv, env=GIT_ENV, user=user).text.strip()
    return "".join(char for char in line if char.isprintable())[:200]


def quarantines(root: Path, user: str) -> list[str]:
    """Directories in which git keeps the objects of pushes to the repositories below `root` until it accepts them.

    Whose git was killed are left. Looked for as the user who can put symlinks there.
    """
    if not root.is_dir():
        return []
    names = ["-path", "*/objects/tmp_objdir-*", "-prune", "-print0"]
    done = system.run(["find", str(root), "-mindepth", "3", "-maxdepth", "3", *names], user=user, check=False)
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def drop_quarantine(name: str, user: str) -> None:
    system.run(["rm", "-rf", "--", name], user=user)


def remove_locks(path: Path, user: str) -> list[str]:
    """Remove git's lock files that are older than ten minutes; returns which."""
    found = [*_find(path, user, "-maxdepth", "1"), *_find(path / "refs", user)]
    if found:
        system.run(["rm", "-f", "--", *found], user=user)
    return sorted(str(Path(name).relative_to(path)) for name in found)


def _find(top: Path, user: str, *options: str) -> list[str]:
    argv = ["find", str(top), *options, "-type", "f", "-name", "*.lock", "-mmin", "+10", "-print0"]
    return [os.fsdecode(name) for name in system.run(argv, user=user).stdout.split(b"\0") if name]


KEPT = "refs/releases"
"""Below it the commits of releases are named, so that they stay; hidden from those who push and clone."""


def keep(path: Path, user: str, commits: Sequence[str]) -> None:
    """Name these commits below KEPT, and no others."""
    known = system.run(
        ["git", "--git-dir", str(path), "for-each-ref", "--format=%(refname)", KEPT], env=GIT_ENV, user=user
    )
    wanted = {f"{KEPT}/{commit}": commit for commit in commits if commit_of(path, commit, user)}
    lines = [f"update {ref} {commit}" for ref, commit in wanted.items()]
    lines += [f"delete {ref}" for ref in known.text.split() if ref not in wanted]
    if lines:
        words = "".join(f"{line}\n" for line in lines).encode()
        system.run(["git", "--git-dir", str(path), "update-ref", "--stdin"], input=words, env=GIT_ENV, user=user)


def collect(path: Path, user: str) -> tuple[int, int]:
    """Pack everything, and drop what no ref has had for a day; returns the bytes before and after."""
    before = tree_size(path / "objects")
    argv = ["git", "--git-dir", str(path), "-c", "pack.threads=1", "-c", "core.hooksPath=/dev/null"]
    system.run([*argv, "gc", "--quiet", "--prune=1.day.ago"], env=GIT_ENV, user=user, timeout=3600)
    return before, tree_size(path / "objects")


_ILL_FORMED = 1
"""How git fsck ends when an object, damaged or not, is not as git would make it."""


def problem(path: Path, user: str) -> str | None:
    """What of a repository is damaged or missing, all objects read; None if nothing. Raises SystemFailure.

    What git would not make itself, as a date without a space before it, is no damage: it came so, and a push may have
    it.
    """
    argv = ["git", "--git-dir", str(path), "fsck", "--no-dangling", "--no-progress", "--no-reflogs"]
    done = system.run(argv, env=GIT_ENV, user=user, check=False, timeout=3600)
    if done.status < 0:
        raise system.failure(done)
    lines = [*done.error.splitlines(), *done.text.splitlines()]
    found = [line for line in lines if line.startswith(("error:", "fatal:", "missing "))]
    if not found:
        return None if done.status in (0, _ILL_FORMED) else f"git fsck ends with status {done.status}"
    return found[0].removeprefix("error: ").removeprefix("fatal: ")
