"""One command over SSH: its channel joined with the engine, or with git."""

from __future__ import annotations

import logging
import os
import socket
import threading

import paramiko

from paas import wire
from paas.errors import Cancelled, PaasError, SystemFailure
from paas.ssh.engine import Engine
from paas.ssh.git import GitServices, environment
from paas.ssh.request import Command, GitRequest, parse
from paas.ssh.streams import GONE, Streams, Terminal, close

log = logging.getLogger(__name__)


class Session:
    """A channel and what is known of it before its command arrives."""

    def __init__(
        self,
        channel: paramiko.Channel,
        token: str,
        engine: Engine,
        services: GitServices,
        terminal: Terminal | None,
        *,
        plain: bool = False,
    ) -> None:
        """`token` is the login's; `plain`: the client wants no colours (NO_COLOR)."""
        self.channel = channel
        self._token = token
        self._engine = engine
        self._services = services
        self._terminal = terminal
        self._plain = plain
        self._lock = threading.Lock()
        self._streams: Streams | None = None
        self._connection: socket.socket | None = None
        self._interrupted = False
        self._detached = False

    def resize(self, rows: int, columns: int) -> None:
        """The client's window has another size."""
        if self._streams is not None:
            self._streams.resize(rows, columns)
        self._tell({"winch": [rows, columns]})

    def run(self, text: str) -> None:
        """Carry the command out and close the channel with its exit status; for a thread of its own."""
        try:
            request = parse(text)
            with Streams(self.channel, self._terminal) as streams:
                self._streams = streams
                status = self._git(request, streams) if isinstance(request, GitRequest) else self._ask(request, streams)
                streams.finish()
                self._end(status)
        except PaasError as error:
            self._refuse(error.exit_code, error.message, error.hint)
        except (OSError, RuntimeError) as error:  # out of descriptors, of threads or of memory
            log.error("a command could not be served: %s", error)
            self._refuse(1, "The server cannot take another command now", "Try again in a moment.")
        finally:
            close(self.channel)

    def _ask(self, command: Command, streams: Streams) -> int:
        size = self._terminal or Terminal("", 24, 80)
        request = {
            "kind": "command",
            "token": self._token,
            "argv": command.argv,
            "tty": self._terminal is not None,
            "rows": size.rows,
            "columns": size.columns,
            "term": size.term,
            "no_color": self._plain,
        }
        try:
            connection = self._engine.open(request, streams.theirs)
        except SystemFailure as error:
            return self._refuse(error.exit_code, error.message, error.hint, close=False)
        with connection:
            with self._lock:
                self._connection = connection
            try:
                streams.start(lambda: _hang_up(connection), self._interrupt, lambda: self._detach(connection))
                return self._wait(connection, streams)
            finally:
                with self._lock:
                    self._connection = None

    def _wait(self, connection: socket.socket, streams: Streams) -> int:
        """Until the engine says how the command ended, or is gone, or the client has hung up."""
        while True:
            try:
                answer = wire.receive(connection)
            except (OSError, wire.WireError):
                answer = None
            if answer is None:
                if self._detached:
                    return 0
                if self._interrupted or self.channel.closed:
                    return Cancelled.exit_code
                return self._refuse(1, "The engine stopped before the command had ended", "Try again.", close=False)
            frame, descriptors = answer
            if "attach" in frame and descriptors and self._terminal is not None:
                streams.attach(descriptors.pop(0), str(frame["attach"]))
            for descriptor in descriptors:
                os.close(descriptor)
            if isinstance(status := frame.get("exit"), int):
                if error := frame.get("error"):
                    self._show(error, frame.get("hint"))
                return status & 0xFF

    def _git(self, request: GitRequest, streams: Streams) -> int:
        asked = {"kind": "receive", "token": self._token, "service": request.service, "app": request.app}
        try:
            answer = self._engine.ask(asked)
        except SystemFailure as error:
            answer = {"error": error.message, "hint": error.hint}
        if "error" in answer or "repo" not in answer:
            message = answer.get("error") or "The engine gave no repository"
            return self._refuse(int(answer.get("exit") or 1), message, answer.get("hint"), close=False)
        app = str(answer.get("app", request.app))
        repo = str(answer["repo"])
        if warning := answer.get("warning"):
            self._show(warning, answer.get("hint"))
        env = environment(self._engine.path, str(answer.get("ticket", "")), app, repo, int(answer["limit"]))
        return self._services.run(
            request.service, repo, env, streams.theirs, lambda end: streams.start(on_close=end, on_interrupt=end)
        )

    def _detach(self, connection: socket.socket) -> None:
        """The user leaves a container that goes on."""
        self._detached = True
        _hang_up(connection)

    def _interrupt(self) -> None:
        """Ctrl-C: the first asks the command to end, the next one leaves it."""
        with self._lock:
            again, self._interrupted = self._interrupted, True
            connection = self._connection
        if again and connection is not None:
            _hang_up(connection)
        else:
            self._tell({"signal": "INT"})

    def _tell(self, frame: wire.Frame) -> None:
        with self._lock:
            if self._connection is not None:
                try:
                    wire.send(self._connection, frame)
                except OSError:
                    pass  # whoever waits for the engine's answer learns it

    def _refuse(self, status: int, message: object, hint: object = None, *, close: bool = True) -> int:
        self._show(message, hint)
        if close:
            self._end(status)
        return status

    def _show(self, message: object, hint: object) -> None:
        end = "\r\n" if self._terminal is not None else "\n"
        lines = "\n".join(str(text) for text in (message, hint) if text).splitlines()
        try:
            self.channel.sendall_stderr("".join(f" !     {line}{end}" for line in lines).encode())
        except GONE:
            pass  # nobody is left to read it

    def _end(self, status: int) -> None:
        try:
            self.channel.send_exit_status(status)
            self.channel.shutdown_write()
        except GONE:
            pass


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
