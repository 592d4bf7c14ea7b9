"""Bare repositories of apps, owned by the unprivileged account that git runs as."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from paas.system import run as system
from paas.system.accounts import account
from paas.system.files import ensure_directory, remove_tree, sync_directory, write_atomic

_FILES = {
    "HEAD": "ref: refs/heads/master\n",
    "config": "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
}
_DIRECTORIES = ("objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags")

GIT_ENV = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
"""For every git that we run: no configuration but ours and the repository's own, no replaced objects."""


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
    """Pack loose objects where git finds it worth it; pushes may go on meanwhile. As `user`, else as ourselves."""
    system.run(["git", "--git-dir", str(path), "gc", "--auto", "--quiet"], env=GIT_ENV, user=user, timeout=600)


def fetch_all(source: Path, path: Path, user: str) -> None:
    """Take all branches of another bare repository on this host, checking every object. Raises SystemFailure."""
    checks = ["-c", "transfer.fsckObjects=true", "-c", "protocol.file.allow=always"]
    argv = ["git", *checks, "--git-dir", str(path), "fetch", "--quiet", "--no-tags", f"file://{source}"]
    system.run([*argv, "+refs/heads/*:refs/heads/*"], env=GIT_ENV, user=user, timeout=1800)
