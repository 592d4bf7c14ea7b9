"""The server blocks of one app: which hostnames are served, redirected or sent from http to https, on which ports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from paas.errors import InvalidInput
from paas.model import TLS_SCHEMES
from paas.names import Hostname
from paas.proxy.settings import complete
from paas.proxy.sockets import Sockets
from paas.routes import Listen, Route

_NAME = re.compile(r"[A-Za-z0-9.*_-]+")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*")
_HASH = re.compile(r"\$[A-Za-z0-9./$]+")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]+(/[0-9]{1,3})?")
_TARGET = re.compile(r"(https?://)?[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
_PATH = re.compile(r"/[^\"\\$\n\r;{}]*")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where nginx finds the app for one of its ports."""

    route: Route
    port: int

    @property
    def name(self) -> str:
        return f"{self.route.app}-{self.port}"

    @property
    def address(self) -> str:
        return f"{self.route.upstream}:{self.port}"


@dataclass(frozen=True, slots=True)
class Server:
    """One server block. With `target` visitors are sent there, else the app answers."""

    names: tuple[str, ...]
    listens: tuple[str, ...]
    tls: bool
    port: int
    """As visitors know it."""
    upstream: Upstream
    grpc: bool = False
    code: int = 0
    target: str = ""


def served(route: Route) -> list[Listen]:
    """Without a certificate nothing is served by TLS."""
    return [listen for listen in route.listens if route.certificate is not None or listen.scheme not in TLS_SCHEMES]


def servers(route: Route, sockets: Sockets) -> list[Server]:
    return [server for listen in route.listens for server in _servers(route, listen, sockets)]


def _servers(route: Route, listen: Listen, sockets: Sockets) -> Iterator[Server]:
    tls = listen.scheme in TLS_SCHEMES
    if (tls and route.certificate is None) or not sockets.serves(listen):
        return
    upstream = Upstream(route, listen.upstream)
    plain = sockets.lines(route, listen, default=False)
    sources = {redirection.source for redirection in route.redirections}
    secure = set(route.secure)
    names = [name for name in route.hostnames if name not in sources and (name in secure or not tls)]
    for redirection in route.redirections:
        if redirection.source in secure or not tls:
            target = _target(redirection.target, "https" if redirection.source in secure else "$scheme")
            yield Server((redirection.source,), plain, tls, listen.port, upstream, code=redirection.code, target=target)
    upgraded = [name for name in names if listen.to_https and name in secure]
    served = [name for name in names if name not in upgraded]
    if upgraded:
        port = "" if listen.to_https == 443 else f":{listen.to_https}"
        target = f"https://$host{port}$request_uri"
        yield Server(tuple(upgraded), plain, tls, listen.port, upstream, code=301, target=target)
    default = sockets.is_default(listen)
    if served or default:
        lines = sockets.lines(route, listen, default=default)
        grpc = listen.scheme in ("grpc", "grpcs")
        yield Server(tuple(served) or ("_",), lines, tls, listen.port, upstream, grpc)


def _target(text: str, scheme: str) -> str:
    return (text if "://" in text else f"{scheme}://{text}").rstrip("/") + "$request_uri"


def redirect_target(text: str) -> str:
    """`HOST`, `https://HOST:PORT/PATH` and what lies between. Raises InvalidInput."""
    host = re.sub(r"^https?://", "", text).split("/")[0].partition(":")[0]
    if not _TARGET.fullmatch(text):
        raise InvalidInput("This is no place to redirect to", hint="Examples: www.example.com, https://example.com/new")
    Hostname(host)
    return text


def check(route: Route) -> None:
    """The types have refused bad values already; what is put into a configuration is looked at once more."""
    access = route.access
    checks = [
        (_NAME, [route.app, *route.hostnames, *route.secure, *(r.source for r in route.redirections)]),
        (_TARGET, [r.target for r in route.redirections]),
        (_USER, [name for name, _ in access.users] if access else []),
        (_HASH, [hashed for _, hashed in access.users] if access else []),
        (_ADDRESS, access.allowed if access else []),
        (_PATH, [str(path) for path in (route.certificate, route.maintenance) if path is not None]),
    ]
    if not all(pattern.fullmatch(word) for pattern, words in checks for word in words):
        raise InvalidInput(f"{route.app} has a setting that cannot stand in nginx's configuration")
    try:
        complete(route.settings)
    except (InvalidInput, KeyError) as error:
        raise InvalidInput(f"{route.app} has a setting that cannot stand in nginx's configuration: {error}") from None
