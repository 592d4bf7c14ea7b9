"""All that an app's route is made of, of all apps in a few queries: tells whose route has to be made anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paas.state.apps import GLOBAL
from paas.state.database import Database

_APPS = """
SELECT apps.*,
    (SELECT json_group_array(json_array(key, value)) FROM properties WHERE app = apps.id),
    (SELECT json_group_array(json_array(scheme, host, container)) FROM ports WHERE app = apps.id),
    (SELECT ports FROM releases WHERE app = apps.id AND number = apps.release),
    (SELECT address FROM services WHERE app = apps.id AND process = 'web')
FROM apps ORDER BY name
"""
Values = tuple[Any, ...]


def common(db: Database) -> Values:
    """What the routes of all apps depend on."""
    properties = db.query("SELECT key, value FROM properties WHERE app = ?", (GLOBAL,))
    domains = db.query("SELECT hostname FROM global_domains ORDER BY position")
    return tuple(map(tuple, properties)), tuple(map(tuple, domains))


def owners(db: Database) -> dict[str, int]:
    """Hostname that an app was given explicitly -> the app's id; those of one app in their order."""
    rows = db.query("SELECT hostname, app FROM domains ORDER BY app, position, hostname")
    return {row["hostname"]: row["app"] for row in rows}


def every(db: Database) -> Iterator[tuple[int, Values]]:
    """(app id, what its own rows say), by name."""
    for row in db.query(_APPS):
        yield row["id"], tuple(row)
