"""`paas COMMAND` on the host, against the same engine."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from paas.paths import PROJECT
from paas.system import run as system

from .stub import Place
from .test_terminal import screen

PAAS = str(PROJECT / "scripts/paas")


def _env(place: Place) -> dict[str, str]:
    return {"PAAS_RUN_DIR": str(place.settings.run_dir)}


def test_streams_and_status(place: Place) -> None:
    done = system.run([PAAS, "echo", "a b", os.fsdecode(b"\xff")], env=_env(place), check=False)
    assert (done.status, done.stdout, done.stderr) == (7, b"a b \xff\n", b"to stderr\n")
    assert place.engine.requests[-1]["who"]["admin"] is True
    assert system.run([PAAS, "cat"], env=_env(place), input=b"input").stdout == b"input"


def test_the_settings_file_says_where_the_engine_is(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "settings.yml"
    file.write_text(f"domain: example.com\nrun_dir: '{place.settings.run_dir}'  # here\n")
    assert system.run([PAAS, "help"], env={"PAAS_SETTINGS": str(file)}).stdout == b"Usage\n"


def test_a_symlink_to_the_command(place: Place, tmp_path: Path) -> None:
    link = tmp_path / "paas"
    link.symlink_to(PAAS)
    assert system.run([str(link), "help"], env=_env(place)).stdout == b"Usage\n"


def test_without_an_engine(tmp_path: Path) -> None:
    done = system.run([PAAS, "help"], env={"PAAS_RUN_DIR": str(tmp_path)}, check=False)
    assert done.status == 1
    assert "The paas engine is not running" in done.error


def test_an_engine_that_dies(place: Place) -> None:
    done = system.run([PAAS, "die"], env=_env(place), check=False)
    assert done.status == 1
    assert "stopped before the command ended" in done.error


def test_interrupt_and_hangup(place: Place) -> None:
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)):
        place.engine.hung_up.clear()
        place.engine.waiting.clear()
        process = system.start([PAAS, "wait"], env=_env(place))
        assert place.engine.waiting.wait(10)
        time.sleep(0.05)  # until its handlers stand: it sends its request first
        process.send_signal(number)
        assert process.wait(10) == status
        assert place.engine.hung_up.wait(5)


def test_closed_descriptors(place: Place) -> None:
    done = system.run(["sh", "-c", f"exec {PAAS} echo x <&- 2>&-"], env=_env(place), check=False)
    assert (done.status, done.stdout) == (7, b"x\n")


def test_terminal_size_and_handed_over_terminal(place: Place) -> None:
    with screen([PAAS, "size"], _env(place)) as terminal:
        terminal.until(b"30 90")
        terminal.resize(41, 121)
        terminal.until(b"(41, 121)")
        assert terminal.process.wait(10) == 0
    with screen([PAAS, "shell"], _env(place)) as terminal:
        terminal.until(b"inner> ")
        terminal.type(b"echo $((40 + 2))\r")
        terminal.until(b"\r\n42\r\n")
        terminal.type(b"sleep 30\r")
        terminal.until(b"sleep 30\r\n")
        time.sleep(0.2)
        terminal.type(b"\x03exit 5\r")
        assert terminal.process.wait(10) == 5


def test_only_root_and_the_front_door_reach_the_socket(place: Place) -> None:
    done = system.run([PAAS, "help"], env=_env(place), user="games", check=False)
    assert done.status == 1
    assert "Only root may use" in done.error
