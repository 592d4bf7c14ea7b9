"""Base images made here from a distribution's packages, with mmdebstrap, without any registry."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from paas.errors import Cancelled, InvalidInput, SystemFailure
from paas.image.reference import parse
from paas.image.store import ImageStore
from paas.image.unpack import unpack
from paas.model import HistoryEntry, Image, ImageConfig
from paas.names import shown
from paas.output import Output, human_bytes
from paas.state.database import now
from paas.system import run as system

_DEFAULT_SUITES = {"debian": "bookworm", "ubuntu": "noble"}
_SUITE = re.compile(r"[a-z][a-z0-9-]{0,30}")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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
) -> Image:
    """Make `debian:SUITE` or `ubuntu:SUITE` and tag it; takes about 15 seconds. Raises InvalidInput, SystemFailure."""
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
    image = _make(store, reference.name, suite, out, cancelled)
    for tag in {suite, reference.tag}:
        store.tag(f"{reference.name}:{tag}", image.id)
    out.result(f"Made {reference.name}:{suite} ({image.short_id}, {human_bytes(image.size)})")
    return image


def _make(store: ImageStore, distribution: str, suite: str, out: Output, cancelled: Callable[[], bool]) -> Image:
    started = time.monotonic()
    process = system.start(_argv(distribution, suite), stdout=system.PIPE, stderr=system.PIPE, new_session=True)
    assert process.stdout is not None and process.stderr is not None
    said: deque[str] = deque(maxlen=8)
    progress = threading.Thread(target=_show, args=(process.stderr, out, said, started), daemon=True)
    progress.start()
    tar = _Hashed(process.stdout, cancelled)
    try:
        with store.draft() as draft:
            root = os.open(draft.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                unpack(tar, root, whiteouts=True)  # type: ignore[arg-type]
            except InvalidInput as error:
                if process.wait(timeout=60) == 0:
                    raise
                progress.join(5)
                raise _failed(suite, said) from error
            finally:
                os.close(root)
            tar.drain()
            if process.wait(timeout=60) != 0:
                progress.join(5)
                raise _failed(suite, said)
            digest = "sha256:" + tar.hash.hexdigest()
            layer = store.commit(draft, digest, diff_id=digest)
    finally:
        process.stdout.close()
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)
    created = now()
    history = HistoryEntry(created, f"images:bootstrap {distribution}:{suite}")
    return store.add_image(ImageConfig(env={"PATH": _PATH}, cmd=("bash",)), [layer], [history], created)


def _argv(distribution: str, suite: str) -> tuple[str, ...]:
    options = ["--variant=minbase", "--format=tar", "--mode=root", f"--customize-hook={_CLEAN}"]
    if proxy := _apt_proxy():
        options.append(f'--aptopt=Acquire::http::Proxy "{proxy}"')
    mirror = _host_mirror(distribution)
    return ("mmdebstrap", *options, suite, "-", *([mirror] if mirror else []))


def _apt_proxy() -> str | None:
    done = system.run(["apt-config", "dump", "--format=%v%n", "Acquire::http::Proxy"], check=False)
    text = done.text.strip()
    return text if done.status == 0 and re.fullmatch(r"http://[\w.:@/-]+", text) else None


def _host_mirror(distribution: str) -> str | None:
    """The mirror this host uses for the distribution, None for mmdebstrap's own default."""
    default = "http://archive.ubuntu.com/ubuntu" if distribution == "ubuntu" else ""
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError):
            continue
        for url in re.findall(r"^(?:deb\b.*?|URIs:\s*)(https?://\S+)", text, re.MULTILINE):
            if re.fullmatch(rf"https?://[\w.:-]+(/[\w.-]+)*/{distribution}/?", url) and "deb.debian.org" not in url:
                return str(url)
    return default or None


def _show(stream: IO[bytes], out: Output, said: deque[str], started: float) -> None:
    for raw in stream:
        line = raw.decode("utf-8", "replace").rstrip()
        said.append(line)
        if line.startswith("I: "):
            out.detail(f"{line[3:]} ({time.monotonic() - started:.0f} s)")


def _failed(suite: str, said: deque[str]) -> SystemFailure:
    text = "\n".join(line for line in said if line)
    return SystemFailure(
        f"mmdebstrap could not make {suite}:\n{text}", hint="Is the suite's name right, and the mirror within reach?"
    )


class _Hashed:
    """A stream that is hashed while it is read."""

    def __init__(self, stream: IO[bytes], cancelled: Callable[[], bool]) -> None:
        self._stream = stream
        self._cancelled = cancelled
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        if self._cancelled():
            raise Cancelled("Cancelled; nothing was made")
        data = self._stream.read(size)
        self.hash.update(data)
        return data

    def drain(self) -> None:
        while self.read(1 << 20):
            pass
