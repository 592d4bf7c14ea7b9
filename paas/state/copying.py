"""What belongs to an app, table by table: what a copy of the app gets too, and what stays with the one."""

from __future__ import annotations

from paas.state.database import Database

COPIED = ("properties", "config", "ports", "scale", "mounts")
STAYING = (
    "domains",
    "access",
    "deploy_locks",
    "releases",
    "services",
    "instances",
    "builds",
    "events",
    "past_instances",
    "oneoffs",
)
"""Every table with a column `app` is in one of the two."""


def copy_settings(db: Database, source: int, target: int) -> list[str]:
    """Give an app that has just been made all that is set on another; returns the ports that it cannot have too."""
    with db.transaction() as connection:
        for table in COPIED:
            columns = [row["name"] for row in connection.execute(f"PRAGMA table_info({table})")]
            others = ", ".join(name for name in columns if name != "app")
            unique = " AND scheme NOT IN ('tcp', 'udp')" if table == "ports" else ""
            connection.execute(
                f"INSERT INTO {table} (app, {others}) SELECT ?, {others} FROM {table} WHERE app = ?{unique}",
                (target, source),
            )
        left = connection.execute(
            "SELECT scheme, host, container FROM ports WHERE app = ? AND scheme IN ('tcp', 'udp')", (source,)
        ).fetchall()
    return [f"{row['scheme']}:{row['host']}:{row['container']}" for row in left]


def tables_of_apps(db: Database) -> list[str]:
    """Those that have a column `app`."""
    rows = db.query(
        "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'app'"
    )
    return sorted(row["name"] for row in rows)
