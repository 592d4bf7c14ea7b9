"""paramiko's parts that would hold the host's keys or check a user's: in their place the engine is asked."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.auth_handler import AuthHandler

from paas.errors import PaasError
from paas.ssh.doorchannel import DoorChannel

if TYPE_CHECKING:
    from paas.ssh.client import Client
    from paas.ssh.transport import Transport


def keeping_what_it_hashes(kex: Any) -> Any:
    """A key exchange of paramiko's that leaves what the exchange hash is of with the transport."""

    class Keeping(kex):  # type: ignore[misc]
        def hash_algo(self, data: bytes) -> Any:
            if self.transport.K is None:  # later keys are made by hashing the secret
                self.transport.exchange = (kex.hash_algo().name, data)
            return kex.hash_algo(data)

    return Keeping


class HostKey(paramiko.PKey):
    """The public half of a host key: the engine has the other one."""

    def __init__(self, public: str, transport: Transport, engine: DoorChannel) -> None:
        self._kind, text = public.split()
        self._blob = base64.b64decode(text)
        self._transport = transport
        self._engine = engine

    def get_name(self) -> str:
        return self._kind

    def asbytes(self) -> bytes:
        return self._blob

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:
        """The engine hashes the exchange itself: it would not know what a hash is one of."""
        hash, exchange = self._transport.exchange
        try:
            return paramiko.Message(self._engine.sign(self._kind, hash, exchange))
        except PaasError as error:
            raise paramiko.SSHException(error.message) from error


class OfferedKey(paramiko.PKey):
    """What a client says is its public key. `algorithm` is what it would sign by."""

    def __init__(self, client: Client, session: bytes, user: str, algorithm: str, blob: bytes) -> None:
        self._client = client
        self._session = session
        self._user = user
        self._blob = blob
        self.algorithm = algorithm

    def get_name(self) -> str:
        return self.algorithm

    def asbytes(self) -> bytes:
        return self._blob

    def verify_ssh_sig(self, data: bytes, msg: paramiko.Message) -> bool:
        return self._client.prove(self._session, self._user, self, msg.asbytes())


class Proving(AuthHandler):
    """Takes keys as they come, without looking into them, for the engine to judge."""

    def _generate_key_from_request(self, algorithm: str, keyblob: bytes) -> OfferedKey:
        assert self.auth_username is not None and self.transport.session_id is not None
        client: Client = self.transport.server_object  # type: ignore[assignment]
        return OfferedKey(client, self.transport.session_id, self.auth_username, algorithm, keyblob)
