"""Base images made here from a distribution's packages, with mmdebstrap, without any registry."""

from __future__ import annotations

import hashlib
import os
import re
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from paas.errors import Cancelled, InvalidInput, SystemFailure
from paas.image.reference import parse
from paas.image.store import ImageStore
from paas.image.unpack import unpack
from paas.model import DEFAULT_PATH, HistoryEntry, Image, ImageConfig
from paas.names import shown
from paas.output import Hangup, Output, human_bytes
from paas.state.database import now
from paas.system import run as system

_DEFAULT_SUITES = {"debian": "bookworm", "ubuntu": "noble"}
_ROLLING = frozenset({"sid", "unstable", "testing", "experimental"})
_SECURITY = "http://deb.debian.org/debian-security"
_SUITE = re.compile(r"[a-z][a-z0-9-]{0,30}")
_RETRIES = 6
"""How often apt asks again for what a mirror has not given: after 1, 2, 4 ... seconds, a minute in all. In the image as
well, for what builds install."""
_CLEAN = (
    "rm -rf $1/var/cache/apt/archives/*.deb $1/var/cache/apt/*.bin $1/var/lib/apt/lists/* $1/var/log/*.log"
    " $1/var/log/apt/*"
)


def bootstrap(
    store: ImageStore,
    name: str,
    out: Output,
    *,
    force: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
    proxy: str | None = None,
) -> Image:
    """Make `debian:SUITE` or `ubuntu:SUITE` and tag it; takes about 15 seconds. Raises InvalidInput, SystemFailure.

    `proxy` is the address of one for apt, in place of this host's own.
    """
    reference = parse(name)
    suite = _DEFAULT_SUITES.get(reference.name, "") if reference.tag == "latest" else reference.tag
    if reference.name not in _DEFAULT_SUITES or str(reference).count("/") or not _SUITE.fullmatch(suite):
        known = ", ".join(f"{distribution}:{suite}" for distribution, suite in _DEFAULT_SUITES.items())
        raise InvalidInput(f"{shown(name)} cannot be made here", hint=f"Known: {known}, and other suites of these.")
    present = store.tagged(f"{reference.name}:{suite}")
    if present is not None and not force:
        out.heading(f"{reference.name}:{suite} is here already ({present.short_id}); --force makes it anew")
        return present
    out.heading(f"Making {reference.name}:{suite} from its packages")
    image = _make(store, reference.name, suite, out, cancelled, proxy or apt_proxy())
    for tag in {suite, reference.tag}:
        store.tag(f"{reference.name}:{tag}", image.id)
    out.result(f"Made {reference.name}:{suite} ({image.short_id}, {human_bytes(image.size)})")
    return image


