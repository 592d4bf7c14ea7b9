"""What one client may do: prove a key, open sessions, run commands. Everything else is refused."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_RESOURCE_SHORTAGE,
    OPEN_SUCCEEDED,
)

from paas.errors import PaasError
from paas.settings import Settings
from paas.ssh.doorchannel import DoorChannel, Login
from paas.ssh.engine import Engine
from paas.ssh.git import GitServices
from paas.ssh.proving import OfferedKey
from paas.ssh.session import Session
from paas.ssh.streams import Terminal, close
from paas.ssh.transport import Transport

log = logging.getLogger(__name__)

USERS = ("paas", "dokku", "git")
"""Names a client may log in as; all mean the same, the key says who it is."""
ALGORITHMS = (
    "ssh-ed25519",
    *("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256"),
)
"""What a key may sign by. Others, certificates' as well, are refused, and the client may go on with its next key."""
_KEY = 12 << 10
"""Bytes of the longest key that the engine is asked about; an RSA key of 16384 bits has 2,100."""
_COMMAND = 128 << 10
"""Bytes of the longest command, as execve(2) limits an argument."""
_CHANNELS_EVER = 100_000
"""Channels over the life of one connection: paramiko remembers the number of each."""


class Shared:
    """What the clients of one door have in common."""

    def __init__(self, settings: Settings, engine: Engine, logins: DoorChannel) -> None:
        self.settings = settings
        self.engine = engine
        self.logins = logins
        self.services = GitServices()
        self._lock = threading.Lock()
        self._channels: Counter[str] = Counter()

    def take_channel(self, user: str) -> bool:
        """Count another channel of a user; False when there are too many."""
        with self._lock:
            if self._channels[user] >= self.settings.ssh_sessions_per_user:
                return False
            self._channels[user] += 1
            return True

    @property
    def channels(self) -> int:
        """Of all users."""
        with self._lock:
            return self._channels.total()

    def leave_channels(self, user: str, count: int) -> None:
        with self._lock:
            self._channels[user] -= count
            if not self._channels[user]:
                del self._channels[user]


class _Open:
    """A channel, and what was asked for before its command came."""

    def __init__(self) -> None:
        self.channel: paramiko.Channel | None = None
        """Held here, because paramiko itself keeps no hold of it. None until the door's thread has taken it over."""
        self.terminal: Terminal | None = None
        self.plain = False
        self.session: Session | None = None
        self.thread: threading.Thread | None = None
        """What runs the session, until it is started."""


