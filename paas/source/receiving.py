"""Getting what comes from elsewhere into a workspace: git fetch, what it says when it fails, streams, directories."""

from __future__ import annotations

import io
import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.errors import InvalidInput, NotFound
from paas.names import shown
from paas.source import remotes
from paas.source.commits import Committer, is_git_directory
from paas.source.remotes import Remote, Wanted
from paas.source.running import ProgramFailed
from paas.source.workspace import Workspace

_FOUND = "refs/theirs/found"
_CHUNK = 1 << 18


def fetch(workspace: Workspace, remote: Remote, ref: str | None, say: Callable[[str], None]) -> tuple[Wanted, str]:
    """Bring what a ref stands for into a workspace; returns it with its commit."""
    address = remote.address

    def get(*what: str) -> None:
        workspace.git("fetch", "--no-tags", "--progress", "--", address, *what, remote=remote, say=say)

    if ref is not None and remotes.is_commit(ref):
        try:
            get(f"+{ref}:{_FOUND}")
        except ProgramFailed:  # a server that gives out no commits by their id
            everything = ("+refs/heads/*:refs/theirs/heads/*", "+refs/tags/*:refs/theirs/tags/*")
            get(*everything)
        wanted = Wanted("", ref)
    else:
        asked = workspace.git("ls-remote", "--symref", "--", address, *remotes.questions(ref), remote=remote)
        wanted = remotes.choose(asked, ref)
        get(f"+{wanted.name}:{_FOUND}")
    name = _FOUND if wanted.name else wanted.commit
    try:
        return wanted, workspace.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
    except ProgramFailed:
        raise NotFound(f"The repository has no commit {shown(ref or wanted.name)}") from None


@contextmanager
def explained(remote: Remote, trusted: bool) -> Iterator[None]:
    """What git or curl says when they fail, with what can be done about it."""
    try:
        yield
    except ProgramFailed as error:
        said, host = error.message, remote.host
        hint: str | None = None
        if "ould not read Username" in said or "uthentication failed" in said or "error: 401" in said:
            hint = f"Is it private? An admin can keep a login for it: git:auth {host} USER PASSWORD"
        elif "ost key verification failed" in said:
            hint = f"An admin can take the host's key: git:allow-host {host}"
        elif "Permission denied" in said and remote.kind == "ssh":
            hint = "Add the key of this machine there as a deploy key: git:public-key"
        elif "dubious ownership" in said:
            hint = "The directory has to belong to the account that git runs as here; or push to the app instead."
        if hint and not trusted and remote.kind in ("http", "ssh"):
            hint += ". Logins and keys of this machine are used for admins only."
        raise NotFound(f"{shown(remote.address, 200)} cannot be fetched: {said}", hint=hint) from None


def receive(input: int, file: Path, limit: int, workspace: Workspace, say: Callable[[str], None]) -> None:
    """Keep what comes on a descriptor, for as long as the caller is there."""
    poll, size, told = select.poll(), 0, time.monotonic()
    poll.register(input, select.POLLIN)
    with file.open("wb") as kept:
        while True:
            if not poll.poll(200):
                workspace.check()
                continue
            piece = os.read(input, _CHUNK)
            if not piece:
                break
            size += len(piece)
            if size > limit:
                raise InvalidInput(f"The archive is larger than {limit} bytes", hint="See git:set archive-max-size.")
            kept.write(piece)
            if time.monotonic() - told >= 2:
                told = time.monotonic()
                say(f"{size / (1 << 20):.1f} MiB so far")
    workspace.check()
    if size == 0:
        raise InvalidInput("There is no archive in the input", hint="Redirect one into it: <archive.tar.gz")


def add(files: Committer, name: str, data: bytes) -> None:
    files.file(name, len(data), io.BytesIO(data))


def add_directory(files: Committer, top: int) -> None:
    """What lies below a directory of this machine. Raises InvalidInput."""
    for folder, directories, names, directory in os.fwalk(".", dir_fd=top, follow_symlinks=False):
        for name in [*directories, *names]:
            path = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118  paths below a descriptor
            if not is_git_directory(path):
                _add_found(files, path, name, directory)


def _add_found(files: Committer, path: str, name: str, directory: int) -> None:
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        files.link(path, os.readlink(name, dir_fd=directory))
    elif stat.S_ISREG(found.st_mode):
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        with os.fdopen(opened, "rb") as content:
            files.file(path, found.st_size, content, executable=bool(found.st_mode & 0o100))
