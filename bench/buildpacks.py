"""The Flask example without a Dockerfile: first push, code changes, one more dependency; its size against a naive one.

Changes are pushed a second after the one before is live, so that the instance that went does not count; a visitor asks
fifty times a second all the while.

Usage, as root: .venv/bin/python bench/buildpacks.py [PUSHES]. PAAS_TEST_BASE=PATH names a data directory with the base
image, as tests use it; without one the image is made first.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.harness.client import Client, Repository
from tests.machine import Machine

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "flask"
NAIVE = """FROM debian:bookworm
RUN apt-get update && apt-get install -y python3 python3-pip
WORKDIR /app
COPY . .
RUN pip install --break-system-packages -r requirements.txt gunicorn
CMD gunicorn --bind 0.0.0.0:$PORT app:app
"""
_INSTALLED = re.compile(r"^.*\+ ([a-z0-9-]+)==", re.MULTILINE)
_FETCHED = re.compile(r"Prepared (\d+) packages? in")


def main(pushes: int) -> None:
    base = os.environ.get("PAAS_TEST_BASE")
    with Machine(disk=Path(base) if base else None) as machine:
        machine.engine_start()
        machine.paas("images:bootstrap", "debian:bookworm", timeout=600)
        machine.paas("builder:set", "--global", "trust-host-ca", "true")
        client = machine.client(admin=True)
        files = {file.name: file.read_text() for file in EXAMPLE.iterdir() if file.is_file()}
        repository = client.repository("flask", files)
        print(f"first push on this machine       {_pushed(repository, 'flask')[0]:7.2f} s")
        other = client.repository("second", files)
        print(f"first push of a second app       {_pushed(other, 'second')[0]:7.2f} s")
        _code_changes(machine, repository, files["app.py"], pushes)
        requirements = files["requirements.txt"]
        repository.commit({"requirements.txt": requirements + "humanize==4.12.3\n"})
        seconds, said = _pushed(repository, "flask")
        fetched = sum(map(int, _FETCHED.findall(said)))
        print(
            f"one more dependency              {seconds:7.2f} s; fetched: {fetched} of {len(_INSTALLED.findall(said))}"
        )
        naive = client.repository("naive", {**files, "Dockerfile": NAIVE})
        print(f"naive Dockerfile, first push     {_pushed(naive, 'naive')[0]:7.2f} s")
        naive.commit({"app.py": files["app.py"].replace("Hello", "Hallo")})
        print(f"naive Dockerfile, code change    {_pushed(naive, 'naive')[0]:7.2f} s")
        ours, theirs = (_size(client, app) for app in ("second", "naive"))
        print(f"image {ours / 1e6:.0f} MB against {theirs / 1e6:.0f} MB: {ours / theirs:.2f}")


def _pushed(repository: Repository, app: str) -> tuple[float, str]:
    """Seconds until the push is over, and what it said."""
    started = time.monotonic()
    said = repository.push(app, timeout=1800).error
    return time.monotonic() - started, said


def _code_changes(machine: Machine, repository: Repository, code: str, pushes: int) -> None:
    live, installing = [], 0
    for number in range(pushes):
        time.sleep(1)
        mark = f"Mark {number} of {time.time_ns()}"
        repository.commit({"app.py": code.replace("Hello from Flask", mark)})
        seconds, said = _until_live(machine, repository, mark)
        live.append(seconds)
        installing += "Installed" in said
    print(f"code change, live after          {statistics.median(live):7.2f} s (of {pushes}, worst {max(live):.2f})")
    print(f"  of these pushes installed anything: {installing}")


def _until_live(machine: Machine, repository: Repository, mark: str) -> tuple[float, str]:
    """Seconds until the pushed code answers, and what the push said."""
    said: list[str] = []
    started = time.monotonic()
    pushing = threading.Thread(target=lambda: said.append(_pushed(repository, "flask")[1]))
    pushing.start()
    while mark not in machine.get("flask").text:
        assert time.monotonic() - started < 60, "the change does not answer"
        time.sleep(0.02)
    live = time.monotonic() - started
    pushing.join()
    return live, said[0]


def _size(client: Client, app: str) -> int:
    """Bytes of the image that serves an app."""
    release = json.loads(client.ssh("releases:info", app, "--format", "json").text)
    return int(client.ssh("inspect", "-f", "{{.Size}}", release["image"]).text)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 7)
