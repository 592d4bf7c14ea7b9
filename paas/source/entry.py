"""What a build reads its files from: a tree of entries. A commit's is `tree.GitTree`, a directory's `directory`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from paas.errors import InvalidInput
from paas.names import shown

Kind = Literal["file", "dir", "link", "submodule", "fifo"]


@dataclass(frozen=True, slots=True)
class Entry:
    """`path` is relative to the tree's root; bytes that are not UTF-8 are kept as surrogates."""

    path: str
    kind: Kind
    mode: int
    """The permissions it gets when written."""
    oid: str = ""
    """git's object id; empty where there is none."""
    time: int | None = None
    """When it was changed, in ns since the epoch; None where only the tree as a whole has a time."""
    inode: tuple[int, int] | None = None
    """Names with the same one are hard links to one file."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Tree(Protocol):
    """Safe to use from several threads."""

    time: int
    """Seconds since the epoch: what nothing in an image that is built from it is younger than."""

    @property
    def root(self) -> Entry: ...

    def entry(self, path: str) -> Entry | None:
        """What is at a path ('' is the root); symlinks on the way are not followed."""

    def list(self, directory: Entry) -> list[Entry]:
        """What is directly in a directory, in a fixed order. Raises InvalidInput."""

    def walk(self, directory: Entry) -> Iterator[Entry]:
        """Everything below a directory, parents before what is in them."""

    def content(self, entry: Entry) -> str:
        """What changes whenever the content of a file or the target of a symlink does."""

    def read(self, entry: Entry, limit: int) -> bytes:
        """The content of a file, or the target of a symlink. Raises InvalidInput beyond `limit` bytes."""

    def copy_to(self, entry: Entry, descriptor: int, limit: int = 1 << 62) -> None:
        """Write the content of a file to a descriptor, block by block. Raises OSError when that refuses it;
        InvalidInput, before anything is written, for one of more than `limit` bytes."""


class Enterable(Tree, Protocol):
    """A tree of which a part can be taken for the whole."""

    def enter(self, path: str) -> None:
        """Make a directory the root ('' changes nothing). Raises InvalidInput where it is none."""


def too_large(entry: Entry, size: int) -> InvalidInput:
    """What is raised for a file that there is no room for."""
    return InvalidInput(
        f"{shown(entry.path)} has {size} bytes, more than the build may write to the disk",
        hint="Allow more: builder:set APP disk 20g",
    )
