"""ADD from addresses: files over HTTP, with or without their checksum, and git repositories."""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from paas.build import keys
from paas.build.context import Context
from paas.build.destination import Destination
from paas.build.outside import Outside
from paas.errors import BuildFailed, InvalidInput
from paas.image.store import ImageStore
from paas.names import shown
from paas.source.directory import DirectoryTree
from paas.source.repos import GIT_ENV
from paas.state.images import Download

_GIT = re.compile(r"(?:git|ssh)://|git@[\w.-]+:|https?://[^#]+\.git(?:#|$)")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REF = re.compile(r"[A-Za-z0-9_.+@{}^~/-]+")


def is_remote(source: str) -> bool:
    return bool(re.match(r"https?://", source) or _GIT.match(source))


class Fetched:
    """A source of ADD that lies elsewhere. Nothing is fetched before it has to be."""

    key: str
    """What changes whenever the content does."""

    def put(self, into: Destination, *, unpack: bool) -> None:
        raise NotImplementedError


class Fetcher:
    """For one build. `limit` is the size of the largest file, in bytes; `scope` whose memory of servers' answers is
    used ('': everybody's), because who chooses the proxy chooses the answers."""

    def __init__(self, store: ImageStore, outside: Outside, limit: int, scope: str = "") -> None:
        self._store = store
        self._scope = scope
        self._outside = outside
        self._limit = limit

    @contextlib.contextmanager
    def fetch(self, url: str, checksum: str, keep_git_dir: bool) -> Iterator[Fetched]:
        """Raises InvalidInput for an address or checksum that makes no sense, BuildFailed when it cannot be had."""
        if _GIT.match(url):
            yield _Repository(self._outside, self._limit, url, checksum, keep_git_dir)
            return
        if checksum and not _CHECKSUM.fullmatch(checksum):
            raise InvalidInput(f"{shown(checksum)} is not a checksum", hint="Write it as --checksum=sha256:HEX")
        yield _File(self._store, self._outside, self._limit, self._scope, url, checksum)


@dataclass(slots=True)
class _Answer:
    """What a server said: `file` is None when the content is still the one of the known `etag`."""

    file: Path | None
    name: str
    etag: str
    time: int | None


class _File(Fetched):
    def __init__(self, store: ImageStore, outside: Outside, limit: int, scope: str, url: str, checksum: str) -> None:
        self._store = store
        self._known_as = f"{scope} {url}".lstrip()
        self._outside = outside
        self._limit = limit
        self._url = url
        self._checksum = checksum
        self._answer: _Answer | None = None
        self.key = keys.digest("file", url, checksum or self._content())

    def put(self, into: Destination, *, unpack: bool) -> None:
        answer = self._answer
        if answer is None or answer.file is None:
            answer = self._get(None)
            assert answer.file is not None
            content = _hash(answer.file)
            if self._checksum and content != self._checksum:
                raise BuildFailed(
                    f"{shown(_public(self._url))} has the checksum {content}, not {self._checksum}",
                    hint="Either it has changed there, or it is not what it claims to be.",
                )
        assert answer.file is not None
        if unpack:
            with answer.file.open("rb") as file:
                if into.archive(file.fileno()):
                    return
        into.download(answer.file, answer.name, answer.time)

    def _content(self) -> str:
        """The checksum of what is there now; not fetched again when the server says that it has not changed."""
        known = self._store.download(self._known_as)
        answer = self._get(known.etag if known else None)
        if answer.file is None and known is not None:
            return known.content
        assert answer.file is not None
        self._answer = answer
        content = _hash(answer.file)
        if answer.etag:
            self._store.set_download(self._known_as, Download(answer.etag, content, answer.name, answer.time))
        return content

    def _get(self, etag: str | None) -> _Answer:
        directory = self._outside.directory / secrets.token_hex(4)
        # Written and read by the program; the address and the tag come over its input, where no other user sees them.
        file, headers = Path(f"{directory}.body"), Path(f"{directory}.head")
        lines = [f"url = {_quoted(self._url)}"]
        if etag:
            lines.append(f"header = {_quoted(f'If-None-Match: {etag}')}")
        self._run_curl(lines, file, headers)
        status, fields = _head(headers)
        if status == 304 and etag:
            return _Answer(None, "", etag, None)
        if not file.exists():
            file.touch()
        if file.stat().st_size > self._limit:
            raise BuildFailed(f"{shown(_public(self._url))} is larger than {self._limit} bytes")
        return _Answer(file, self._name(fields), fields.get("etag", ""), _time(fields.get("last-modified")))

    def _run_curl(self, lines: list[str], file: Path, headers: Path) -> None:
        try:
            self._outside.run(
                [
                    *("curl", "--silent", "--show-error", "--fail", "--location", "--max-redirs", "10"),
                    *("--proto", "=http,https", "--connect-timeout", "20", "--speed-limit", "1", "--speed-time", "60"),
                    *("--retry", "2", "--max-filesize", str(self._limit)),
                    *("--output", str(file), "--dump-header", str(headers), "--config", "-"),
                ],
                input="\n".join(lines).encode(),
                env={},
                limit=self._limit + 1,
            )
        except BuildFailed as error:
            why = error.message.removeprefix("curl: ")
            raise BuildFailed(f"{shown(_public(self._url))} cannot be fetched: {why}") from None

    def _name(self, fields: dict[str, str]) -> str:
        given = re.search(r'filename="?([^";]+)', fields.get("content-disposition", ""))
        path = given[1] if given else unquote(urlsplit(self._url).path)
        name = posixpath.basename(path)
        if name in ("", ".", "..") or "\0" in name:
            raise InvalidInput(
                f"{shown(_public(self._url))} names no file", hint="Give the destination a file name, without '/'."
            )
        return name


