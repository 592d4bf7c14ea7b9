"""Who has logged in over SSH, as the engine itself has checked it: what the front door says of it is not believed.

The engine gives out nonces, which the front door puts into the greeting of each connection, and signs the exchange hash
of a greeting that has one: the hash of a connection's first exchange is its session identifier (RFC 4253, 7.2). A user
proves a key by signing that identifier (RFC 4252, 7). So a proof is worth something once, for a connection that was
begun a moment ago and whose greeting this engine had a part in. It is exchanged for a random token, which stands for
the user in each request until the connection has ended.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from paas.engine.sshwire import check_signature, key_text, login_request
from paas.errors import Denied
from paas.names import KeyName
from paas.state.people import SshKey

_Value = TypeVar("_Value")
_GREETING = b"SSH-2.0-paas "
_MOST = 8192
"""Nonces, session identifiers and logins remembered, of each; the oldest are forgotten first."""
_MOST_TICKETS = 256
"""Of one login: pushes that were begun and have asked for no deploy."""
_LIFE = 24 * 3600.0
"""Seconds after which a login is over, although its connection goes on: nobody but the front door sees it end."""


@dataclass(frozen=True, slots=True)
class Login:
    """`key` is `TYPE BASE64`; `address` is what the front door said; `since` on the monotonic clock."""

    name: KeyName
    key: str
    address: str
    since: float
    tickets: OrderedDict[str, str] = field(default_factory=OrderedDict, repr=False)
    """ticket -> app, for one push each."""


class Logins:
    """Safe to use from several threads. `identify` finds a key that may log in by `TYPE BASE64`; `grace` in seconds is
    the time from the key exchange to a proof."""

    def __init__(
        self, identify: Callable[[str], SshKey | None], grace: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._identify = identify
        self._grace = grace
        self._clock = clock
        self._lock = threading.Lock()
        self._nonces: OrderedDict[bytes, None] = OrderedDict()
        self._identifiers: OrderedDict[bytes, float] = OrderedDict()
        """Session identifiers that nobody has logged in with -> when they were signed."""
        self._logins: OrderedDict[str, Login] = OrderedDict()
        self._tickets: dict[str, Login] = {}

    # -- what the front door tells of a connection ----------------------------------------------------------------

    def nonces(self, count: int) -> list[str]:
        """For one greeting each."""
        made = [secrets.token_hex(16) for _ in range(count)]
        with self._lock:
            for nonce in made:
                _remember(self._nonces, nonce.encode(), None)
        return made

    def signed(self, greeting: bytes, identifier: bytes) -> None:
        """An exchange hash has been signed: the first one of a greeting is a session identifier."""
        nonce = greeting.removeprefix(_GREETING)
        with self._lock:
            if nonce in self._nonces:
                del self._nonces[nonce]
                _remember(self._identifiers, identifier, self._clock())

    def knows(self, key: bytes) -> bool:
        """Whether a key, in wire form, may log in, if it is proved."""
        return self._identify(key_text(key)) is not None

    def prove(
        self, session: bytes, user: str, algorithm: str, key: bytes, signature: bytes, address: str
    ) -> tuple[str, Login]:
        """A token for whoever has signed the session identifier, as account `user`. Raises Denied, InvalidInput."""
        text = key_text(key)
        found = self._identify(text)
        if found is None:
            raise Denied("The key is not known")
        check_signature(text, algorithm, signature, login_request(session, user, algorithm, key))
        token = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            when = self._identifiers.pop(session, None)
            if when is None or now - when > self._grace:
                raise Denied("The session is not one that was begun a moment ago")
            login = Login(found.name, text, address, now)
            if len(self._logins) >= _MOST:
                self._forget(next(iter(self._logins)))
            self._logins[token] = login
        return token, login

    def leave(self, token: str) -> None:
        """The connection has ended."""
        with self._lock:
            self._forget(token)

    def forget(self) -> None:
        """The front door has ended, and all connections with it."""
        with self._lock:
            for known in (self._nonces, self._identifiers, self._logins, self._tickets):
                known.clear()

    # -- what is asked in the name of somebody --------------------------------------------------------------------

    def of(self, token: str) -> Login:
        """Who it is. Raises Denied when the connection has ended, and when the key is not known any more."""
        with self._lock:
            login = self._logins.get(token)
        return self._living(login)

    def ticket(self, token: str, app: str) -> str:
        """What stands for a login in one push to an app: less than the token, for git's hook. Raises Denied."""
        ticket = secrets.token_urlsafe(32)
        with self._lock:
            login = self._logins.get(token)
            if login is not None:
                if len(login.tickets) >= _MOST_TICKETS:
                    del self._tickets[login.tickets.popitem(last=False)[0]]
                login.tickets[ticket] = app
                self._tickets[ticket] = login
        self._living(login)
        return ticket

    def of_ticket(self, ticket: str, app: str) -> Login:
        """Who pushes to an app; a ticket is good once. Raises Denied."""
        with self._lock:
            login = self._tickets.pop(ticket, None)
            allowed = login.tickets.pop(ticket) if login is not None else None
        if allowed != app:
            raise Denied("This push was not begun over a connection that is logged in", hint="Push again.")
        return self._living(login)

    def _living(self, login: Login | None) -> Login:
        if login is None:
            raise Denied("This connection is not logged in, or has ended", hint="Connect again.")
        if self._clock() - login.since > _LIFE:
            raise Denied("This connection's login is a day old", hint="Connect again.")
        known = self._identify(login.key)
        if known is None or known.name != login.name:
            raise Denied("The key of this connection is not known any more")
        return login

    def _forget(self, token: str) -> None:
        login = self._logins.pop(token, None)
        for ticket in login.tickets if login is not None else ():
            del self._tickets[ticket]


def _remember(known: OrderedDict[bytes, _Value], key: bytes, value: _Value) -> None:
    known[key] = value
    if len(known) > _MOST:
        known.popitem(last=False)
