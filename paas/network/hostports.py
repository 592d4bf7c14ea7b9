"""Host ports that nobody may map: the platform's own, and those on which another program listens."""

from __future__ import annotations

from collections.abc import Callable

from paas.errors import Conflict
from paas.model import TLS_SCHEMES, PortMap
from paas.settings import Settings


def check_reserved(settings: Settings, new: PortMap) -> None:
    """Raises Conflict for a port that apps are served on, or that paas needs itself."""
    low, high = settings.proxy_port_range
    if new.host == settings.http_port and new.scheme != "http":
        raise Conflict(f"Port {new.host} is where all apps are served, by http", hint="Choose another host port.")
    if new.host == settings.https_port and new.scheme not in TLS_SCHEMES:
        raise Conflict(f"Port {new.host} is where all apps are served, by https", hint="Choose another host port.")
    if (new.host == settings.ssh_port and new.scheme != "udp") or low <= new.host <= high:
        raise Conflict(f"Port {new.host} is used by paas itself", hint="Choose another host port.")


def check_silent(new: PortMap, who_listens: Callable[[int], str | None]) -> None:
    """Raises Conflict, naming the program, when one listens on a TCP port."""
    if new.scheme != "udp" and (holder := who_listens(new.host)):
        raise Conflict(f"Port {new.host} is taken by {holder}", hint="Stop that program, or choose another port.")
