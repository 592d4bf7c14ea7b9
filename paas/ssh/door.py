"""The listener: connections, authentication by public key, limits."""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_RESOURCE_SHORTAGE,
    OPEN_SUCCEEDED,
)

from paas.errors import PaasError, SystemFailure
from paas.network.listening import who_listens
from paas.paths import Paths
from paas.settings import Settings
from paas.ssh.engine import Engine
from paas.ssh.hostkeys import KINDS
from paas.ssh.session import Session
from paas.ssh.streams import Terminal

log = logging.getLogger(__name__)

USERS = ("paas", "dokku", "git")
"""Names a client may log in as; all mean the same, the key says who it is."""
CONNECTIONS, CONNECTIONS_PER_ADDRESS = 256, 64
LOGIN_GRACE = 15.0
"""Seconds from connecting to having proved a key."""
CHANNELS = 16
"""Commands at once over one connection."""
KEY_TRIES = 12
_PREDECESSOR = 2.0
"""Seconds that the front door of an engine which was killed may take to notice and leave its port."""
_VERSION = "SSH-2.0-paas"


def serve(settings: Settings) -> int:
    """Run the front door until its standard input ends: the engine holds the other end of it."""
    paths = Paths(settings.data_dir, settings.run_dir)
    keys = [_load_key(paths.ssh / f"host_{kind}", kind) for kind in KINDS]
    listener = _listen(settings)
    door = Door(keys, Engine(settings.socket))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        ready, _, _ = select.select([listener, sys.stdin.fileno()], [], [])
        if sys.stdin.fileno() in ready:
            return 0
        try:
            connection, address = listener.accept()
        except OSError as error:
            log.warning("a connection was lost: %s", error)
            continue
        door.take(connection, str(address[0]))


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.ssh_address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.ssh_address, settings.ssh_port))
    except OSError as error:
        holder = who_listens(settings.ssh_port)
        why = f"is taken by {holder}" if holder else f"cannot be used: {error.strerror}"
        raise SystemFailure(
            f"Port {settings.ssh_port} {why}", hint="Stop it, or change the setting ssh_port."
        ) from None
    listener.listen(128)
    return listener


def _load_key(path: Path, kind: str) -> paramiko.PKey:
    loader = paramiko.Ed25519Key if kind == "ed25519" else paramiko.ECDSAKey
    try:
        return loader.from_private_key_file(str(path))
    except (OSError, paramiko.SSHException) as error:
        raise SystemFailure(f"The host key {path} cannot be read: {error}") from None


class Door:
    """Gives each connection a thread, within the limits."""

    def __init__(self, keys: list[paramiko.PKey], engine: Engine) -> None:
        self._keys = keys
        self._engine = engine
        self._lock = threading.Lock()
        self._by_address: Counter[str] = Counter()

    def take(self, connection: socket.socket, address: str) -> None:
        with self._lock:
            full = self._by_address.total() >= CONNECTIONS or self._by_address[address] >= CONNECTIONS_PER_ADDRESS
            if not full:
                self._by_address[address] += 1
        if full:
            connection.close()
            return
        threading.Thread(target=self._serve, args=(connection, address), name=f"ssh {address}", daemon=True).start()

    def _serve(self, connection: socket.socket, address: str) -> None:
        transport: paramiko.Transport | None = None
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = paramiko.Transport(connection)
            transport.local_version = _VERSION
            transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = LOGIN_GRACE
            for key in self._keys:
                transport.add_server_key(key)
            deadline = time.monotonic() + LOGIN_GRACE
            transport.start_server(server=_Client(self._engine, address))
            while transport.is_active() and not transport.is_authenticated():
                if time.monotonic() > deadline:
                    return
                transport.join(0.1)
            transport.set_keepalive(60)
            transport.join()
        except (paramiko.SSHException, OSError, EOFError) as error:
            log.info("connection from %s ended: %s", address, error)
        finally:
            if transport is not None:
                transport.close()
            connection.close()
            with self._lock:
                self._by_address[address] -= 1


class _Client(paramiko.ServerInterface):
    """What one client may do: prove a key, open sessions, run commands. Everything else is refused."""

    def __init__(self, engine: Engine, address: str) -> None:
        self._engine = engine
        self._address = address
        self._who: dict[str, object] | None = None
        self._tries = 0
        self._sessions: dict[int, Session] = {}
        self._terminals: dict[int, Terminal] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._tries += 1
        if username not in USERS or self._tries > KEY_TRIES:
            return AUTH_FAILED
        text = f"{key.get_name()} {key.get_base64()}"
        try:
            answer = self._engine.ask({"kind": "auth", "key": text, "address": self._address})
        except PaasError:
            return AUTH_FAILED
        if not answer.get("name"):
            return AUTH_FAILED
        self._who = {"name": answer["name"], "admin": bool(answer.get("admin")), "address": self._address}
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind != "session":
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        running = {number: session for number, session in self._sessions.items() if not session.channel.closed}
        self._sessions = running
        return OPEN_SUCCEEDED if len(running) < CHANNELS else OPEN_FAILED_RESOURCE_SHORTAGE

    def check_channel_pty_request(
        self,
        channel: paramiko.Channel,
        term: bytes | str,
        width: int,
        height: int,
        pixelwidth: int,
        pixelheight: int,
        modes: bytes | str,
    ) -> bool:
        name = term.decode("ascii", "replace") if isinstance(term, bytes) else term
        self._terminals[channel.get_id()] = Terminal(name[:64], _bounded(height, 24), _bounded(width, 80))
        return True

    def check_channel_window_change_request(
        self, channel: paramiko.Channel, width: int, height: int, pixelwidth: int, pixelheight: int
    ) -> bool:
        session = self._sessions.get(channel.get_id())
        if session is not None:
            session.resize(_bounded(height, 24), _bounded(width, 80))
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes | str) -> bool:
        text = os.fsdecode(command) if isinstance(command, bytes) else command
        return self._start(channel, text)

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        return self._start(channel, "help")

    def _start(self, channel: paramiko.Channel, command: str) -> bool:
        if self._who is None or channel.get_id() in self._sessions:
            return False
        session = Session(channel, self._who, self._engine, self._terminals.pop(channel.get_id(), None))
        self._sessions[channel.get_id()] = session
        threading.Thread(target=session.run, args=(command,), name="command", daemon=True).start()
        return True


def _bounded(value: int, default: int) -> int:
    return value if 0 < value < 10000 else default
