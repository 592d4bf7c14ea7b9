"""The words of the flags that containers are made with, checked. Errors are InvalidInput."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from paas.errors import InvalidInput
from paas.model import Policy, Restart
from paas.names import env_value, shown
from paas.runtime.oci import CAPABILITIES
from paas.runtime.spec import Net

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([bkmg]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_LEAST_MEMORY = 6 << 20
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_ALL = "ALL"


def memory(text: str, unit: str = "") -> int:
    """`64m`, `1.5g`: bytes. `unit` is that of a bare number."""
    found = bytes_of(text, unit)
    if found < _LEAST_MEMORY:
        raise InvalidInput(f"{shown(text)} is no memory limit", hint="Examples: 64m, 1g; the least is 6m.")
    return found


def size(text: str) -> int:
    """`64k`, `1g`: bytes, of a file system in memory."""
    found = bytes_of(text, "")
    if found < 4096:
        raise InvalidInput(f"{shown(text)} is no size", hint="Examples: 64m, 1g")
    return found


def bytes_of(text: str, unit: str) -> int:
    """0 for what is no size."""
    match = _SIZE.fullmatch(text)
    return int(float(match[1]) * _UNITS[match[2].lower() or unit]) if match and len(text) < 16 else 0


def cpus(text: str) -> float:
    """`0.5`, `2`: processors."""
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text, re.ASCII) or not float(text) >= 0.01:
        raise InvalidInput(f"{shown(text)} is no number of processors", hint="Examples: 0.5, 2; the least is 0.01.")
    return float(text)


def restart(text: str) -> Restart:
    """`no`, `always`, `unless-stopped`, `on-failure` or `on-failure:5`."""
    policy, colon, most = text.partition(":")
    counted = most.isascii() and most.isdigit() and len(most) <= 6
    if policy not in ("no", "on-failure", "always", "unless-stopped") or (
        colon and not (counted and policy == "on-failure")
    ):
        raise InvalidInput(
            f"{shown(text)} is not a restart policy", hint="Known: no, on-failure[:MOST], always, unless-stopped"
        )
    return Restart(cast(Policy, policy), int(most) if colon else 0)


def network(text: str) -> Net:
    if text not in ("own", "none"):
        raise InvalidInput(
            f"{shown(text)} is not a network", hint="Known: own (an address of its own, the default), none"
        )
    return cast(Net, text)


def hostname(text: str) -> str:
    if not _HOSTNAME.fullmatch(text):
        raise InvalidInput(f"{shown(text)} is not a hostname", hint="Use up to 63 letters, digits, '-' and '.'.")
    return text


def capability(text: str) -> str:
    """`NET_RAW`, `cap_net_raw` or `ALL`."""
    name = text.upper()
    full = name if name == _ALL or name.startswith("CAP_") else f"CAP_{name}"
    if full != _ALL and full not in CAPABILITIES:
        raise InvalidInput(
            f"{shown(text)} is not a capability that containers may have",
            hint="They may have: " + " ".join(known.removeprefix("CAP_") for known in CAPABILITIES),
        )
    return full


def capabilities(drop: Iterable[str], add: Iterable[str]) -> tuple[str, ...] | None:
    """What is left of the default set; None when that is all of it."""
    dropped, added = set(drop), set(add)
    left = {known for known in CAPABILITIES if known not in dropped and _ALL not in dropped}
    left |= set(CAPABILITIES) if _ALL in added else added
    return None if left == set(CAPABILITIES) else tuple(known for known in CAPABILITIES if known in left)


def variables(words: Iterable[str], typed_at: Mapping[str, str]) -> dict[str, str]:
    """`KEY=VALUE`, or `KEY` for the value that it has where the command was typed. No error shows a value."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or "\0" in key:
            raise InvalidInput(f"{shown(key)} is not a name for a variable", hint="Write KEY=VALUE.")
        if equals:
            found[key] = env_value(key, value)
        elif key in typed_at:
            found[key] = env_value(key, typed_at[key])
    return found


def labels(words: Iterable[str]) -> dict[str, str]:
    found = {}
    for word in words:
        key, _, value = word.partition("=")
        if not key:
            raise InvalidInput(f"{shown(word)} is not a label", hint="Write KEY=VALUE.")
        found[key] = value
    return found


def env_lines(text: str) -> list[str]:
    """The words of an --env-file: lines of KEY=VALUE; empty ones and those that begin with # are left out."""
    lines = [line.strip("\r") for line in text.split("\n")]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
