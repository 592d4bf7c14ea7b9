"""nginx's logs of an app: their ends, as they grow, and bounded."""

from __future__ import annotations

import threading
from pathlib import Path

from paas.proxy.logs import AppLogs
from tests.harness.waiting import wait_until


def test_the_last_lines_across_a_rotation(tmp_path: Path) -> None:
    logs = AppLogs(tmp_path, limit=1000)
    path = logs.path("wiki", "access")
    assert logs.tail("wiki", "access", 5) == []
    writer = path.open("ab")  # as nginx has it: opened once, appended to
    for number in range(100):
        writer.write(f"line {number} ü\n".encode())
    writer.flush()
    logs.rotate()
    assert path.stat().st_size == 0
    writer.write(b"after\n")
    writer.flush()
    assert path.read_bytes() == b"after\n"
    assert logs.tail("wiki", "access", 3) == ["line 98 ü", "line 99 ü", "after"]
    assert logs.tail("wiki", "access", 1) == ["after"]
    writer.close()


def test_a_log_that_grew_beyond_all_measure_leaves_twice_the_limit(tmp_path: Path) -> None:
    logs = AppLogs(tmp_path, limit=1000)
    logs.path("wiki", "error").write_bytes(b"x\n" * 50_000)
    logs.rotate()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 2000
    logs.rename("wiki", "notes")
    assert logs.tail("notes", "error", 1) == ["x"]
    logs.remove("notes")
    assert not list(tmp_path.iterdir())


LINES = (b"this is the longest line\n", b"this is shorter\n", b"and so on..\n")


def test_following_goes_on_after_a_rotation(tmp_path: Path) -> None:
    logs = AppLogs(tmp_path, limit=10)
    path = logs.path("wiki", "access")
    path.write_bytes(b"before it was asked for\n")
    stop, seen = threading.Event(), list[str]()
    following = logs.follow("wiki", "access", stop)

    def read() -> None:
        for line in following:
            seen.append(line)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(len(LINES)):
            with path.open("ab") as file:
                file.write(LINES[number])
            wait_until(lambda: len(seen) == number + 1, "the line is seen")  # noqa: B023  waited for at once
            logs.rotate()
            assert path.stat().st_size == 0
    finally:
        stop.set()
        reader.join()
    assert seen == [line.decode().strip() for line in LINES]