@dataclass(slots=True)
class _Repository(Fetched):
    """`URL[#REF[:DIRECTORY]]`"""

    outside: Outside
    limit: int
    url: str
    checksum: str
    keep_git_dir: bool
    key: str = field(init=False)
    commit: str = field(init=False)
    address: str = field(init=False)
    directory: str = field(init=False)

    def __post_init__(self) -> None:
        self.address, _, fragment = self.url.partition("#")
        ref, _, self.directory = fragment.partition(":")
        if self.address.startswith("-") or (ref and (not _REF.fullmatch(ref) or ref.startswith("-"))):
            raise InvalidInput(f"{shown(self.url)} is not the address of a repository")
        self.directory = posixpath.normpath("/" + self.directory).lstrip("/")
        self.commit = ref if _COMMIT.fullmatch(ref) else self._resolve(ref)
        if self.checksum and not self.commit.startswith(self.checksum):
            raise BuildFailed(f"{shown(ref or 'HEAD')} is commit {self.commit} there, not {self.checksum}")
        self.key = keys.digest("git", self.commit, self.directory, self.keep_git_dir)

    def put(self, into: Destination, *, unpack: bool) -> None:
        place = self.outside.directory / secrets.token_hex(4)
        self._git("init", "--quiet", str(place))
        try:
            self._git("-C", str(place), "fetch", "--quiet", "--depth=1", "--", self.address, self.commit)
        except BuildFailed:  # a server that gives out no commits by their id
            self._git("-C", str(place), "fetch", "--quiet", "--", self.address, "+refs/*:refs/remotes/origin/*")
        self._git("-C", str(place), "checkout", "--quiet", "--detach", self.commit)
        if (place / ".gitmodules").is_file():
            self._git("-C", str(place), "submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
        when = int(self._git("-C", str(place), "show", "--no-patch", "--format=%ct", self.commit).strip() or b"0")
        with DirectoryTree(os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), time=when) as tree:
            context = Context(tree, noun="the repository", ignoring=False)
            entry = tree.entry(self.directory)
            if entry is None or entry.kind != "dir":
                raise BuildFailed(f"The repository has no directory {shown(self.directory)}")
            for child in context.children(entry):
                if self.keep_git_dir or child.name != ".git":
                    into.change(context, child, child.name)

    def _resolve(self, ref: str) -> str:
        """The commit that a branch, a tag or nothing stands for."""
        names = [ref, f"refs/tags/{ref}^{{}}"] if ref else ["HEAD"]
        lines = self._git("ls-remote", "--", self.address, *names).decode("utf-8", "replace").splitlines()
        found = {name: oid for oid, _, name in (line.partition("\t") for line in lines)}
        for name in (f"refs/tags/{ref}^{{}}", f"refs/heads/{ref}", f"refs/tags/{ref}", ref or "HEAD"):
            if _COMMIT.fullmatch(found.get(name, "")):
                return found[name]
        raise BuildFailed(f"The repository has no branch or tag {shown(ref or 'HEAD')}")

    def _git(self, *words: str) -> bytes:
        env = {**GIT_ENV, "GIT_ALLOW_PROTOCOL": "https:http:git:ssh", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
        options = ("-c", "core.hooksPath=/dev/null", "-c", "init.defaultBranch=master", "-c", "advice.detachedHead=no")
        try:
            return self.outside.run(["git", *options, *words], env=env, limit=self.limit)
        except BuildFailed as error:
            raise BuildFailed(f"{shown(_public(self.address))} cannot be fetched: {error.message}") from None


def _public(url: str) -> str:
    """An address without the password or token that may stand in it."""
    return re.sub(r"//[^/@]*@", "//", url)


def _quoted(text: str) -> str:
    """A value in curl's configuration file."""
    if any(char in text for char in "\r\n\0"):
        raise InvalidInput("An address has no line breaks")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _head(file: Path) -> tuple[int, dict[str, str]]:
    """Status and fields of the last answer in a file of headers."""
    status, fields = 0, dict[str, str]()
    for line in file.read_text("latin-1").splitlines():
        if match := re.match(r"HTTP/[\d.]+ (\d{3})", line):
            status, fields = int(match[1]), {}
        elif ":" in line:
            name, _, value = line.partition(":")
            fields[name.strip().lower()] = value.strip()
    return status, fields


def _time(text: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(text).timestamp()) if text else None
    except (ValueError, OverflowError):
        return None


def _hash(file: Path) -> str:
    with file.open("rb") as source:
        return "sha256:" + hashlib.file_digest(source, "sha256").hexdigest()
