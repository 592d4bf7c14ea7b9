"""What an app's containers may write to the disk: what the app sets, or all, or the machine. It holds at once, and is
no part of releases: a rollback does not bring back what an admin has taken away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paas.apps.properties import Properties
from paas.errors import Denied
from paas.model import Who
from paas.names import shown
from paas.output import human_bytes
from paas.settings import Settings
from paas.state.apps import App

KEYS = ("disk", "inodes", "storage")
ONE_OFF = "run"
"""Stands for the process type of one-off containers."""


@dataclass(frozen=True, slots=True)
class DiskLimit:
    """Of a container's writable layer; None: none."""

    bytes: int | None = None
    inodes: int | None = None


class DiskLimits:
    def __init__(self, settings: Settings, properties: Properties) -> None:
        self._properties = properties
        self._defaults = {"disk": settings.app_disk, "inodes": settings.app_inodes, "storage": 0}

    def of(self, app: App, process: str) -> DiskLimit:
        """Of the containers of a process type."""
        rows = self._rows(app)
        return DiskLimit(self._value("disk", rows, process), self._value("inodes", rows, process))

    def storage(self, app: App) -> int | None:
        """Bytes that all storage which an app has mounted may have together."""
        return self._value("storage", self._rows(app), "")

    def in_force(self, app: App) -> dict[str, int]:
        """By key, what holds where no process type has more or less of it; 0: any amount."""
        rows = self._rows(app)
        return {key: self._value(key, rows, "") or 0 for key in KEYS}

    def refuse_more(self, key: str, text: str, app: App, process: str, who: Who) -> None:
        """Only an admin gives an app more than holds for all. Raises Denied."""
        most = self._value(key, self._rows(None), process)
        if who.admin or most is None:
            return
        present = self._value(key, self._rows(app), process)
        wanted = self._properties.find("resource", f"limit-{key}").parse(text)
        if wanted > max(most, present or 0):
            allowed = f"{most} files" if key == "inodes" else human_bytes(most)
            raise Denied(
                f"Only an admin key may allow more than {allowed} ({shown(text)})",
                hint=f"An admin can, for this app or for all (--global): resource:limit --{key} {text} {app.name}",
            )

    def _rows(self, app: App | None) -> list[Mapping[str, str]]:
        """What is set, that which holds first at the beginning."""
        return [self._properties.set_on(owner) for owner in ((app, None) if app is not None else (None,))]

    def _value(self, key: str, rows: list[Mapping[str, str]], process: str) -> int | None:
        item = self._properties.find("resource", f"limit-{key}")
        for each in rows:
            if text := each.get(f"{item.row}@{process}") or each.get(item.row):
                return int(item.parse(text))
        return self._defaults[key] or None
