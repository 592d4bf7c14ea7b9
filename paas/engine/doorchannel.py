"""What the front door asks about connections and logins: one socket, which only it holds, and one question at a time.

Frames as in `paas.wire`, bytes as base64. Questions come one after another and are answered by one thread, so that a
crowd of strangers takes a part of one processor at most from the engine.

    engine -> door   first   {"host_keys": ["TYPE BASE64", ...]} with the listening socket
    door -> engine           {"kind": "nonces"}                                                -> {"nonces": [...]}
                             {"kind": "sign", "key": TYPE, "hash", "exchange"}                 -> {"signature"}
                             {"kind": "known", "key"}                                          -> {"known": bool}
                             {"kind": "login", "session", "user", "algorithm", "key",
                              "signature", "address"}                                          -> {"token", "name"}
                             {"kind": "leave", "token"}                                        -> {}
    engine -> door           the answer, or {"error"}
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import socket
from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm

from paas import wire
from paas.engine.hostkeys import HostKey
from paas.engine.logins import Logins
from paas.engine.sshwire import strings
from paas.errors import InvalidInput, PaasError

log = logging.getLogger(__name__)

_LIMIT = 1 << 20
"""Bytes of a question; an exchange has two lists of algorithms, which are packets of 256 KiB at most."""
_NONCES = 32
_ADDRESS = 64
"""Characters of a client's address: with an IPv6 zone."""
_HASHES = ("sha256", "sha384", "sha512")


class DoorChannel:
    def __init__(self, connection: socket.socket, keys: Sequence[HostKey], logins: Logins) -> None:
        self._connection = connection
        self._keys = {key.kind: key for key in keys}
        self._logins = logins

    def serve(self, listener: socket.socket) -> None:
        """Open the door, and answer it until it ends."""
        try:
            keys = [key.public for key in self._keys.values()]
            wire.send(self._connection, {"host_keys": keys}, (listener.fileno(),))
            while (received := wire.receive(self._connection, _LIMIT)) is not None:
                question, descriptors = received
                for descriptor in descriptors:
                    os.close(descriptor)
                wire.send(self._connection, self._answer(question))
        except (OSError, wire.WireError) as error:
            log.info("the front door's channel has ended: %s", error)

    def _answer(self, question: wire.Frame) -> wire.Frame:
        try:
            return self._reply(question)
        except PaasError as error:
            return {"error": error.message}
        except (KeyError, TypeError, ValueError, AttributeError, UnsupportedAlgorithm) as error:
            log.warning("a question of the front door that cannot be understood: %r", error)
            return {"error": "The question cannot be understood"}
        except Exception:
            log.exception("a question of the front door could not be answered")
            return {"error": "The engine could not answer"}

    def _reply(self, question: wire.Frame) -> wire.Frame:
        match question["kind"]:
            case "nonces":
                return {"nonces": self._logins.nonces(_NONCES)}
            case "sign":
                return {"signature": self._sign(question)}
            case "known":
                return {"known": self._logins.knows(_bytes(question["key"]))}
            case "login":
                token, login = self._logins.prove(
                    _bytes(question["session"]),
                    str(question["user"]),
                    str(question["algorithm"]),
                    _bytes(question["key"]),
                    _bytes(question["signature"]),
                    str(question["address"])[:_ADDRESS],
                )
                return {"token": token, "name": login.name}
            case "leave":
                self._logins.leave(str(question["token"]))
                return {}
        raise InvalidInput("Unknown kind of question")

    def _sign(self, question: wire.Frame) -> str:
        """Sign the hash of a key exchange: of what is one, with this key in it, and of nothing else."""
        key, exchange, name = self._keys[question["key"]], _bytes(question["exchange"]), question["hash"]
        _, greeting, _, _, host_key = strings(exchange, 5)  # RFC 4253, 8: V_C, V_S, I_C, I_S, K_S
        if host_key != key.blob or name not in _HASHES:
            raise InvalidInput("This is no key exchange of ours")
        digest = hashlib.new(name, exchange).digest()
        self._logins.signed(greeting, digest)
        return base64.b64encode(key.sign(digest)).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
