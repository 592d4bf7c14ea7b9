"""Containers and images beside Debian's podman in the same run: run, exec, ps, pull, push, commit, rm.

podman gets its fastest arrangement: crun with cgroupfs, no event log, CNI with the iptables-legacy programs, its store
in memory; rows in which the disk counts show it with a store on disk as well. Ours is on disk, in an engine in a
machine made of namespaces. Pushes and pulls have a row with both stores on disk and one with both in memory. Each side
has the same image, and a docker-registry of its own on loopback. Times are those of the whole command, with the nsenter
that both need. Without podman ours is shown alone.
Usage, as root: .venv/bin/python bench/engine.py [REPEATS | quick] [--only run,crowd,commit,push,pull]
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paas.system.run import Completed
from tests.harness.apps import busybox_root
from tests.harness.podman import Podman
from tests.harness.registry import config_of
from tests.harness.waiting import wait_until
from tests.machine import Machine

REGISTRY = 5055
TINY, LARGE = "localhost/tiny:1", "localhost/large:1"
REMOTE = f"127.0.0.1:{REGISTRY}/large:1"
PARTS = ("run", "crowd", "commit", "push", "pull")


class Side:
    """One of those who are compared: how it is called, and how it runs a command of Docker's."""

    name = ""

    def __call__(self, *words: str, input: bytes | None = None) -> Completed:
        raise NotImplementedError

    def serve(self, config: Path) -> None:
        """Have a registry run beside it."""
        raise NotImplementedError

    def forget(self, *names: str) -> None:
        """Have nothing of an image with these names in the store, as if it had never been there."""
        raise NotImplementedError


class Ours(Side):
    def __init__(self, machine: Machine, name: str = "paas") -> None:
        self.name = name
        self._machine = machine

    def __call__(self, *words: str, input: bytes | None = None) -> Completed:
        return self._machine.paas(*words, input=input, timeout=900)

    def serve(self, config: Path) -> None:
        self._machine.start(["docker-registry", "serve", str(config)])
        wait_until(lambda: _listens(self._machine.run), "the registry listens")

    def forget(self, *names: str) -> None:
        self("rmi", "--force", names[0])  # with all its names
        self("images:prune")


class Peer(Side):
    def __init__(self, podman: Podman, name: str) -> None:
        self.name = name
        self._podman = podman

    def __call__(self, *words: str, input: bytes | None = None) -> Completed:
        return self._podman.run("podman", *words, input=input)

    def serve(self, config: Path) -> None:
        self._podman.start("docker-registry", "serve", str(config))
        wait_until(lambda: _listens(lambda argv, check: self._podman.run(*argv, check=check)), "the registry listens")

    def forget(self, *names: str) -> None:
        self("rmi", "--force", *names)


