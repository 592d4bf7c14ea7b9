"""Addresses of repositories and archives elsewhere, and what a server says it has. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from paas.errors import InvalidInput, NotFound
from paas.names import shown

Kind = Literal["http", "git", "ssh", "file"]

_SCHEMES: dict[str, Kind] = {"http": "http", "https": "http", "git": "git", "ssh": "ssh", "file": "file"}
_SCP = re.compile(r"(?:[A-Za-z0-9._-]+@)?(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9][A-Za-z0-9.-]*):(?!//)(.+)")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BRANCH = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_.+@/-]*")
_EXAMPLE = "Examples: https://example.com/team/app.git, git@example.com:team/app.git"


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Remote:
    """`address` is what git or curl is given: it may stand in a list of processes. `host` is '' for a file."""

    kind: Kind
    address: str
    host: str
    port: int | None = None
    login: Login | None = None
    """What stood in the address as given."""


def branch(text: str) -> str:
    """The name of a branch or tag. Raises InvalidInput."""
    bad = (
        not _BRANCH.fullmatch(text)
        or len(text) > 200
        or any(mark in text for mark in ("..", "//", "@{", "/."))
        or any(part.endswith(".lock") for part in text.split("/"))
        or text.endswith(("/", "."))
        or text in ("HEAD", "@")
    )
    if bad:
        raise InvalidInput(f"{shown(text)} is not a branch name")
    return text


def parse_remote(text: str, *, files: bool = False) -> Remote:
    """What a user calls a repository. `files`: one on this machine may be named too. Raises InvalidInput; the error
    shows no password."""
    if not text or any(char.isspace() or not char.isprintable() for char in text) or text.startswith("-"):
        raise InvalidInput("This is not the address of a repository", hint=_EXAMPLE)
    if text.startswith("/"):
        return _file(text, files)
    scheme, separator, _ = text.partition("://")
    if separator:
        return _url(text, scheme, files)
    match = _SCP.fullmatch(text)
    if match is None or match[2].startswith("-") or "::" in text.partition("/")[0].replace("[::", "["):
        raise InvalidInput(f"{shown(text)} is not the address of a repository", hint=_EXAMPLE)
    return Remote("ssh", text, match[1].strip("[]"))


def parse_archive_address(text: str) -> Remote:
    """An address that curl fetches from. Raises InvalidInput."""
    if not re.match(r"https?://", text):
        raise InvalidInput("An archive is fetched over http or https", hint="Or send it through the input, with `--`.")
    return parse_remote(text)


def _file(path: str, allowed: bool) -> Remote:
    if not allowed:
        raise InvalidInput(
            "Only an admin may fetch from a directory of this machine", hint="Name it by an https:// or ssh address."
        )
    return Remote("file", path, "")


def _url(text: str, scheme: str, files: bool) -> Remote:
    kind = _SCHEMES.get(scheme.lower())
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        kind = None
    if kind is None:
        raise InvalidInput("This is not an address of a kind that can be fetched from", hint=_EXAMPLE)
    if kind == "file":
        return _file(parts.path, files and not host)
    if not _HOST.fullmatch(f"[{host}]" if ":" in host else host) or host.startswith("-"):
        raise InvalidInput("The address names no host", hint=_EXAMPLE)
    if kind == "ssh":
        if parts.password is not None or (parts.username or "").startswith("-"):
            raise InvalidInput("ssh takes no password in an address", hint="See git:generate-deploy-key.")
        return Remote(kind, text, host, port)
    login = Login(unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
    return Remote(kind, parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), host, port, login)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch: the full name of a branch or tag, or a commit that no name is known for."""

    name: str
    commit: str

    @property
    def branch(self) -> str | None:
        return self.name.removeprefix("refs/heads/") if self.name.startswith("refs/heads/") else None


def is_commit(ref: str) -> bool:
    return bool(_COMMIT.fullmatch(ref))


def questions(ref: str | None) -> tuple[str, ...]:
    """The patterns to ask a server for."""
    return ("HEAD", "refs/heads/*") if ref is None else (f"refs/heads/{ref}", f"refs/tags/{ref}")


def choose(answer: str, ref: str | None) -> Wanted:
    """From what `git ls-remote --symref` printed. Without a ref, the branch that the server calls its HEAD.

    Raises NotFound.
    """
    heads: dict[str, str] = {}
    points = ""
    for line in answer.splitlines():
        left, _, name = line.partition("\t")
        if left.startswith("ref: ") and name == "HEAD":
            points = left.removeprefix("ref: ")
        elif _COMMIT.fullmatch(left):
            heads[name] = left
    if ref is not None:
        for name in (f"refs/heads/{ref}", f"refs/tags/{ref}"):
            if name in heads:
                return Wanted(name, heads[name])
        raise NotFound(f"The repository has no branch or tag {shown(ref)}")
    if points in heads:
        return Wanted(points, heads[points])
    same = [name for name in sorted(heads) if name.startswith("refs/heads/") and heads[name] == heads.get("HEAD")]
    for name in ("refs/heads/main", "refs/heads/master", *same):
        if name in same or (name in heads and not same):
            return Wanted(name, heads[name])
    raise NotFound("The repository has no branch that it calls its HEAD", hint="Name one: git:sync APP REPO BRANCH")
