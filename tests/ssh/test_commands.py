"""Commands over a real OpenSSH client."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time

from paas.system import run as system

from .stub import Place


def test_streams_stay_apart_and_the_status_comes_back(place: Place) -> None:
    done = place.ssh("echo", "one", "'two  spaces'")
    assert (done.status, done.stdout, done.stderr) == (7, b"one two  spaces\n", b"to stderr\n")
    request = place.engine.requests[-1]
    assert place.engine.who == [("ann", "127.0.0.1")] and "who" not in request
    assert request["tty"] is False


def test_bytes_that_are_not_utf8_reach_the_command(place: Place) -> None:
    done = place.ssh(os.fsdecode(b"echo \xff\xfe"))
    assert done.stdout == b"\xff\xfe\n"


def test_without_a_command_there_is_help(place: Place) -> None:
    assert place.ssh(input=b"").stdout == b"Usage\n"
    assert place.engine.requests[-1]["argv"] == ["help"]


def test_an_open_quote_is_explained(place: Place) -> None:
    done = place.ssh("echo 'open")
    assert done.status == 2
    assert b" !     The command cannot be read" in done.stderr


def test_input_is_passed_on_with_its_end(place: Place) -> None:
    assert place.ssh("cat", input=b"some input").stdout == b"some input"


def test_much_data_goes_both_ways(place: Place) -> None:
    data = os.urandom(1 << 20) * 100
    done = place.ssh("sink", input=data)
    assert done.text.split() == [str(len(data)), hashlib.sha256(data).hexdigest()]
    assert len(place.ssh("flood", str(100 << 20)).stdout) == 100 << 20


def test_input_that_nobody_reads_does_not_keep_a_command_from_ending(place: Place) -> None:
    assert place.ssh("echo", "hi", input=bytes(8 << 20)).status == 7


def test_the_end_of_output_arrives_at_a_slow_client(place: Place) -> None:
    process = system.start(place.argv("flood", str(8 << 20)), stdout=system.PIPE)
    assert process.stdout is not None
    time.sleep(3.0)  # the command has long ended, its last output waits in the pipe
    total = 0
    while data := os.read(process.stdout.fileno(), 65536):
        total += len(data)
    assert (process.wait(10), total) == (0, 8 << 20)
    process.stdout.close()


def test_a_client_that_does_not_read_holds_up_nobody(place: Place) -> None:
    stalled = system.start(place.argv("flood", str(1 << 30)), stdout=system.PIPE)
    try:
        for _ in range(3):
            assert place.ssh("echo", "x").status == 7
    finally:
        stalled.kill()
        stalled.wait()
        assert stalled.stdout is not None
        stalled.stdout.close()
    assert place.engine.hung_up.wait(10), "the command writes on for a client that is gone"


def test_a_client_that_goes_away_cancels_its_command(place: Place) -> None:
    process = system.start(place.argv("wait"), stdout=system.PIPE)
    assert place.engine.waiting.wait(10)
    process.send_signal(signal.SIGINT)
    process.wait(10)
    assert place.engine.hung_up.wait(5)
    assert process.stdout is not None
    process.stdout.close()


def test_an_engine_that_dies_is_told(place: Place) -> None:
    done = place.ssh("die")
    assert done.status == 1
    assert b"The engine stopped" in done.stderr


def test_many_commands_over_one_connection(place: Place) -> None:
    control = str(place.root / "control")
    master = system.start(place.argv(options=("-M", "-N", "-S", control)))
    try:
        deadline = time.monotonic() + 10
        while not os.path.exists(control) and time.monotonic() < deadline:  # noqa: PTH110
            time.sleep(0.01)
        results: list[system.Completed] = []
        threads = [
            threading.Thread(
                target=lambda n=number: results.append(
                    place.ssh("cat", options=("-S", control), input=str(n).encode() * 100_000)
                )
            )
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(len(done.stdout) for done in results) == [100_000] * 8
    finally:
        master.terminate()
        master.wait(10)
