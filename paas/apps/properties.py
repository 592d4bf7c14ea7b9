"""Properties: settings of one app or of all, declared once with their type, default and help.

What an app does not set comes from the global value, and what nobody sets from the default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from paas.errors import InvalidInput
from paas.names import nearest, shown
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database

Parse = Callable[[str], Any]
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATION = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Property:
    """`parse` turns a text into the value or raises InvalidInput; `default` is the value where nothing is set."""

    noun: str
    key: str
    help: str
    parse: Parse = str
    default: Any = ""
    global_only: bool = False
    released: Literal["", "live", "made"] = ""
    """Part of releases, so that a rollback brings it back. `live`: it holds for instances that run already; `made`:
    containers are made with it, so that a change of it replaces them."""
    guarded: str = ""
    """The command that alone may set it: it checks more than the text can say. Nothing else writes its row."""
    scoped: bool = False
    """May be set for one process type as well."""

    @property
    def row(self) -> str:
        """Its name in the database."""
        return f"{self.noun}:{self.key}"


class Properties:
    def __init__(self, db: Database, declared: Sequence[Property]) -> None:
        self._db = db
        self._declared = {(item.noun, item.key): item for item in declared}
        self._rows = {item.row: item for item in declared}

    def of(self, noun: str) -> list[Property]:
        """Those of a noun, in the order of their declaration."""
        return [item for item in self._declared.values() if item.noun == noun]

    def find(self, noun: str, key: str) -> Property:
        """Raises InvalidInput, with near matches."""
        found = self._declared.get((noun, key))
        if found is None:
            keys = [item.key for item in self.of(noun)]
            close = nearest(key, keys)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(keys)}"
            raise InvalidInput(f"{shown(key)} is not a property of {noun}", hint=hint)
        return found

    def set(self, noun: str, key: str, value: str | None, app: App | None) -> None:
        """Set a property of an app, or (None) of all; no value takes it back. Raises InvalidInput."""
        item = self.check(noun, key, value) if app else self.check_global(noun, key, value)
        apps.set_property(self._db, app.id if app else apps.GLOBAL, item.row, value or None)

    def valid(self, noun: str, key: str, value: str | None) -> None:
        """Raises InvalidInput for what is not a value of it."""
        _checked(self.find(noun, key), value)

    def check(self, noun: str, key: str, value: str | None) -> Property:
        """A property that may be set to this on an app. Raises InvalidInput."""
        item = self.find(noun, key)
        if item.guarded:
            raise InvalidInput(f"{noun} {key} is not set like this", hint=f"See {item.guarded}.")
        if item.global_only:
            raise InvalidInput(f"{key} holds for all apps", hint=f"{noun}:set --global {key} ...")
        return _checked(item, value)

    def check_global(self, noun: str, key: str, value: str | None) -> Property:
        """A property that may be set to this for all apps. Raises InvalidInput."""
        return _checked(self.find(noun, key), value)

    # -- those that are part of releases --------------------------------------------------------------------------

    def released(self, app: App) -> dict[str, str]:
        """What is set on an app of those that are part of releases: NOUN:KEY or NOUN:KEY@PROCESS -> text."""
        rows = apps.properties(self._db, app.id)
        return {row: text for row, text in sorted(rows.items()) if self._kind(row)}

    def restore(self, app: App, values: Mapping[str, str]) -> None:
        """Set exactly these of them."""
        self.save(app, {**dict.fromkeys(self.released(app)), **values})

    def save(self, app: App, values: Mapping[str, str | None]) -> None:
        """Set rows that have been checked; None takes one back."""
        with self._db.transaction():
            for row, text in values.items():
                apps.set_property(self._db, app.id, row, text or None)

    def save_global(self, values: Mapping[str, str | None]) -> None:
        """The same for all apps; a release that is made from now on has them."""
        with self._db.transaction():
            for row, text in values.items():
                apps.set_property(self._db, apps.GLOBAL, row, text or None)

    def in_force(self, own: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """What a release is made with and what it has besides, from what is set on its app; global values included."""
        rows = {**apps.properties(self._db, apps.GLOBAL), **own}
        made, live = ({row: rows[row] for row in sorted(rows) if self._kind(row) == kind} for kind in ("made", "live"))
        return made, live

    def _kind(self, row: str) -> str:
        base, _, process = row.partition("@")
        item = self._rows.get(base)
        return item.released if item is not None and (item.scoped or not process) else ""

    # -- values ---------------------------------------------------------------------------------------------------

    def raw(self, noun: str, key: str, app: App | None) -> str | None:
        """What is set for an app, or for all."""
        return apps.property(self._db, app.id if app else apps.GLOBAL, self.find(noun, key).row)

    def value(self, noun: str, key: str, app: App | None) -> Any:
        """What holds: parsed, the app's or the global one or the default."""
        item = self.find(noun, key)
        for owner in (app.id if app else apps.GLOBAL, apps.GLOBAL):
            text = apps.property(self._db, owner, item.row)
            if text:
                return item.parse(text)
        return item.default

    def set_on(self, app: App | None) -> dict[str, str]:
        """All that is set on an app, or for all: NOUN:KEY or NOUN:KEY@PROCESS -> text."""
        return apps.properties(self._db, app.id if app else apps.GLOBAL)

    def report(self, noun: str, app: App) -> dict[str, str | int | bool | None]:
        """Dokku's keys: NOUN-KEY, NOUN-global-KEY and NOUN-computed-KEY."""
        found: dict[str, str | int | bool | None] = {}
        for item in self.of(noun):
            value = self.value(noun, item.key, app)
            if isinstance(value, tuple | list):
                value = ",".join(map(str, value))
            if not item.global_only:
                found[f"{noun}-{item.key}"] = public(self.raw(noun, item.key, app) or "")
            found[f"{noun}-global-{item.key}"] = public(self.raw(noun, item.key, None) or "")
            found[f"{noun}-computed-{item.key}"] = value if isinstance(value, bool | int) else public(str(value))
        return found


