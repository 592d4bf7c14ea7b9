"""`paas COMMAND...` on the host: hands the command and its own descriptors to the engine, and waits for the status.

Imports next to nothing, so that it answers at once; what only a terminal needs is imported when there is one.
"""

from __future__ import annotations

import os
import sys

from paas import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Sequence
    from typing import NoReturn
else:
    try:
        import _signal as signal  # what CPython's modules of these names wrap, which take longer than the command
        import _socket as socket
    except ImportError:
        import signal
        import socket

_SERVICES = ("serve", "ssh", "teardown", "setup", "upgrade", "uninstall")
"""What is not asked of an engine but is a program of its own: paas.__main__."""
_WITHOUT_ENGINE = ("system:check", "system:restore")
"""What is of use when the engine cannot start."""
_READ_FILES = {
    *("build", "run", "exec", "cp", "export", "save", "load", "import"),
    *("import:dokku", "config:import", "ssh-keys:add", "certs:add", "certs:update", "git:from-image"),
    *("buildpacks:create", "buildpacks:detect", "buildpacks:render"),
}
"""Commands that read files where they were typed, or variables."""
_SETTINGS = "/etc/paas/settings.yml"


def main(argv: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    if argv and argv[0] in _SERVICES:
        _become_service(argv)
    _fill_standard_descriptors()
    tty = os.isatty(0) and os.isatty(1)
    rows, columns = _size() if tty else (0, 0)
    request: wire.Frame = {
        "kind": "command",
        "who": {"name": "root@host", "admin": True, "address": ""},
        "argv": list(argv),
        "tty": tty,
        "rows": rows,
        "columns": columns,
        "term": os.environ.get("TERM", ""),
        "no_color": bool(os.environ.get("NO_COLOR")),
    }
    descriptors = [0, 1, 2]
    if _READ_FILES.intersection(argv[:4]):  # global flags may stand before the command
        request["environment"] = _asked_variables(argv)
        descriptors.append(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(socket_path())
    except PermissionError:
        return _fail("Only root may use the engine's socket", "Run it with sudo.")
    except OSError:
        if argv and argv[0] in _WITHOUT_ENGINE and "--help" not in argv:
            _become_service(argv)
        return _fail("The paas engine is not running", "Start it: systemctl start paas")
    try:
        wire.send(connection, request, tuple(descriptors))
        _forward_signals(connection, [rows, columns] if tty else None)
        status = _wait(connection)
    except wire.WireError as error:
        return _fail(f"The command cannot be sent: {error}")
    except OSError:
        status = None
    finally:
        connection.close()
    if status is None:
        return _fail("The paas engine stopped before the command ended", "See its log, then try again.")
    return status & 0xFF


def socket_path() -> str:
    """Where the engine listens: PAAS_SOCKET, or below run_dir as PAAS_RUN_DIR or the settings file have it."""
    if path := os.environ.get("PAAS_SOCKET"):
        return path
    return (os.environ.get("PAAS_RUN_DIR") or _run_dir_of_settings() or "/run/paas") + "/engine/socket"


def _run_dir_of_settings() -> str:
    # One line of a flat YAML file; a YAML parser would take longer than the command.
    try:
        with open(os.environ.get("PAAS_SETTINGS", _SETTINGS), encoding="utf-8") as file:  # noqa: PTH123
            for line in file:
                key, _, value = line.partition(":")
                if key == "run_dir":
                    return value.partition(" #")[0].strip().strip("'\"")
    except (OSError, UnicodeDecodeError):
        pass
    return ""


def _asked_variables(argv: Sequence[str]) -> dict[str, str]:
    """The variables that flags take from the environment; no others leave this process."""
    names = []
    words = [part for word in argv for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for flag, value in zip(words, words[1:], strict=False):  # noqa: RUF007  itertools takes time to import
        together = flag.startswith("-") and not flag.startswith("--") and flag.endswith("e")  # -ite KEY
        if together or flag in ("--build-arg", "--env"):
            names.append(value)
        elif flag == "--secret":
            names += [part.partition("=")[2] for part in value.split(",") if part.startswith(("env=", "id="))]
        elif flag == "--ssh":
            names.append("SSH_AUTH_SOCK")
    return {name: os.environ[name] for name in names if name in os.environ}


def _wait(connection: socket.socket) -> int | None:
    """The exit status; None when the engine is gone without one."""
    while (received := wire.receive(connection)) is not None:
        frame, descriptors = received
        if isinstance(status := frame.get("exit"), int):
            if error := frame.get("error"):
                _fail(str(error), frame.get("hint"))
            return status
        if descriptors:
            from paas.terminal import attach

            ended = attach(connection, descriptors[0], str(frame.get("attach")))
            if ended is not None:
                return ended
    return None


def _forward_signals(connection: socket.socket, told: list[int] | None) -> None:
    """`told` is the size of the terminal, if there is one, as the engine knows it."""
    sent: list[int] = []

    def forward(number: int, _: object) -> None:
        if sent:
            os._exit(128 + number)  # asked twice: leave at once, which the engine takes for a hang-up
        sent.append(number)
        _tell(connection, {"signal": names[number]})

    names = {int(signal.SIGINT): "INT", int(signal.SIGTERM): "TERM"}
    for number in names:
        signal.signal(number, forward)
    if told is not None:
        signal.signal(signal.SIGWINCH, lambda *_: _tell(connection, {"winch": _size()}))
        if _size() != told:  # it changed before anybody listened
            _tell(connection, {"winch": _size()})


def _tell(connection: socket.socket, frame: wire.Frame) -> None:
    try:
        wire.send(connection, frame)
    except OSError:
        pass  # the engine is gone; whoever waits for its answer learns it


def _size() -> list[int]:
    size = os.get_terminal_size(0)
    return [size.lines, size.columns]


def _fill_standard_descriptors() -> None:
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, this one


def _become_service(argv: Sequence[str]) -> NoReturn:
    project = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
    installed = f"{project}/../../../bin/python"  # lib/pythonX.Y/site-packages of a virtualenv
    for python in (f"{project}/.venv/bin/python", os.path.normpath(installed), "/opt/paas/current/bin/python"):
        if os.access(python, os.X_OK):
            break
    else:
        python = sys.executable
    if argv[0] in ("serve", "ssh", "teardown"):
        os.chdir("/")
    os.environ["PYTHONPATH"] = project
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # glibc else keeps memory apart for each of many threads
    os.execv(python, [python, "-m", "paas", *argv])


def _fail(message: str, hint: object = None) -> int:
    for text in (message, hint):
        if text:
            os.write(2, f" !     {text}\n".encode("utf-8", "backslashreplace"))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
