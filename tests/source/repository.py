"""A bare repository filled with git's plumbing, hostile objects included."""

from __future__ import annotations

from pathlib import Path

from paas.model import Source
from paas.names import AppName
from paas.source import repos
from paas.source.tree import GitTree
from paas.system import run as system

USER = "paas"
_WHO = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "Ann", "EMAIL": "ann@example.com", "DATE": "1700000000 +0100"}.items()
}


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "repos/wiki.git"
        repos.init_bare(self.path, USER)

    def git(self, *words: str, input: bytes | None = None, env: dict[str, str] | None = None) -> str:
        argv = ["git", "--git-dir", str(self.path), *words]
        return system.run(argv, input=input, env={**_WHO, **(env or {})}, user=USER).text.strip()

    def blob(self, data: bytes, env: dict[str, str] | None = None) -> str:
        return self.git("hash-object", "-w", "--stdin", input=data, env=env)

    def tree(self, *entries: tuple[bytes, bytes, str], env: dict[str, str] | None = None) -> str:
        """`entries` are (mode, name, object id); nothing is checked."""
        raw = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
        return self.raw("tree", raw, env)

    def raw(self, kind: str, data: bytes, env: dict[str, str] | None = None) -> str:
        return self.git("hash-object", "-w", "-t", kind, "--literally", "--stdin", input=data, env=env)

    def commit(self, tree: str, message: str = "First", env: dict[str, str] | None = None) -> str:
        return self.git("commit-tree", "-m", message, tree, env=env)

    def commit_of(self, tree: str) -> str:
        """A commit of a tree that git would not take."""
        return self.raw("commit", f"tree {tree}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nx\n".encode())

    def open(self, commit: str, quarantine: Path | None = None, most: int = 1_000_000) -> GitTree:
        return GitTree(Source(AppName("wiki"), self.path, commit, quarantine), USER, most)
