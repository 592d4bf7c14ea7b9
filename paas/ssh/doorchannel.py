"""The door's end of its channel to the engine: what it needs for connections and logins. See `paas.engine.doorchannel`.

The keys of the host are not here, and nothing that is said here of a login is believed: the engine checks each itself.
"""

from __future__ import annotations

import base64
import os
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

from paas import wire
from paas.errors import PaasError, SystemFailure


@dataclass(frozen=True, slots=True)
class Login:
    """`token` stands for the user `name` in what is asked of the engine."""

    token: str = field(repr=False)
    name: str


class DoorChannel:
    """Safe to use from several threads; one question is asked at a time. An engine that is stuck is ended by its
    watchdog. Methods raise SystemFailure when it is gone, and PaasError with what it says when it refuses."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._nonces: list[str] = []
        self.host_keys: list[str] = []
        """Public halves, `TYPE BASE64`, the preferred one first."""

    def open(self) -> socket.socket | None:
        """Wait until the engine serves: the listening socket. None when it ends instead."""
        try:
            received = wire.receive(self._connection)
        except (OSError, wire.WireError):
            received = None
        if received is None:
            return None
        frame, (descriptor,) = received
        self.host_keys = [str(key) for key in frame["host_keys"]]
        return socket.socket(fileno=descriptor)

    def nonce(self) -> str:
        """What the engine takes the greeting of a new connection by; each is for one."""
        with self._lock:
            if not self._nonces:
                self._nonces = self._ask("nonces")["nonces"]
            return self._nonces.pop()

    def sign(self, kind: str, hash: str, exchange: bytes) -> bytes:
        """The signature of the host key of a kind on the hash of a key exchange."""
        with self._lock:
            return base64.b64decode(self._ask("sign", key=kind, hash=hash, exchange=exchange)["signature"])

    def knows(self, key: bytes) -> bool:
        """Whether somebody may log in with a key, once it is proved."""
        with self._lock:
            return bool(self._ask("known", key=key)["known"])

    def login(self, session: bytes, user: str, algorithm: str, key: bytes, signature: bytes, address: str) -> Login:
        """Hand the proof of a key to the engine."""
        with self._lock:
            answer = self._ask(
                "login", session=session, user=user, algorithm=algorithm, key=key, signature=signature, address=address
            )
        return Login(str(answer["token"]), str(answer["name"]))

    def leave(self, login: Login) -> None:
        """The connection has ended: the token is worth nothing any more."""
        with self._lock:
            self._ask("leave", token=login.token)

    def _ask(self, kind: str, **fields: str | bytes) -> dict[str, Any]:
        texts = {
            name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for name, value in fields.items()
        }
        try:
            wire.send(self._connection, {"kind": kind, **texts})
            received = wire.receive(self._connection)
        except (OSError, wire.WireError) as error:
            raise SystemFailure("The paas engine does not answer", hint="Try again in a moment.") from error
        if received is None:
            raise SystemFailure("The paas engine does not answer", hint="Try again in a moment.")
        answer, descriptors = received
        for descriptor in descriptors:
            os.close(descriptor)
        if "error" in answer:
            raise PaasError(str(answer["error"]))
        return answer
