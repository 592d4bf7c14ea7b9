"""The last value of the spine, what nginx serves for an app; and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from paas.model import WebScheme
from paas.names import AppName, Hostname


@dataclass(frozen=True, slots=True)
class Listen:
    """A public port of an app. nginx connects to the port `upstream` of the app's virtual address for it."""

    scheme: WebScheme
    port: int
    upstream: int
    to_https: int = 0
    """Hostnames that the certificate is for are sent to https on this port; 0: they are served."""


@dataclass(frozen=True, slots=True)
class Redirection:
    """Visitors of a hostname are sent elsewhere: `target` is `[http[s]://]HOST[:PORT][/PATH]`."""

    source: Hostname
    target: str
    code: int = 301


@dataclass(frozen=True, slots=True)
class Access:
    """Who may see an app: those with a name and password, and addresses (or networks) that need none."""

    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """(name, hash as crypt(3) takes it)"""
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """What nginx serves for an app: the hostnames, and the virtual address that spreads over its web instances."""

    app: AppName
    hostnames: tuple[Hostname, ...]
    upstream: IPv4Address
    """Virtual address of the web process."""
    listens: tuple[Listen, ...] = (Listen("http", 80, 80),)
    """`tcp` and `udp` port maps are not nginx's affair."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What paas.proxy.settings declares, by key; what is missing is as declared there."""
    certificate: Path | None = None
    """Directory with `server.crt` and `server.key`."""
    secure: tuple[Hostname, ...] = ()
    """The hostnames, and sources of redirections, that the certificate is for."""
    access: Access | None = None
    redirections: tuple[Redirection, ...] = ()
    maintenance: Path | None = None
    """Directory with the `maintenance.html` that is all that visitors get."""
