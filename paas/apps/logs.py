"""Settings of logs."""

from __future__ import annotations

from paas.apps.properties import Property, size
from paas.errors import InvalidInput


def _not_here(text: str) -> str:
    raise InvalidInput(
        "paas runs no log shipper: it keeps and searches logs itself",
        hint="logs --since --grep finds what is kept; ssh HOST logs APP -t -q sends it on to whatever collects it.",
    )


_SHIPPING = ("app-label-alias", "vector-cron-sink", "vector-image", "vector-networks", "vector-sink")

PROPERTIES = [
    Property("logs", "max-size", "bytes of log kept of each container; holds from its next start", size, 10 << 20),
    *(Property("logs", key, "of Dokku's log shipper; refused, as there is none here", _not_here) for key in _SHIPPING),
]
