"""Builds beside Debian's buildah and podman in the same run: cold, cached, one file changed, large contexts, stages.

The peers get their fastest arrangement: a store in memory, no network. We build on disk, in an engine in a machine made
of namespaces, each RUN with a network, a user namespace and limits.
Usage, as root: .venv/bin/python bench/build.py [REPEATS]
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.harness.apps import busybox_root
from tests.harness.client import Client
from tests.harness.peers import Peers
from tests.machine import Machine

FILES, SIZE = 20_000, 25_000
TINY = "FROM scratch\nADD root.tar /\nENV PATH=/bin\n"


class Side:
    """One builder. `build` gives the seconds of the whole command, and those of the build alone where it tells them."""

    name = ""

    def build(self, context: Path, *words: str) -> tuple[float, float | None]:
        raise NotImplementedError


class Ours(Side):
    name = "paas build"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def build(self, context: Path, *words: str) -> tuple[float, float | None]:
        started = time.monotonic()
        text = self.machine.paas("build", *words, str(context), timeout=900).text
        whole = time.monotonic() - started
        inside = re.search(r"^Built \w+ in ([\d.]+)s", text, re.MULTILINE)
        return whole, float(inside[1]) if inside else None


class Peer(Side):
    def __init__(self, peers: Peers, name: str, *argv: str) -> None:
        self.peers = peers
        self.name = name
        self._argv = argv

    def build(self, context: Path, *words: str) -> tuple[float, float | None]:
        started = time.monotonic()
        self.peers.run(*self._argv, *words, str(context), timeout=900)
        return time.monotonic() - started, None


def main(repeats: int) -> None:
    work = Path(tempfile.mkdtemp(prefix="paas-bench-", dir="/var/tmp"))
    try:
        with Machine() as machine, Peers() as peers:
            machine.engine_start()
            sides: list[Side] = [
                Ours(machine),
                Peer(peers, "buildah", "buildah", "bud", "--layers", "--isolation", "chroot", "--pull-never"),
                Peer(peers, "podman", "podman", "build", "--layers", "--network", "none", "--pull=never"),
            ]
            tiny = work / "tiny"
            tiny.mkdir()
            (tiny / "Dockerfile").write_text(TINY)
            (tiny / "root.tar").write_bytes(busybox_root())
            for side in sides[:2]:  # podman has buildah's store
                side.build(tiny, "-t", "localhost/tiny")
            steps(sides, work / "steps", repeats)
            stages(sides, work / "stages", repeats)
            large(sides, work / "large", repeats)
            pushed(machine, work / "large", repeats)
            memory(machine, work / "memory")
    finally:
        shutil.rmtree(work)


def steps(sides: list[Side], context: Path, repeats: int) -> None:
    """22 steps in the shape of an old tutorial's Dockerfile."""
    context.mkdir()
    (context / "config").write_text("0")
    lines = ["FROM localhost/tiny", "MAINTAINER somebody"]
    lines += [f"RUN echo {number} >/made-{number}" for number in range(15)]
    lines += ["ENV A b", "EXPOSE 80", "RUN ls / >/listing", "COPY config /config", 'CMD ["sh"]']
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    print(f"\n{len(lines)} steps, 16 of them RUN (ms, median of {repeats}; in brackets inside the engine)")
    for side in sides:
        cold = measured(partial(side.build, context, "--no-cache"), repeats)
        side.build(context)
        cached = measured(partial(side.build, context), repeats)
        changed = measured(partial(changing, side, context, "config"), repeats)
        print(f"  {side.name:11s} cold {cold}   cached {cached}   last COPY changed {changed}")


def stages(sides: list[Side], context: Path, repeats: int) -> None:
    context.mkdir()
    work = "dd if=/dev/zero bs=1M count=150 2>/dev/null | md5sum >/sum"
    lines = [f"FROM localhost/tiny AS s{number}\nRUN echo {number}; {work}" for number in range(8)]
    lines += ["FROM scratch", *(f"COPY --from=s{number} /sum /{number}" for number in range(8))]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    print("\n8 stages of work that do not need each other, cold (ms)")
    for side in sides:
        jobs = () if isinstance(side, Ours) else (f"--jobs={os.cpu_count()}",)
        cold = measured(partial(side.build, context, "--no-cache", *jobs), max(3, repeats // 3))
        print(f"  {side.name:11s} {cold}")


def large(sides: list[Side], context: Path, repeats: int) -> None:
    for number in range(FILES):
        path = context / f"d{number % 200}" / f"f{number}"
        if number < 200:
            path.parent.mkdir(parents=True)
        path.write_bytes(os.urandom(SIZE))
    (context / "root.tar").write_bytes(busybox_root())
    (context / "Dockerfile").write_text("FROM localhost/tiny\nCOPY . /app/\n")
    print(f"\na directory of {FILES} files and {FILES * SIZE >> 20} MB (ms)")
    for side in sides[:2]:
        first = measured(partial(side.build, context), 1)
        changed = measured(partial(changing, side, context, "d7/f7"), min(repeats, 5))
        print(f"  {side.name:11s} first {first}   one file changed {changed}")


def pushed(machine: Machine, context: Path, repeats: int) -> None:
    client: Client = machine.client(admin=True)
    repository = client.repository("large")
    shutil.copytree(context, repository.path, dirs_exist_ok=True)
    dockerfile = TINY + 'COPY . /www/\nCMD ["/bin/sh", "-c", "exec httpd -f -p $PORT -h /www"]\n'
    repository.commit({"Dockerfile": dockerfile})
    repository.push("large", timeout=900)
    whole, inside = [], []
    for number in range(min(repeats, 5)):
        repository.commit({"d7/f7": f"{number} {time.time_ns()}"})
        started = time.monotonic()
        repository.push("large")
        whole.append(time.monotonic() - started)
        event = json.loads(client.ssh("events", "large", "-n", "1", "--format", "json").text)[-1]["detail"]
        inside.append(float(re.findall(r"build=(\d+)ms", event)[0]) / 1000)
    print(f"  a push of the same, one file changed: build {ms(inside)}, the whole push {ms(whole)}")


def memory(machine: Machine, context: Path) -> None:
    """What the engine holds at most while a layer of a gigabyte is made."""
    context.mkdir()
    text = "FROM localhost/tiny\nRUN dd if=/dev/zero of=/big bs=1M count=1000\nFROM scratch\nCOPY --from=0 /big /big\n"
    (context / "Dockerfile").write_text(text)
    status = Path(f"/proc/{machine.engine_pid}/status")
    Path(f"/proc/{machine.engine_pid}/clear_refs").write_text("5")
    before = int(re.findall(r"VmRSS:\s+(\d+)", status.read_text())[0])
    machine.paas("build", str(context), timeout=600)
    peak = int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0])
    print(f"\nmemory of the engine: {before >> 10} MB, at most {peak >> 10} MB while layers of 1 GB are made")


def changing(side: Side, context: Path, name: str) -> tuple[float, float | None]:
    """A build after one file has changed."""
    (context / name).write_bytes(os.urandom(SIZE))
    return side.build(context)


def measured(job: Callable[[], tuple[float, float | None]], repeats: int) -> str:
    found = [job() for _ in range(repeats)]
    inside = [time for _, time in found if time is not None]
    return ms([whole for whole, _ in found]) + (f" ({ms(inside)})" if inside else "")


def ms(seconds: list[float]) -> str:
    return f"{1000 * statistics.median(seconds):.0f}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 9)
