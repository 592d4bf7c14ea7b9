"""The listener: connections, authentication by public key, limits."""

from __future__ import annotations

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
from paas.ssh.git import GitServices
from paas.ssh.hostkeys import KINDS
from paas.ssh.session import Session
from paas.ssh.streams import Terminal

log = logging.getLogger(__name__)

USERS = ("paas", "dokku", "git")
"""Names a client may log in as; all mean the same, the key says who it is."""
CONNECTIONS, CONNECTIONS_PER_ADDRESS = 256, 64
LOGINS, LOGINS_PER_ADDRESS = 128, 24
"""Connections that have not proved a key yet; fewer, so that those who have keep getting in."""
LOGIN_GRACE = 15.0
"""Seconds from connecting to having proved a key."""
CHANNELS = 16
"""Commands at once over one connection."""
KEY_TRIES = 12
_PREDECESSOR = 2.0
"""Seconds that the front door of an engine which was killed may take to notice and leave its port."""
_VERSION = "SSH-2.0-paas"
_DEAD_AFTER_MS = 60_000
"""How long what we sent may stay unacknowledged before the connection counts as lost."""
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
_MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")


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
        self._services = GitServices()
        self._lock = threading.Lock()
        self._connected: Counter[str] = Counter()
        self._logging_in: Counter[str] = Counter()

    def take(self, connection: socket.socket, address: str) -> None:
        """Serve a connection on a thread of its own, or close it when there are too many."""
        with self._lock:
            full = (
                self._connected.total() >= CONNECTIONS
                or self._connected[address] >= CONNECTIONS_PER_ADDRESS
                or self._logging_in.total() >= LOGINS
                or self._logging_in[address] >= LOGINS_PER_ADDRESS
            )
            if not full:
                self._connected[address] += 1
                self._logging_in[address] += 1
        if full:
            log.warning("too many connections; refused one from %s", address)
            connection.close()
            return
        threading.Thread(target=self._serve, args=(connection, address), name=f"ssh {address}", daemon=True).start()

    def _serve(self, connection: socket.socket, address: str) -> None:
        transport: paramiko.Transport | None = None
        logging_in = True
        try:
            connection = _PromptSocket(fileno=connection.detach())
            transport = _transport(connection, self._keys)
            deadline = time.monotonic() + LOGIN_GRACE
            client = _Client(self._engine, self._services, address)
            transport.start_server(server=client)
            while transport.is_active() and not transport.is_authenticated():
                if time.monotonic() > deadline:
                    return
                transport.join(0.1)
            self._forget(self._logging_in, address)
            logging_in = False
            transport.set_keepalive(60)
            transport.join()
        except (paramiko.SSHException, OSError, EOFError) as error:
            log.info("connection from %s ended: %s", address, error)
        finally:
            if transport is not None:
                transport.close()
            connection.close()
            self._forget(self._connected, address)
            if logging_in:
                self._forget(self._logging_in, address)

    def _forget(self, counter: Counter[str], address: str) -> None:
        with self._lock:
            counter[address] -= 1
            if counter[address] <= 0:
                del counter[address]


class _PromptSocket(socket.socket):
    """Acknowledges at once. OpenSSH sends short messages that get no answer and, by Nagle's algorithm, waits with the
    next for our acknowledgement, which the kernel would hold back for 40 ms."""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        data = super().recv(size, flags)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # the kernel forgets it with the next packet sent
        return data


def _transport(connection: socket.socket, keys: list[paramiko.PKey]) -> paramiko.Transport:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)
    transport = paramiko.Transport(connection)
    transport.local_version = _VERSION
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = LOGIN_GRACE
    options = transport.get_security_options()
    options.ciphers, options.digests = _CIPHERS, _MACS
    for key in keys:
        transport.add_server_key(key)
    return transport


class _Client(paramiko.ServerInterface):
    """What one client may do: prove a key, open sessions, run commands. Everything else is refused."""

    def __init__(self, engine: Engine, services: GitServices, address: str) -> None:
        self._engine = engine
        self._services = services
        self._address = address
        self._who: dict[str, object] | None = None
        self._tries = 0
        self._known: dict[str, dict[str, object] | None] = {}
        self._opened: set[int] = set()
        self._sessions: dict[int, Session] = {}
        self._terminals: dict[int, Terminal] = {}
        self._plain: set[int] = set()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._tries += 1
        if username not in USERS or self._tries > KEY_TRIES:
            return AUTH_FAILED
        text = f"{key.get_name()} {key.get_base64()}"
        if text not in self._known:  # asked first whether a key would do, then with a signature by it
            self._known[text] = self._identify(username, text)
        # The last key asked for is the one whose signature counts: after it paramiko hears no more requests.
        self._who = self._known[text]
        return AUTH_FAILED if self._who is None else AUTH_SUCCESSFUL

    def _identify(self, username: str, text: str) -> dict[str, object] | None:
        request = {"kind": "auth", "user": username, "key": text, "address": self._address}
        try:
            answer = self._engine.ask(request)
        except PaasError as error:
            log.error("a login from %s could not be checked: %s", self._address, error)
            return None
        if not answer.get("name"):
            log.info("refused a key from %s", self._address)
            return None
        return {"name": answer["name"], "admin": bool(answer.get("admin")), "address": self._address}

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind != "session":
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        ended = {number for number, session in self._sessions.items() if session.channel.closed}
        for number in ended:
            del self._sessions[number]
        self._opened -= ended
        if len(self._opened) >= CHANNELS:
            return OPEN_FAILED_RESOURCE_SHORTAGE
        self._opened.add(chanid)
        return OPEN_SUCCEEDED

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

    def check_channel_env_request(self, channel: paramiko.Channel, name: bytes, value: bytes) -> bool:
        """The one variable that means something here: `ssh -o SendEnv=NO_COLOR`."""
        if name != b"NO_COLOR" or not value:
            return False
        self._plain.add(channel.get_id())
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
        terminal = self._terminals.pop(channel.get_id(), None)
        number = channel.get_id()
        plain = number in self._plain
        self._plain.discard(number)
        session = Session(channel, self._who, self._engine, self._services, terminal, plain=plain)
        self._sessions[channel.get_id()] = session
        threading.Thread(target=session.run, args=(command,), name="command", daemon=True).start()
        return True


def _bounded(value: int, default: int) -> int:
    return value if 0 < value < 10000 else default
