"""Who we are to a registry: basic authentication, and tokens as Docker's token specification has them."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from paas.errors import Denied, InvalidInput, SystemFailure
from paas.image.foreign import json_object
from paas.names import shown
from paas.registry.credentials import Login
from paas.registry.transport import Transport, is_loopback

_TOKEN_LIMIT = 1 << 20
_PARAMETER = re.compile(r'([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Authorizer:
    """Answers the challenges of one registry. Thread-safe."""

    def __init__(self, transport: Transport, registry: str, login: Login | None, *, insecure: bool) -> None:
        self._transport = transport
        self._registry = registry
        self.login = login
        self._insecure = insecure
        self._lock = threading.Lock()
        self._scopes: set[str] = set()
        self._header: str | None = None
        self._fresh = False
        """Whether the present token was made because an earlier one had been refused."""

    @property
    def header(self) -> str | None:
        """What goes into Authorization; None while nobody asked for it."""
        return self._header

    def want(self, *scopes: str) -> None:
        """`repository:NAME:pull` and the like, to be asked for with the next token."""
        with self._lock:
            if not self._scopes.issuperset(scopes) and self._header is not None and self._header.startswith("Bearer"):
                self._header = None
            self._scopes.update(scopes)

    def answer(self, challenge: str, sent: str | None) -> bool:
        """Get what a 401's WWW-Authenticate (RFC 9110, 11.6.1) asks for; `sent` was refused.

        False when there is nothing better to send. Raises Denied when the login is refused.
        """
        kind, _, rest = challenge.strip().partition(" ")
        with self._lock:
            if self._header is not None and self._header != sent:
                return True  # another thread was faster
            if kind.lower() == "basic":
                header = self.login.basic if self.login else None
                if header is None or header == sent:
                    return False
            elif kind.lower() == "bearer":
                wanted = set(self._scopes)
                parameters: dict[str, str] = {}
                for key, quoted, bare in _PARAMETER.findall(rest):
                    parameters.setdefault(key.lower(), quoted or bare)  # what follows may be another challenge's
                self._scopes.update(parameters.get("scope", "").split())
                if sent is not None and wanted == self._scopes and self._fresh:
                    return False
                self._fresh = True
                header = "Bearer " + self._token(parameters)
            else:
                raise SystemFailure(f"{self._registry} asks for a login of a kind that is not known: {shown(kind)}")
            self._header = header
        return True

    def accepted(self) -> None:
        """The present header works; when it is refused later it has expired."""
        self._fresh = False

    def _token(self, parameters: Mapping[str, str]) -> str:
        realm = parameters.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise InvalidInput(f"{self._registry} names no usable place for logins: {shown(realm)}")
        if parts.scheme == "http" and not (self._insecure or is_loopback(parts.hostname)):
            raise InvalidInput(f"{self._registry} wants the login to be sent without TLS, which is refused")
        query = [("scope", scope) for scope in sorted(self._scopes)]
        if "service" in parameters:
            query.insert(0, ("service", parameters["service"]))
        if self.login:
            query.append(("account", self.login.user))
        headers = {"Authorization": self.login.basic} if self.login else {}
        joiner = "&" if parts.query else "?"
        answer = self._transport.fetch("GET", f"{realm}{joiner}{urlencode(query)}", headers, limit=_TOKEN_LIMIT)
        if answer.status in (400, 401, 403):
            raise refused(self._registry, self.login)
        if answer.status != 200:
            raise SystemFailure(f"{parts.netloc} gives no token: status {answer.status}")
        found = json_object(answer.data, "token")
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise InvalidInput(f"{parts.netloc} answers with something that is no token")
        return token


def refused(registry: str, login: Login | None) -> Denied:
    """The words for a 401."""
    if login is None:
        return Denied(f"{registry} wants a login, or has no such image", hint=f"paas login {registry}")
    return Denied(
        f"{registry} refuses the login of {shown(login.user)}, or has no such image", hint=f"paas login {registry}"
    )
