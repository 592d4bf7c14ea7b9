"""What the kernel has of our network now, in numbers: for a report about the machine."""

from __future__ import annotations

import re
from pathlib import Path

from paas.errors import SystemFailure
from paas.network.nft import Nft
from paas.settings import Settings


def described(settings: Settings) -> dict[str, int | bool]:
    """The table as nft lists it, and the links of containers."""
    links = [link for link in Path("/sys/class/net").iterdir() if link.name.startswith(settings.link_prefix)]
    try:
        text = Nft().run(f"list table inet {settings.nft_table}")
    except SystemFailure:
        return {"table": False, "links": len(links)}
    return {
        "table": True,
        "table-bytes": len(text),
        "services": len(re.findall(r"chain s_", text)),
        "networked": len(re.findall(r"chain h_", text)),
        "links": len(links),
    }
