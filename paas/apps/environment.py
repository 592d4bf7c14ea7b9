"""Config vars: the environment of an app's processes."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

from paas.errors import InvalidInput, NotFound
from paas.names import EnvKey, env_value, nearest, shown
from paas.state import apps
from paas.state.apps import GLOBAL, App
from paas.state.database import Database

TOTAL_LIMIT = 1 << 20
"""Bytes of all config vars of an app together; execve(2) takes about 2 MiB of arguments and environment."""

RESERVED = ("PORT",)


class Environment:
    """Config vars of apps and of all apps (`app` None)."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def own(self, app: App | None) -> dict[str, str]:
        """What was set on the app itself, or globally."""
        return apps.config(self._db, app.id if app else GLOBAL)

    def merged(self, app: App) -> dict[str, str]:
        """What the app's processes get: global config vars, the app's own on top."""
        return self.with_globals(self.own(app))

    def with_globals(self, own: Mapping[str, str]) -> dict[str, str]:
        return {**self.own(None), **own}

    def changed(self, app: App, changes: Mapping[str, str | None]) -> dict[str, str]:
        """The app's own config vars after a change; None unsets."""
        return {key: value for key, value in {**self.own(app), **changes}.items() if value is not None}

    def get(self, app: App | None, key: str) -> str:
        """Raises NotFound, with near matches."""
        values = self.own(app)
        if key not in values:
            close = nearest(key, values)
            raise NotFound(f"{key} is not set", hint=f"Did you mean {', '.join(close)}?" if close else None)
        return values[key]

    def changes(self, app: App | None, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """What of `values` (None: unset) differs from what is set; checked, not saved."""
        before = self.own(app)
        for key, value in values.items():
            EnvKey(key)
            if value is not None:
                env_value(key, value)
            if key in RESERVED:
                raise InvalidInput(f"{key} is set by paas itself", hint="To choose the port, see ports:add.")
        after = {key: value for key, value in {**before, **values}.items() if value is not None}
        total = sum(len(key) + len(value.encode()) for key, value in after.items())
        if total > TOTAL_LIMIT:
            raise InvalidInput(f"All config vars together would be {total} bytes; the limit is {TOTAL_LIMIT}")
        return {key: value for key, value in values.items() if before.get(key) != value}

    def save(self, app: App | None, changes: Mapping[str, str | None]) -> None:
        apps.change_config(self._db, app.id if app else GLOBAL, changes)


def parse_assignments(words: Iterable[str], *, encoded: bool = False) -> dict[str, str]:
    """`KEY=VALUE` words to a mapping, values in base64 if `encoded`; the error never shows a value."""
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            hint = "Write KEY=VALUE, quoted for your shell and, over ssh, once more for the remote side."
            raise InvalidInput(f"{shown(key)} has no '='", hint=hint)
        values[EnvKey(key)] = env_value(key, _decoded(key, value) if encoded else value)
    if not values:
        raise InvalidInput("No KEY=VALUE was given", hint="Example: config:set my-app DEBUG=1")
    return values


def _decoded(key: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError:
        raise InvalidInput(f"The value of {shown(key)} is not text in base64") from None
