"""What is mounted where, as it is typed: SOURCE:TARGET. Errors are InvalidInput."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from paas.errors import InvalidInput
from paas.model import Mount
from paas.names import shown

FORBIDDEN_TARGETS = ("/", "/dev", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname")
_FORBIDDEN_TREES = ("/proc", "/sys", "/run/paas")
"""What the kernel shows there, and what hides some of it, is not to be covered."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)


def volume(text: str, kept: Path) -> Mount:
    """`SOURCE:TARGET[:ro]`; SOURCE is a plain name below `kept`, or a path on the host.

    Whether it may be mounted is for the caller to say. Raises InvalidInput.
    """
    source, colon, rest = text.partition(":")
    path, _, option = rest.partition(":")
    options = set(option.split(",")) - {"", "rw", "z", "Z"}
    if not colon or not source or options - {"ro"}:
        raise InvalidInput(f"{shown(text)} is not of the form SOURCE:TARGET[:ro]")
    return mounted(source, path, kept, read_only="ro" in options)


def mounted(source: str, path: str, kept: Path, *, read_only: bool) -> Mount:
    """What is below a directory that paas keeps is told apart from it: its content is the containers' own."""
    found = place(source, kept)
    below = found.relative_to(kept).parts if found.is_relative_to(kept) else ()
    if len(below) > 1:
        return Mount(kept / below[0], target(path), read_only, subpath="/".join(below[1:]))
    return Mount(found, target(path), read_only)


def place(source: str, kept: Path) -> Path:
    """The directory that a source stands for. Raises InvalidInput."""
    path = Path(source)
    if "\0" in source or any(not character.isprintable() for character in source):
        raise InvalidInput(f"{shown(source)} cannot be the path of a directory to mount")
    if not path.is_absolute():
        if not _PLAIN.fullmatch(source):
            raise InvalidInput(
                f"{shown(source)} is neither a plain name nor an absolute path",
                hint="A plain name has letters, digits, '_', '.' and '-', such as wiki-pages.",
            )
        return kept / source
    if ".." in path.parts:
        raise InvalidInput(f"{shown(source)} contains '..'")
    return path


def target(text: str) -> str:
    """A path in a container that something may be mounted on. Raises InvalidInput."""
    pure = PurePosixPath(text)
    odd = ".." in pure.parts or any(not character.isprintable() for character in text)
    if not pure.is_absolute() or odd or str(pure).removeprefix("/") == "" or _forbidden(pure):
        raise InvalidInput(f"{shown(text)} cannot be mounted over", hint="Give an absolute path such as /data.")
    return "/" + str(pure).lstrip("/")


def _forbidden(path: PurePosixPath) -> bool:
    whole = PurePosixPath("/" + str(path).lstrip("/"))
    return str(whole) in FORBIDDEN_TARGETS or any(whole.is_relative_to(tree) for tree in _FORBIDDEN_TREES)
