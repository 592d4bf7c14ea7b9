"""From the start of `git push` to the first answer with the new content, for a one-line change.

Usage: bench/push.py REPOSITORY FILE URL [PUSHES]. REPOSITORY is a checkout whose remote `paas` works; FILE has a line
with the word MARK, which each push replaces; URL answers with a page that shows it.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def push_once(repository: Path, file: Path, url: str, number: int) -> float:
    """Seconds from the start of the push to the first answer that shows the change."""
    mark = f"MARK{time.time_ns()}-{number}"
    file.write_text(re.sub(r"MARK[0-9-]*", mark, file.read_text()))
    git = ["git", "-C", str(repository), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run([*git, "commit", "--quiet", "--all", "--message", mark], check=True)
    started = time.monotonic()
    running = subprocess.Popen([*git, "push", "--quiet", "paas", "HEAD:master"], stderr=subprocess.DEVNULL)
    while mark not in urllib.request.urlopen(url, timeout=10).read().decode("utf-8", "replace"):
        if time.monotonic() - started > 60:
            raise SystemExit("the change did not appear within a minute")
    seconds = time.monotonic() - started
    running.wait()
    return seconds


def main(arguments: list[str]) -> None:
    repository, name, url = Path(arguments[0]), arguments[1], arguments[2]
    times = [
        push_once(repository, repository / name, url, number) for number in range(int((arguments[3:] or ["10"])[0]))
    ]
    print(f"live after {1000 * statistics.median(times):.0f} ms (median), {1000 * max(times):.0f} ms (worst)")


if __name__ == "__main__":
    main(sys.argv[1:])