def main(
    repeats: int,
    only: Set[str] = frozenset(PARTS),
    *,
    files: int = 10_000,
    megabytes: int = 150,
    change: int = 200,
    crowd: int = 50,
) -> None:
    work = Path(tempfile.mkdtemp(prefix="paas-bench-", dir="/var/tmp"))
    try:
        with ExitStack() as undo:
            machine = undo.enter_context(Machine())
            machine.engine_start()
            sides: list[Side] = [Ours(machine)]
            if Podman.is_installed():
                podman = undo.enter_context(Podman(Path("/dev/shm")))
                sides.append(Peer(podman, "podman"))
                sides.append(Peer(undo.enter_context(Podman(Path("/var/tmp"))), "podman on disk"))
                print(f"podman: network by {podman.network}, store in memory")
            for side in sides:
                side("import", "-", TINY, input=_root())
            print(
                f"{'ms, median of ' + str(repeats):34s}" + "".join(f"{side.name:>16s}" for side in sides) + "   ratio"
            )
            few = max(1, min(5, repeats // 3))
            if "run" in only:
                short(sides[:2], repeats)
            if "crowd" in only:
                several(sides[:2], crowd, repeats)
            if "commit" in only:
                files_of(sides, change, few)
            if only & {"push", "pull"}:
                light = undo.enter_context(Machine(place=Path("/dev/shm")))
                light.engine_start()
                in_memory: list[Side] = [Ours(light, "paas in memory"), *sides[1:2]]
                places = {"on disk": [sides[0], *sides[2:]], "in memory": in_memory}
                remote(places, work, _root(files, megabytes << 20), few, only)
    finally:
        shutil.rmtree(work)


def short(sides: Sequence[Side], repeats: int) -> None:
    """Commands about one container."""
    row("run --rm IMAGE true", [partial(side, "run", "--rm", TINY, "true") for side in sides], repeats)
    row("run -d IMAGE sleep", [partial(side, "run", "-d", TINY, "sleep", "1000") for side in sides], repeats)
    for side in sides:
        _empty(side)
        side("run", "-d", "--name", "one", TINY, "sleep", "1000")
    row("exec CONTAINER true", [partial(side, "exec", "one", "true") for side in sides], repeats)
    row("stop and start", [partial(_again, side) for side in sides], max(1, repeats // 3))
    for side in sides:
        _empty(side)


def _again(side: Side) -> None:
    side("stop", "--time", "0", "one")
    side("start", "one")


def several(sides: Sequence[Side], crowd: int, repeats: int) -> None:
    """Commands beside or about many containers."""

    def fill(side: Side) -> list[str]:
        return [side("run", "-d", TINY, "sleep", "1000").text.strip() for _ in range(crowd)]

    ids = {side.name: fill(side) for side in sides}
    row(f"ps, {crowd} containers", [partial(side, "ps") for side in sides], repeats)
    row(f"run --rm beside {crowd}", [partial(side, "run", "--rm", TINY, "true") for side in sides], repeats)
    for number in range(max(1, min(3, repeats // 5))):
        if number:
            ids = {side.name: fill(side) for side in sides}
        times = [_timed(partial(side, "rm", "-f", *_at_once(side), *ids[side.name])) for side in sides]
        show(f"rm -f of {crowd}", times)


def _at_once(side: Side) -> tuple[str, ...]:
    """Without a grace, which busybox's sleep, the first process of its container, would let pass."""
    return () if isinstance(side, Ours) else ("--time", "0")


def files_of(sides: Sequence[Side], megabytes: int, repeats: int) -> None:
    command = f"for i in $(seq {megabytes}); do dd if=/dev/urandom of=/data-$i bs=1M count=1 2>/dev/null; done"
    for side in sides:
        side("run", "--name", "changed", TINY, "sh", "-c", command)
    row(f"commit of {megabytes} MB", [partial(side, "commit", "changed") for side in sides], repeats)
    for side in sides:
        _empty(side)


def remote(places: Mapping[str, Sequence[Side]], work: Path, root: bytes, repeats: int, only: Set[str]) -> None:
    """To and from a registry, by where the stores are. It is emptied before a push, and the store before a pull."""
    sides = [side for those in places.values() for side in those]
    for side in sides:
        directory = work / side.name.replace(" ", "-")
        directory.mkdir()
        config = directory / "config.yml"
        config.write_text(config_of(directory, REGISTRY))
        side.serve(config)
        side("import", "-", LARGE, input=root)
        side("tag", LARGE, REMOTE)
    pushes: dict[str, list[float]] = {side.name: [] for side in sides}
    pulls: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            shutil.rmtree(work / side.name.replace(" ", "-") / "data", ignore_errors=True)
            flags = () if isinstance(side, Ours) else ("--tls-verify=false",)
            pushes[side.name].append(_timed(partial(side, "push", *flags, REMOTE)))
            side.forget(REMOTE, LARGE)
            pulls[side.name].append(_timed(partial(side, "pull", *flags, REMOTE)))
            side("tag", REMOTE, LARGE)
    for part, times in (("push", pushes), ("pull", pulls)):
        for place, those in places.items():
            if part in only:
                what = f"{part} of {len(root) >> 20} MB, {place}"
                show(what, [statistics.median(times[side.name]) for side in those])


def row(name: str, jobs: Sequence[Callable[[], object]], repeats: int) -> None:
    """Measure in turns, so that what disturbs one disturbs the others as well."""
    times: list[list[float]] = [[] for _ in jobs]
    for job in jobs:
        job()
    for _ in range(repeats):
        for found, job in zip(times, jobs, strict=True):
            found.append(_timed(job))
    show(name, [statistics.median(found) for found in times])


def show(name: str, seconds: Sequence[float]) -> None:
    ratio = f"{seconds[0] / seconds[1]:8.2f}" if len(seconds) > 1 else ""
    print(f"{name:34s}" + "".join(f"{1000 * each:16.0f}" for each in seconds) + ratio, flush=True)


def _timed(job: Callable[[], object]) -> float:
    started = time.monotonic()
    job()
    return time.monotonic() - started


def _empty(side: Side) -> None:
    ids = side("ps", "-aq").text.split()
    if ids:
        side("rm", "-f", *_at_once(side), *ids)


def _listens(run: Callable[..., Completed]) -> bool:
    return run(["curl", "--silent", "--fail", f"http://127.0.0.1:{REGISTRY}/v2/"], check=False).status == 0


def _root(files: int = 0, size: int = 0) -> bytes:
    """A root directory as a tar: busybox, and so many files that half compress."""
    stream = io.BytesIO(busybox_root())
    chance = random.Random(1)  # the same bytes each time
    with tarfile.open(fileobj=stream, mode="a") as tar:
        link = tarfile.TarInfo("bin/true")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
        for number in range(files):
            each = size // files
            data = chance.randbytes(each // 2) + b"x" * (each - each // 2)
            entry = tarfile.TarInfo(f"srv/{number % 100}/{number}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


if __name__ == "__main__":
    os.umask(0o022)
    asked = argparse.ArgumentParser()
    asked.add_argument("repeats", nargs="?", default="15")
    asked.add_argument("--only", default=",".join(PARTS), help="some of " + ", ".join(PARTS))
    arguments = asked.parse_args()
    wanted = frozenset(arguments.only.split(","))
    if not wanted <= frozenset(PARTS):
        asked.error(f"--only takes some of {', '.join(PARTS)}")
    if arguments.repeats == "quick":
        main(3, wanted, files=100, megabytes=2, change=4, crowd=5)
    else:
        main(int(arguments.repeats), wanted)