def _checked(item: Property, value: str | None) -> Property:
    if value:
        try:
            item.parse(value)
        except InvalidInput as error:
            raise InvalidInput(f"{item.key}: {error.message}", hint=error.hint) from None
    return item


def public(text: str) -> str:
    """A value for display: without the password that an address may have in it."""
    return re.sub(r"//[^/@\s]*@", "//*****@", text)


def size(text: str) -> int:
    """Bytes: 512m, 2g, 1048576. Raises InvalidInput."""
    match = re.fullmatch(r"(\d{1,15})([bkmgt]?)(?:i?b)?", text.lower())
    if not match or int(match[1]) == 0:
        raise InvalidInput(f"{shown(text)} is not a size", hint="Examples: 512m, 2g")
    return int(match[1]) * _UNITS[match[2]]


def duration(text: str) -> int:
    """Seconds: 90, 90s, 30m, 2h. Raises InvalidInput."""
    match = re.fullmatch(r"(\d{1,9})([smh]?)", text.lower())
    if not match or int(match[1]) == 0:
        raise InvalidInput(f"{shown(text)} is not a duration", hint="Examples: 90s, 30m, 2h")
    return int(match[1]) * _DURATION[match[2]]


def boolean(text: str) -> bool:
    """Raises InvalidInput."""
    if text.lower() in ("true", "yes", "on", "1"):
        return True
    if text.lower() in ("false", "no", "off", "0"):
        return False
    raise InvalidInput(f"{shown(text)} is neither true nor false")


def count(text: str) -> int:
    """A whole number from 1. Raises InvalidInput."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1_000_000):
        raise InvalidInput(f"{shown(text)} is not a whole number from 1")
    return int(text)


def cpus(text: str) -> float:
    """Processors, a fraction perhaps. Raises InvalidInput."""
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text) or float(text) == 0:
        raise InvalidInput(f"{shown(text)} is not a number of processors", hint="Examples: 1, 0.5")
    return float(text)


def relative_path(text: str) -> str:
    """A path inside of a repository. Raises InvalidInput."""
    parts = text.strip("/").split("/")
    if text.startswith("/") or any(part in ("", ".", "..", ".git") for part in parts) or "\0" in text:
        raise InvalidInput(f"{shown(text)} is not a path inside of the repository", hint="Example: services/web")
    return "/".join(parts)


def address(text: str) -> str:
    """An http(s) address. Raises InvalidInput, without the address: a password may stand in it."""
    if not re.fullmatch(r"https?://[^\s\"'\\]+", text):
        raise InvalidInput("This is not an address such as http://proxy.example.com:3128")
    return text
