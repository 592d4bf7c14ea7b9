"""Commits made from files that come one by one, by `git fast-import`: nothing is ever written under their own names."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from types import TracebackType
from typing import IO

from paas.errors import InvalidInput, SystemFailure
from paas.names import shown
from paas.source.running import end
from paas.source.workspace import Workspace
from paas.system import run as system

_REF = "refs/heads/made"
_CHUNK = 1 << 18
_PATH_LIMIT, _NAME_LIMIT, _DEEPEST = 4000, 255, 200
_MODES = {"file": "100644", "executable": "100755", "link": "120000"}
_BAD = re.compile(r"[<>\n\0]")


@dataclass(frozen=True, slots=True)
class Author:
    name: str = "paas"
    address: str = "paas@localhost"

    def __post_init__(self) -> None:
        if _BAD.search(self.name + self.address) or not self.name:
            raise InvalidInput("A git user's name and address have no '<', '>' and line breaks")


class Committer:
    """A context manager. Files are added, then `commit` makes one commit of them; a name added twice is what came
    last."""

    def __init__(self, workspace: Workspace, most_files: int, most_bytes: int) -> None:
        self._workspace = workspace
        self._most_files = most_files
        self._most_bytes = most_bytes
        self._bytes = 0
        self._marks = 0
        self._added = 0
        self._entries: dict[str, tuple[str, int]] = {}
        """path -> (mode, mark)"""
        self._process: system.Process | None = None

    def __enter__(self) -> Committer:
        workspace = self._workspace
        argv = ["git", "fast-import", "--quiet", "--done"]
        self._process = workspace.start(argv, env=workspace.git_env(), stdin=system.PIPE, stdout=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        if process.poll() is None:
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                pass
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        end(process, at_once=True)

    def file(self, path: str, size: int, content: IO[bytes], *, executable: bool = False) -> None:
        """A file of exactly `size` bytes. Raises InvalidInput."""
        path = self._counted(path, size)
        self._blob(size)
        left = size
        while left:
            self._workspace.check()
            piece = content.read(min(left, _CHUNK))
            if not piece:
                raise InvalidInput(f"{shown(path)} ends before its end")
            self._write(piece)
            left -= len(piece)
        self._write(b"\n")
        self._entries.pop(path, None)
        self._entries[path] = (_MODES["executable" if executable else "file"], self._marks)

    def link(self, path: str, target: str) -> None:
        """A symlink, which leads wherever it likes: nothing here follows it."""
        data = os.fsencode(target)
        if not data or b"\0" in data or len(data) > _PATH_LIMIT:
            raise InvalidInput(f"The symlink {shown(path)} names nothing")
        path = self._counted(path, len(data))
        self._blob(len(data))
        self._write(data + b"\n")
        self._entries.pop(path, None)
        self._entries[path] = (_MODES["link"], self._marks)

    def same(self, path: str, other: str) -> None:
        """Another name of a file that was added. Raises InvalidInput."""
        found = self._entries.get(clean_path(other))
        if found is None:
            raise InvalidInput(f"{shown(path)} is a hard link to {shown(other)}, which did not come before it")
        path = self._counted(path, 0)
        self._entries.pop(path, None)
        self._entries[path] = found

    def skip(self, size: int) -> None:
        """So many bytes are read and left out; they count."""
        self._bytes += max(size, 0)
        self._check_size()

    def check(self) -> None:
        """Raises Cancelled once nobody waits for it any more."""
        self._workspace.check()

    def commit(self, message: str, author: Author, parent: str | None, *, unwrap: bool = False) -> str:
        """Make the commit and return its id. `unwrap`: one directory that everything lies in is left out."""
        entries = self._entries
        if not entries:
            raise InvalidInput("There are no files in it")
        if unwrap:
            tops = {path.partition("/")[0] for path in entries}
            if len(tops) == 1 and all("/" in path for path in entries):
                entries = {path.partition("/")[2]: found for path, found in entries.items()}
        for path in entries:
            for at in (at for at, char in enumerate(path) if char == "/"):
                if path[:at] in entries:
                    raise InvalidInput(f"{shown(path)} lies in {shown(path[:at])}, which is no directory")
        text = message.encode("utf-8", "replace")
        who = f"{author.name} <{author.address}> {time.time():.0f} +0000".encode("utf-8", "surrogateescape")
        self._write(b"commit %s\ncommitter %s\ndata %d\n%s\n" % (_REF.encode(), who, len(text), text))
        if parent is not None:
            self._write(f"from {parent}\ndeleteall\n".encode())
        for path, (mode, mark) in entries.items():
            self._write(f"M {mode} :{mark} ".encode() + _quoted(path) + b"\n")
        self._write(b"\ndone\n")
        self._finish()
        return self._workspace.git("rev-parse", "--verify", f"{_REF}^{{commit}}").strip()

    def _counted(self, path: str, size: int) -> str:
        self._added += 1
        self._bytes += max(size, 0)
        if self._added > self._most_files:
            raise InvalidInput(
                f"There are more than {self._most_files} files in it", hint="See git:set archive-max-files."
            )
        self._check_size()
        return clean_path(path)

    def _check_size(self) -> None:
        if self._bytes > self._most_bytes:
            raise InvalidInput(
                f"Its files are larger than {self._most_bytes} bytes", hint="See git:set archive-max-size."
            )

    def _blob(self, size: int) -> None:
        self._marks += 1
        self._write(b"blob\nmark :%d\ndata %d\n" % (self._marks, size))

    def _write(self, data: bytes) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            process.stdin.write(data)
        except BrokenPipeError:
            raise self._failure() from None

    def _finish(self) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None
        if process.wait(600) != 0:
            raise self._failure()

    def _failure(self) -> SystemFailure:
        process = self._process
        assert process is not None and process.stderr is not None
        status = process.wait(60)
        said = process.stderr.read(8192).decode("utf-8", "replace").strip().splitlines()
        return SystemFailure(
            f"git could not make a commit of the files (status {status})" + (f": {said[0]}" if said else ""),
            hint="Is the disk full?",
        )


def clean_path(path: str) -> str:
    """A relative path without needless parts. Raises InvalidInput for one that leads outside, or that git refuses."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in path or "\\" in path:
        raise InvalidInput(f"There is an entry {shown(path)} in it, which leads outside", hint="Nothing was taken.")
    if (
        not parts
        or len(parts) > _DEEPEST
        or len(os.fsencode(path)) > _PATH_LIMIT
        or any(len(os.fsencode(part)) > _NAME_LIMIT for part in parts)
    ):
        raise InvalidInput(f"There is an entry {shown(path)} in it, which is too long, too deep or no name at all")
    return "/".join(parts)


def is_git_directory(path: str) -> bool:
    """Whether a path lies in a `.git`, which no tree may have."""
    return any(part.lower() == ".git" for part in path.split("/"))


def _quoted(path: str) -> bytes:
    """As fast-import reads a path: in quotes, with octal escapes."""
    plain = b'"'
    for byte in os.fsencode(path):
        plain += bytes([byte]) if 0x20 < byte < 0x7F and byte not in b'"\\' else b"\\%03o" % byte
    return plain + b'"'
