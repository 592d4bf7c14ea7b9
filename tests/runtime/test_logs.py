"""Reading logs in conmon's format."""

from __future__ import annotations

import threading
from pathlib import Path

from paas.runtime.logs import Line, end_of, follow, merge, tail

from .host import Host


def _write(path: Path, *texts: str, tag: str = "F", mode: str = "a") -> None:
    with path.open(mode) as file:
        for number, text in enumerate(texts):
            file.write(f"2026-01-01T00:00:{number:02}+00:00 stdout {tag} {text}\n")


def test_tail(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 5) == []
    _write(log, *(str(number) for number in range(60)))
    _write(log, "first ", tag="P")
    _write(log, "second")
    assert [line.text for line in tail(log, 2)] == ["59", "first second"]
    assert tail(log, 0) == []


def test_a_character_cut_in_two(tmp_path: Path) -> None:
    log = tmp_path / "log"
    whole = "grün".encode()
    log.write_bytes(b"t stdout P " + whole[:3] + b"\nt stdout F " + whole[3:] + b"\n")
    assert tail(log, 1) == [Line("t", "stdout", "grün")]


def test_merge(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    logs = {one: [Line("1", "stdout", "a"), Line("3", "stdout", "c")], two: [Line("2", "stdout", "b")]}
    assert [line.text for _, line in merge(logs, 2)] == ["b", "c"]


def _following(log: Path, stop: threading.Event) -> tuple[threading.Thread, list[str], threading.Event]:
    seen: list[str] = []
    some = threading.Event()

    def work() -> None:
        for _, line in follow({log: end_of(log)}, stop):
            seen.append(line.text)
            some.set()

    thread = threading.Thread(target=work)
    thread.start()
    return thread, seen, some


def test_follow_through_a_replaced_file(tmp_path: Path) -> None:
    """conmon begins a new file when the limit is reached; the new one may be the longer one already."""
    log, stop = tmp_path / "log", threading.Event()
    _write(log, "old")
    thread, seen, some = _following(log, stop)
    try:
        while not some.wait(0.05):
            _write(log, "one")
        some.clear()
        fresh = tmp_path / "fresh"
        _write(fresh, "two", "x" * 5000)
        fresh.rename(log)
        assert some.wait(5)
    finally:
        stop.set()
        thread.join(5)
    assert "old" not in seen and "two" in seen


def test_nothing_is_missed_or_shown_twice_between_tail_and_follow(tmp_path: Path) -> None:
    log, absent, stop = tmp_path / "log", tmp_path / "absent", threading.Event()
    _write(log, "one")
    with log.open("a") as file:
        file.write("t stdout F tw")  # in the middle of being written
    places = {path: end_of(path) for path in (log, absent)}
    with log.open("a") as file:
        file.write("o\n")
    _write(absent, "three")
    before = [line.text for path, place in places.items() for line in tail(path, 10, until=place)]
    assert before == ["one"]
    assert [line.text for line in tail(log, 10, lambda line: True, until=places[log])] == before
    after = []
    for _, line in follow(places, stop):
        after.append(line.text)
        if len(after) == 2:
            stop.set()
    assert after == ["two", "three"]


def test_follow_takes_up_a_log_that_was_not_there_yet(tmp_path: Path) -> None:
    log, stop = tmp_path / "log", threading.Event()
    asked = 0

    def more() -> list[Path]:
        nonlocal asked
        asked += 1
        if asked == 2:
            _write(log, "first")
        if asked == 10:
            stop.set()
        return [log]

    lines = follow({log: end_of(log)}, stop, more)
    assert next(lines)[1].text == "first"
    stop.set()


def test_follow_ends_when_the_log_is_gone(tmp_path: Path) -> None:
    log, stop = tmp_path / "log", threading.Event()
    _write(log, "old")
    thread, _, _ = _following(log, stop)
    log.unlink()
    thread.join(5)
    assert not thread.is_alive()
    stop.set()


def test_a_containers_log_is_bounded(host: Host) -> None:
    """Ten MiB are kept; far more may be written."""
    id = host.boot("sh", "-c", "yes 0123456789012345678901234567890123456789 | head -c 25000000; echo; echo last")
    assert host.runtime.wait(id, timeout=30) == 0
    folder = host.runtime.log_path(id).parent
    assert sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) < 11 << 20
    assert tail(host.runtime.log_path(id), 1)[0].text == "last"
