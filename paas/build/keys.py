"""Cache keys: what a step's layer depends on, and nothing else. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

_VERSION = "1"
"""Part of every key: a builder that makes other layers from the same inputs must not find the old ones."""


def digest(*parts: object) -> str:
    """`sha256:HEX` of a JSON-able description."""
    text = json.dumps([_VERSION, *parts], sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def chain(layers: Iterable[str]) -> str:
    """What lies below a step: the ids of its layers, bottom first."""
    return digest("chain", list(layers))
