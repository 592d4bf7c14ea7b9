"""The listener: connections, within the limits of `admission`, each on a thread of its own."""

from __future__ import annotations

import logging
import os
import resource
import select
import socket
import sys
import threading
import time
from collections import Counter

import paramiko

from paas.errors import PaasError, SystemFailure
from paas.settings import Settings
from paas.ssh.admission import Admission, Failure, Visitor
from paas.ssh.client import Client, Shared
from paas.ssh.confinement import confine
from paas.ssh.doorchannel import DoorChannel
from paas.ssh.engine import Engine
from paas.ssh.transport import Transport, Wire
from paas.system.processes import give_up_protection

log = logging.getLogger(__name__)

_DESCRIPTORS = 65536
_STACK = 512 << 10
"""Bytes of a thread's stack; the usual 8 MiB would count against the limit of memory."""
_FAREWELL = 3.0
"""Seconds in which commands and git may end, and say why, once the engine is gone: it takes them some milliseconds."""
_SILENT = 10.0
"""Seconds in which refused connections are counted before they are logged: a flood may not fill the log."""


def serve(settings: Settings) -> int:
    """Run the front door for the engine that holds the other end of its standard input, until that ends.

    Started as root, it gives up everything else before it gets the listening socket; as another account it runs as it
    is.
    """
    try:
        channel = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    except OSError:
        raise SystemFailure("The SSH front door is started by the engine alone", hint="paas serve") from None
    give_up_protection()
    _limit(settings)
    if os.geteuid() == 0:
        confine(settings)
    engine = DoorChannel(channel)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    listener = engine.open()
    if listener is None:
        return 0
    door = Door(settings, engine, Engine(settings.socket))
    with listener:
        _accept(listener, channel, door)
    _wait_for_end(channel)  # until then those who are at work go on
    door.finish()
    return 0


def _accept(listener: socket.socket, channel: socket.socket, door: Door) -> None:
    """Until the engine has nothing more to say: whoever connects after that waits for the next one."""
    poll = select.poll()
    poll.register(channel, select.POLLRDHUP)
    poll.register(listener, select.POLLIN)
    while True:
        if channel.fileno() in {descriptor for descriptor, _ in poll.poll()}:
            return
        try:
            connection, address = listener.accept()
        except OSError as error:  # out of descriptors, say: the connection waits in the queue
            log.warning("a connection could not be accepted: %s", error)
            time.sleep(0.1)
            continue
        door.take(connection, str(address[0]))


def _wait_for_end(channel: socket.socket) -> None:
    poll = select.poll()
    poll.register(channel, 0)  # a hang-up is told of all the same
    poll.poll()


def _limit(settings: Settings) -> None:
    """Bounds that the kernel sets for this process and each git below it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (settings.ssh_memory, settings.ssh_memory))
    threading.stack_size(_STACK)


class Door:
    def __init__(self, settings: Settings, logins: DoorChannel, engine: Engine) -> None:
        self._settings = settings
        self._logins = logins
        self._admission = Admission(settings)
        self._shared = Shared(settings, engine, logins)
        self._refused: Counter[str] = Counter()
        self._log_at = 0.0

    def take(self, connection: socket.socket, address: str) -> None:
        """Serve a connection on a thread of its own, or close it when it may not come in."""
        wire = Wire(fileno=connection.detach())
        visitor = self._admission.enter(address, lambda: _hang_up(wire))
        if isinstance(visitor, str):
            wire.close()
            self._note_refusal(address, visitor)
            return
        try:
            name = f"ssh {address}"
            threading.Thread(target=self._serve, args=(wire, address, visitor), name=name, daemon=True).start()
        except RuntimeError as error:  # out of threads or of memory
            log.error("a connection could not be served: %s", error)
            wire.close()
            self._admission.leave(visitor, Failure.LEFT)

    def finish(self) -> None:
        """The engine is gone: wait until those who were at work have been told so, for a moment."""
        deadline = time.monotonic() + _FAREWELL
        while self._shared.channels and time.monotonic() < deadline:
            time.sleep(0.01)

    def _serve(self, wire: Wire, address: str, visitor: Visitor) -> None:
        client = Client(self._shared, address)
        failure = Failure.LEFT
        transport: Transport | None = None
        try:
            client.transport = transport = Transport(wire, self._logins, self._settings.ssh_dead_after)
            transport.start_server(event=threading.Event(), server=client)
            failure = self._wait_for_login(transport, client)
            proved = client.proved.is_set() or transport.is_authenticated()  # the former, if it has ended already
            if not proved or not self._admission.proved(visitor):
                return
            transport.set_keepalive(60)
            while (channel := transport.next_channel()) is not None:
                client.take(channel)
                del channel
        except (paramiko.SSHException, PaasError, OSError, EOFError, RuntimeError) as error:
            log.info("connection from %s ended: %s", address, error)
        finally:
            if transport is not None:
                transport.close()
            wire.close()
            client.close()
            self._admission.leave(visitor, failure)

    def _wait_for_login(self, transport: Transport, client: Client) -> Failure:
        """Until a key is proved, or the time is up, or the client has gone; returns what it was if none was proved."""
        deadline = time.monotonic() + self._settings.ssh_login_grace
        while transport.is_active() and not transport.is_authenticated():
            if time.monotonic() > deadline:
                return Failure.DAWDLED
            client.proved.wait(0.1)
        refused = client.tried or isinstance(transport.get_exception(), paramiko.SSHException)
        return Failure.REFUSED if refused else Failure.LEFT

    def _note_refusal(self, address: str, why: str) -> None:
        """For the thread that accepts."""
        self._refused[why] += 1
        if (now := time.monotonic()) >= self._log_at:
            reasons = ", ".join(f"{count} for {why}" for why, count in self._refused.items())
            log.warning("refused connections: %s; the last one was from %s", reasons, address)
            self._log_at = now + _SILENT
            self._refused.clear()


def _hang_up(wire: Wire) -> None:
    try:
        wire.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has gone by itself
