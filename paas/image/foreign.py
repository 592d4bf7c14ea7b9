"""The configs of images that come from elsewhere (OCI image-spec config.md, Docker's image spec v1.2): nobody vouches
for them, so every field is looked at before it is believed."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paas.errors import InvalidInput
from paas.image.config import from_oci
from paas.model import HistoryEntry, ImageConfig
from paas.names import shown
from paas.state.database import now
from paas.system.mounts import architecture

CONFIG_LIMIT = 8 << 20
"""Bytes of the largest config that is read."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII)
_MOST_PORTS = 1000
_TESTS = ("NONE", "CMD", "CMD-SHELL")
_TEXTS = ("User", "WorkingDir", "StopSignal")
_LISTS = ("Env", "Entrypoint", "Cmd", "Shell", "OnBuild")
_KEYED = ("ExposedPorts", "Volumes")
_NUMBERS = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")


@dataclass(frozen=True, slots=True)
class ForeignImage:
    """`diff_ids` are digests of the layers' plain tars, bottom first; `created` is RFC 3339."""

    config: ImageConfig
    diff_ids: tuple[str, ...]
    history: tuple[HistoryEntry, ...]
    created: str
    architecture: str


def parse_config(data: bytes) -> ForeignImage:
    """Raises InvalidInput for what is no config, and for images that are not for this machine."""
    value = json_object(data, "config")
    _check_platform(value)
    rootfs = _mapping(value.get("rootfs"), "rootfs")
    diff_ids = _texts(rootfs.get("diff_ids"), "rootfs.diff_ids")
    if not all(_DIGEST.fullmatch(each) for each in diff_ids):
        raise _wrong("rootfs.diff_ids")
    fields = _usable(_mapping(value.get("config"), "config"))
    created = value.get("created")
    return ForeignImage(
        config=from_oci(fields, _text(value.get("author"), "author")),
        diff_ids=tuple(diff_ids),
        history=_history(value.get("history"), len(diff_ids)),
        created=created if isinstance(created, str) and _TIME.fullmatch(created) else now(),
        architecture=architecture(),
    )


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """Raises InvalidInput unless the data is a JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidInput(f"The image's {what} is damaged: it is no JSON object")
    return value


def _check_platform(value: Mapping[str, Any]) -> None:
    system, machine = value.get("os") or "linux", value.get("architecture") or architecture()
    if system != "linux" or machine != architecture():
        raise InvalidInput(
            f"The image is for {shown(f'{system}/{machine}')}",
            hint=f"This machine runs images for linux/{architecture()}.",
        )


def _usable(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config's fields, checked; ports in the form PORT/PROTOCOL, one each."""
    _check_types(fields)
    signal_name = fields.get("StopSignal") or "SIGTERM"
    if not re.fullmatch(r"[1-9]|[1-5]\d|6[0-4]|(SIG)?RT(MIN\+|MAX-)\d{1,2}", signal_name):
        name = signal_name if signal_name.startswith("SIG") else f"SIG{signal_name}"
        if name not in signal.Signals.__members__:
            raise _wrong("StopSignal")
    workdir = fields.get("WorkingDir") or ""
    ports: dict[str, object] = {port: {} for text in fields.get("ExposedPorts") or () for port in _ports(text)}
    labels = {key: value or "" for key, value in (fields.get("Labels") or {}).items()}
    if any(entry.startswith("=") or not entry for entry in fields.get("Env") or ()):
        raise _wrong("Env")
    test = (fields.get("Healthcheck") or {}).get("Test")
    if test and test[0] not in _TESTS:
        raise _wrong("Healthcheck.Test")
    directory = workdir and "/" + workdir.lstrip("/")
    return {**fields, "ExposedPorts": ports, "WorkingDir": directory, "Labels": labels}


def _ports(text: str) -> list[str]:
    """`80`, `80/tcp` and `8000-8010/udp`."""
    found = _PORTS.fullmatch(text)
    if found is None:
        raise _wrong("ExposedPorts")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 0 < first <= last < 65536 or last - first > _MOST_PORTS:
        raise _wrong("ExposedPorts")
    return [f"{port}/{found[3] or 'tcp'}" for port in range(first, last + 1)]


def _check_types(fields: Mapping[str, Any]) -> None:
    for key in _TEXTS:
        _text(fields.get(key), key)
    for key in _LISTS:
        _texts(fields.get(key), key)
    for key in _KEYED:
        _texts(list(_mapping(fields.get(key), key)), key)
    for label, text in _mapping(fields.get("Labels"), "Labels").items():
        _text(label, "Labels")
        _text(text, "Labels")
    check = _mapping(fields.get("Healthcheck"), "Healthcheck")
    _texts(check.get("Test"), "Healthcheck.Test")
    for key in _NUMBERS:
        number = check.get(key) or 0
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 62:
            raise _wrong(f"Healthcheck.{key}")


def _history(value: object, layers: int) -> tuple[HistoryEntry, ...]:
    """It is optional; one that does not fit the layers is left out."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        return ()
    found = []
    for entry in value:
        texts = [entry.get(key) or "" for key in ("created", "created_by", "comment")]
        if not all(isinstance(text, str) for text in texts):
            return ()
        found.append(HistoryEntry(texts[0], texts[1], bool(entry.get("empty_layer")), texts[2]))
    return tuple(found) if sum(not entry.empty_layer for entry in found) == layers else ()


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(where)
    return value


def _text(value: object, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise _wrong(where)
    return value


def _texts(value: object, where: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) and "\0" not in each for each in value):
        raise _wrong(where)
    return value


def _wrong(where: str) -> InvalidInput:
    return InvalidInput(f"The image's config is damaged: {where} makes no sense")