def _make(
    store: ImageStore, distribution: str, suite: str, out: Output, cancelled: Callable[[], bool], proxy: str | None
) -> Image:
    started = time.monotonic()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    env = {"SOURCE_DATE_EPOCH": str(int(midnight.timestamp()))}  # made twice on a day, the same layer
    if proxy and "@" in proxy:
        env["http_proxy"] = proxy  # a password belongs neither in arguments nor in the image
        proxy = None
    argv = _argv(distribution, suite, proxy)
    process = system.start(argv, stdout=system.PIPE, stderr=system.PIPE, env=env, new_session=True)
    assert process.stdout is not None and process.stderr is not None
    said: deque[str] = deque(maxlen=8)
    progress = threading.Thread(target=_show, args=(process.stderr, out, said, started), daemon=True)
    progress.start()
    tar = _Hashed(process.stdout.fileno(), cancelled)
    try:
        with store.draft() as draft:
            root = os.open(draft.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                unpack(cast(IO[bytes], tar), root)
            except InvalidInput as error:
                if _ended(process) == 0:
                    raise
                progress.join(5)
                raise _failed(suite, said) from error
            finally:
                os.close(root)
            tar.drain()
            if _ended(process) != 0:
                progress.join(5)
                raise _failed(suite, said)
            digest = "sha256:" + tar.hash.hexdigest()
            layer = store.commit(draft, digest, diff_id=digest)
    finally:
        process.stdout.close()
        _end(process)
        progress.join(5)
    created = now()
    history = HistoryEntry(created, f"images:bootstrap {distribution}:{suite}")
    return store.add_image(ImageConfig(env={"PATH": DEFAULT_PATH}, cmd=("bash",)), [layer], [history], created)


def _ended(process: system.Process) -> int | None:
    """The status of a process that has nothing more to say; None when it hangs."""
    try:
        return process.wait(timeout=60)
    except system.TimeoutExpired:
        return None


def _end(process: system.Process) -> None:
    """Stop mmdebstrap and what it runs, if it still does; on SIGTERM it unmounts and removes what it made."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        if _ended(process) is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _argv(distribution: str, suite: str, proxy: str | None) -> tuple[str, ...]:
    options = ["--variant=minbase", "--format=tar", "--mode=root", f"--customize-hook={_CLEAN}"]
    options.append(f'--aptopt=Acquire::Retries "{_RETRIES}"')
    if proxy:
        options.append(f'--aptopt=Acquire::http::Proxy "{proxy}"')
    return ("mmdebstrap", *options, suite, "-", *_sources(distribution, suite))


def apt_proxy() -> str | None:
    """The one that apt goes through on this host."""
    done = system.run(["apt-config", "dump", "--format=%v%n", "Acquire::http::Proxy"], check=False)
    text = done.text.strip()
    return text if done.status == 0 and re.fullmatch(r"http://[\w.:@/-]+", text) else None


def _sources(distribution: str, suite: str) -> tuple[str, ...]:
    """The lines of sources.list; none for mmdebstrap's own, which has updates and security where a suite has them."""
    mirror = _host_mirror(distribution)
    if distribution == "ubuntu":
        mirror = mirror or "http://archive.ubuntu.com/ubuntu"
        return tuple(f"deb {mirror} {suite}{part} main universe" for part in ("", "-updates", "-security"))
    if mirror is None:
        return ()
    lines = [f"deb {mirror} {suite} main"]
    if suite not in _ROLLING:
        lines.append(f"deb {mirror} {suite}-updates main")
        lines.append(f"deb {_host_mirror('debian-security') or _SECURITY} {suite}-security main")
    return tuple(lines)


def _host_mirror(distribution: str) -> str | None:
    """The mirror this host uses for the distribution (the last part of its URL), None for the usual one."""
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError):
            continue
        for url in re.findall(r"^(?:deb\b.*?|URIs:\s*)(https?://\S+)", text, re.MULTILINE):
            if re.fullmatch(rf"https?://[\w.:-]+(/[\w.-]+)*/{distribution}/?", url) and "deb.debian.org" not in url:
                return str(url).rstrip("/")
    return None


def _show(stream: IO[bytes], out: Output, said: deque[str], started: float) -> None:
    heard = True
    for raw in stream:  # to the end, whoever listens: a full pipe would stop the tool
        line = raw.decode("utf-8", "replace").rstrip()
        said.append(line)
        if heard and line.startswith("I: "):
            try:
                out.detail(f"{line[3:]} ({time.monotonic() - started:.0f} s)")
            except Hangup:
                heard = False


def _failed(suite: str, said: deque[str]) -> SystemFailure:
    text = "\n".join(line for line in said if line)
    return SystemFailure(
        f"mmdebstrap could not make {suite}:\n{text}", hint="Is the suite's name right, and the mirror within reach?"
    )


class _Hashed:
    """A pipe that is hashed while it is read; waiting for it ends when the caller cancels."""

    def __init__(self, pipe: int, cancelled: Callable[[], bool]) -> None:
        self._pipe = pipe
        self._ready = select.poll()
        self._ready.register(pipe, select.POLLIN)
        self._cancelled = cancelled
        self.hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        while True:
            if self._cancelled():
                raise Cancelled("Cancelled; nothing was made")
            if self._ready.poll(500):
                break
        data = os.read(self._pipe, size)
        self.hash.update(data)
        return data

    def drain(self) -> None:
        while self.read(1 << 20):
            pass
