"""Numbers to addresses. Pure."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network

from paas.settings import Settings

GATEWAY = IPv4Address("169.254.1.1")
"""What containers send everything to: the host's end of their link."""


def instance_capacity(settings: Settings) -> int:
    """How many containers can have an address."""
    return IPv4Network(settings.instance_network).num_addresses - 2


def instance_address(settings: Settings, number: int) -> IPv4Address:
    """The address of the sandbox with this number (from 1)."""
    return IPv4Network(settings.instance_network)[number]


def service_address(settings: Settings, number: int) -> IPv4Address:
    """The virtual address with this number (from 1)."""
    return IPv4Network(settings.service_network)[number]


def host_address() -> str:
    """The address other machines most likely reach this host by: that of its default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the kernel only picks the source address
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