class Client(paramiko.ServerInterface):
    """Its methods run on the connection's thread, but for `take` and `close`, which are for the door's."""

    def __init__(self, shared: Shared, address: str) -> None:
        self._shared = shared
        self._address = address
        self._login: Login | None = None
        self._known: dict[tuple[str, bytes], bool] = {}
        self._lock = threading.Lock()
        self._open: dict[int, _Open] = {}
        self._closed = False
        self.transport: Transport | None = None
        self.proved = threading.Event()
        """Set with the first channel that a client who has proved a key asks for."""

    @property
    def tried(self) -> bool:
        """Whether any key was offered."""
        return bool(self._known)

    # -- logging in -----------------------------------------------------------------------------------------------

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        assert isinstance(key, OfferedKey)
        offered = (key.algorithm, key.asbytes())
        if offered not in self._known:  # asked first whether a key would do, then with a signature by it
            if len(self._known) >= self._shared.settings.ssh_key_tries:
                assert self.transport is not None
                self.transport.close()
                return AUTH_FAILED
            self._known[offered] = username in USERS and self._knows(key)
        return AUTH_SUCCESSFUL if self._known[offered] else AUTH_FAILED

    def _knows(self, key: OfferedKey) -> bool:
        blob = key.asbytes()
        try:
            return key.algorithm in ALGORITHMS and len(blob) <= _KEY and self._shared.logins.knows(blob)
        except PaasError as error:
            log.error("a login from %s could not be checked: %s", self._address, error)
            return False

    def prove(self, session: bytes, user: str, key: OfferedKey, signature: bytes) -> bool:
        """A key has signed: whether the engine takes that for a login. After one paramiko hears no more requests."""
        if self._login is not None:
            return False
        logins, blob = self._shared.logins, key.asbytes()
        try:
            login = logins.login(session, user, key.algorithm, blob, signature, self._address)
        except PaasError as error:
            log.info("a login from %s was refused: %s", self._address, error)
            return False
        with self._lock:
            if not self._closed:
                self._login = login
                return True
        self._leave(login)
        return False

    def _leave(self, login: Login) -> None:
        try:
            self._shared.logins.leave(login)
        except PaasError:
            pass  # the engine is gone, and with it all logins

    # -- channels -------------------------------------------------------------------------------------------------

    def check_channel_request(self, kind: str, chanid: int) -> int:
        login = self._proved
        if kind != "session" or login is None or self.transport is None:
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        self.transport.trust()
        self.proved.set()
        self._forget_closed(login.name)
        with self._lock:
            if self._closed or chanid >= _CHANNELS_EVER or len(self._open) >= self._shared.settings.ssh_sessions:
                return OPEN_FAILED_RESOURCE_SHORTAGE
            if not self._shared.take_channel(login.name):
                return OPEN_FAILED_RESOURCE_SHORTAGE
            self._open[chanid] = _Open()
        return OPEN_SUCCEEDED

    def take(self, channel: paramiko.Channel) -> None:
        """Hold a channel for as long as it is open."""
        with self._lock:
            if (known := self._open.get(channel.get_id())) is not None:
                known.channel = channel

    def close(self) -> None:
        """The connection has ended."""
        with self._lock:
            self._closed = True
            ended, self._open = len(self._open), {}
        if self._login is not None:
            self._shared.leave_channels(self._login.name, ended)
            self._leave(self._login)

    def _forget_closed(self, user: str) -> None:
        assert self.transport is not None
        with self._lock:
            ended = [number for number in self._open if not self.transport.is_open(number)]
            for number in ended:
                del self._open[number]
        self._shared.leave_channels(user, len(ended))

    @property
    def _proved(self) -> Login | None:
        """Who it is, while that is proved: paramiko keeps everybody else away from channels, and this does as well."""
        proved = self.transport is not None and self.transport.is_authenticated()
        return self._login if proved else None

    # -- what is asked for on a channel ---------------------------------------------------------------------------

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
        known = self._open.get(channel.get_id())
        if known is None or known.session is not None:
            return False
        name = term.decode("ascii", "replace") if isinstance(term, bytes) else term
        known.terminal = Terminal(name[:64], _bounded(height, 24), _bounded(width, 80))
        return True

    def check_channel_env_request(self, channel: paramiko.Channel, name: bytes, value: bytes) -> bool:
        """The one variable that means something here: `ssh -o SendEnv=NO_COLOR`."""
        known = self._open.get(channel.get_id())
        if known is None or name != b"NO_COLOR" or not value:
            return False
        known.plain = True
        return True

    def check_channel_window_change_request(
        self, channel: paramiko.Channel, width: int, height: int, pixelwidth: int, pixelheight: int
    ) -> bool:
        known = self._open.get(channel.get_id())
        if known is None:
            return False
        if known.session is not None:
            known.session.resize(_bounded(height, 24), _bounded(width, 80))
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes | str) -> bool:
        text = os.fsdecode(command) if isinstance(command, bytes) else command
        return len(text) <= _COMMAND and self._start(channel, text)

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        return self._start(channel, "help")

    def _start(self, channel: paramiko.Channel, command: str) -> bool:
        known = self._open.get(channel.get_id())
        login = self._proved
        if login is None or known is None or known.session is not None:
            return False
        shared = self._shared
        known.session = Session(channel, login.token, shared.engine, shared.services, known.terminal, plain=known.plain)
        known.thread = threading.Thread(target=known.session.run, args=(command,), name="command", daemon=True)
        return True

    def answered(self, channel: paramiko.Channel) -> None:
        """The client has been told that its command is taken; only now it begins, or its end might come first."""
        known = self._open.get(channel.get_id())
        if known is None or known.thread is None:
            return
        thread, known.thread = known.thread, None
        try:
            thread.start()
        except RuntimeError as error:  # out of threads or of memory
            log.error("a command could not be started: %s", error)
            close(channel)


def _bounded(value: int, default: int) -> int:
    return value if 0 < value < 10000 else default
