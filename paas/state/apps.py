"""Queries about apps: the apps themselves, their config vars, domains, ports, scale, mounts and properties."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from paas.errors import AppNotFound, Conflict, Taken
from paas.model import Mount, PortMap, WebScheme
from paas.names import AppName, Hostname, ProcessType, nearest
from paas.state.database import Database, Row, now
from paas.state.sealed import secret_property

GLOBAL = 0
"""Stands for an app's id where something is set for all apps."""


@dataclass(frozen=True, slots=True)
class App:
    """An app's row. `release` is the number of the release that serves, None before the first deploy."""

    id: int
    name: AppName
    created: str
    release: int | None
    stopped: bool
    own_domains: bool


def _app(row: Row) -> App:
    return App(
        row["id"], AppName(row["name"]), row["created"], row["release"], bool(row["stopped"]), bool(row["own_domains"])
    )


def insert(db: Database, name: AppName) -> App:
    try:
        db.execute("INSERT INTO apps (name, created) VALUES (?, ?)", (name, now()))
    except sqlite3.IntegrityError:
        raise Conflict(f"App {name} already exists", hint="Choose another name, or see apps:list.") from None
    return get(db, name)


def find(db: Database, name: str) -> App | None:
    row = db.one("SELECT * FROM apps WHERE name = ?", (name,))
    return _app(row) if row else None


def get(db: Database, name: str) -> App:
    """Raises AppNotFound, with near matches."""
    app = find(db, name)
    if app is None:
        close = nearest(name, [str(known.name) for known in listing(db)])
        hint = f"Did you mean {', '.join(close)}?" if close else "apps:list shows the apps; apps:create makes one."
        raise AppNotFound(f"App {name} does not exist", hint=hint)
    return app


def by_id(db: Database, app: int) -> App:
    row = db.one("SELECT * FROM apps WHERE id = ?", (app,))
    if row is None:
        raise AppNotFound("The app does not exist any more")
    return _app(row)


def listing(db: Database) -> list[App]:
    return [_app(row) for row in db.query("SELECT * FROM apps ORDER BY name")]


def rename(db: Database, app: int, name: AppName) -> None:
    try:
        db.execute("UPDATE apps SET name = ? WHERE id = ?", (name, app))
    except sqlite3.IntegrityError:
        raise Conflict(f"App {name} already exists", hint="Choose another name, or see apps:list.") from None


def delete(db: Database, app: int) -> None:
    """Remove an app with all that belongs to it; its instances must be gone already."""
    with db.transaction() as connection:
        for table in ("properties", "config", "access"):
            connection.execute(f"DELETE FROM {table} WHERE app = ?", (app,))
        connection.execute("DELETE FROM apps WHERE id = ?", (app,))


# -- deploy locks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeployLock:
    who: str
    at: str


def lock(db: Database, app: int, who: str) -> bool:
    """Lock an app against changes; False when it is locked already."""
    sql = "INSERT OR IGNORE INTO deploy_locks (app, who, at) VALUES (?, ?, ?)"
    return db.execute(sql, (app, who, now())) > 0


def lock_of(db: Database, app: int) -> DeployLock | None:
    row = db.one("SELECT who, at FROM deploy_locks WHERE app = ?", (app,))
    return DeployLock(row["who"], row["at"]) if row else None


def unlock(db: Database, app: int) -> bool:
    return db.execute("DELETE FROM deploy_locks WHERE app = ?", (app,)) > 0


def set_stopped(db: Database, app: int, stopped: bool) -> None:
    db.execute("UPDATE apps SET stopped = ? WHERE id = ?", (int(stopped), app))


# -- properties ---------------------------------------------------------------------------------------------------


def property(db: Database, app: int, key: str) -> str | None:
    row = db.one("SELECT value FROM properties WHERE app = ? AND key = ?", (app, key))
    return _opened(db, key, row["value"]) if row else None


def having(db: Database, key: str) -> list[App]:
    """The apps that have a property, by name."""
    sql = "SELECT apps.* FROM properties JOIN apps ON apps.id = properties.app WHERE key = ? ORDER BY name"
    return [_app(row) for row in db.query(sql, (key,))]


def properties(db: Database, app: int) -> dict[str, str]:
    rows = db.query("SELECT key, value FROM properties WHERE app = ?", (app,))
    return {row["key"]: _opened(db, row["key"], row["value"]) for row in rows}


def _opened(db: Database, key: str, value: str) -> str:
    return db.vault.open(value) if secret_property(key) else value


def set_property(db: Database, app: int, key: str, value: str | None) -> None:
    if value is None:
        db.execute("DELETE FROM properties WHERE app = ? AND key = ?", (app, key))
    else:
        stored = db.vault.seal(value) if secret_property(key) else value
        db.execute("INSERT OR REPLACE INTO properties (app, key, value) VALUES (?, ?, ?)", (app, key, stored))


def set_properties(db: Database, app: int, values: Mapping[str, str | None]) -> None:
    """Set several, or with None take them back: all or nothing."""
    with db.transaction():
        for key, value in values.items():
            set_property(db, app, key, value)


# -- config vars --------------------------------------------------------------------------------------------------


def config(db: Database, app: int) -> dict[str, str]:
    rows = db.query("SELECT key, value FROM config WHERE app = ? ORDER BY key", (app,))
    return {row["key"]: db.vault.open(row["value"]) for row in rows}


def change_config(db: Database, app: int, changes: Mapping[str, str | None]) -> None:
    """Set each key to its value, or remove it where the value is None."""
    with db.transaction() as connection:
        for key, value in changes.items():
            if value is None:
                connection.execute("DELETE FROM config WHERE app = ? AND key = ?", (app, key))
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO config (app, key, value) VALUES (?, ?, ?)", (app, key, db.vault.seal(value))
                )


def replace_config(db: Database, app: int, values: Mapping[str, str]) -> None:
    """Set exactly these."""
    change_config(db, app, {**dict.fromkeys(config(db, app)), **values})


# -- domains ------------------------------------------------------------------------------------------------------


def global_domains(db: Database) -> list[Hostname]:
    return [Hostname(row["hostname"]) for row in db.query("SELECT hostname FROM global_domains ORDER BY position")]


def own_domains(db: Database, app: int) -> list[Hostname]:
    rows = db.query("SELECT hostname FROM domains WHERE app = ? ORDER BY position, hostname", (app,))
    return [Hostname(row["hostname"]) for row in rows]


def domain_owner(db: Database, hostname: str) -> App | None:
    row = db.one(
        "SELECT apps.* FROM domains JOIN apps ON apps.id = domains.app WHERE domains.hostname = ?", (hostname,)
    )
    return _app(row) if row else None


def hostname_taken(hostname: str, owner: App | None) -> Taken:
    name = owner.name if owner else ""
    return Taken(
        f"{hostname} belongs to another app",
        f"{hostname} belongs to app {name}",
        owner=name,
        hint="Choose another hostname, or ask an admin whose it is.",
        named_hint=f"Remove it there first: domains:remove {name} {hostname}",
    )


def set_own_domains(db: Database, app: int, hostnames: Iterable[Hostname] | None) -> None:
    """Give an app hostnames of its own, or (None) let it follow the global domains again."""
    with db.transaction() as connection:
        connection.execute("DELETE FROM domains WHERE app = ?", (app,))
        connection.execute("UPDATE apps SET own_domains = ? WHERE id = ?", (int(hostnames is not None), app))
        for position, hostname in enumerate(dict.fromkeys(hostnames or ())):
            try:
                connection.execute(
                    "INSERT INTO domains (hostname, app, position) VALUES (?, ?, ?)", (hostname, app, position)
                )
            except sqlite3.IntegrityError:
                raise hostname_taken(hostname, domain_owner(db, hostname)) from None


def set_global_domains(db: Database, hostnames: Iterable[Hostname]) -> None:
    with db.transaction() as connection:
        connection.execute("DELETE FROM global_domains")
        for hostname in dict.fromkeys(hostnames):
            connection.execute("INSERT INTO global_domains (hostname) VALUES (?)", (hostname,))


# -- ports --------------------------------------------------------------------------------------------------------


def ports(db: Database, app: int) -> list[PortMap]:
    rows = db.query("SELECT scheme, host, container FROM ports WHERE app = ? ORDER BY scheme, host", (app,))
    return [PortMap(row["scheme"], row["host"], row["container"]) for row in rows]


def set_ports(db: Database, app: int, maps: Iterable[PortMap]) -> None:
    with db.transaction() as connection:
        connection.execute("DELETE FROM ports WHERE app = ?", (app,))
        for port in maps:
            connection.execute(
                "INSERT INTO ports (app, scheme, host, container) VALUES (?, ?, ?, ?)",
                (app, port.scheme, port.host, port.container),
            )


def port_owners(db: Database, host: int) -> list[tuple[App, PortMap]]:
    """Apps that map a host port, with their maps of it; also those that are served on it in place of the usual port."""
    rows = db.query(
        "SELECT apps.*, scheme, host, container FROM ports JOIN apps ON apps.id = ports.app WHERE host = ?", (host,)
    )
    found = [(_app(row), PortMap(row["scheme"], row["host"], row["container"])) for row in rows]
    chosen = db.query(
        "SELECT apps.*, key FROM properties JOIN apps ON apps.id = properties.app"
        " WHERE key IN ('proxy:proxy-port', 'proxy:proxy-ssl-port') AND value = ?",
        (str(host),),
    )
    schemes: dict[str, WebScheme] = {"proxy:proxy-port": "http", "proxy:proxy-ssl-port": "https"}
    return found + [(_app(row), PortMap(schemes[row["key"]], host, host)) for row in chosen]


# -- scale and mounts ---------------------------------------------------------------------------------------------


def scale(db: Database, app: int) -> dict[ProcessType, int]:
    rows = db.query("SELECT process, count FROM scale WHERE app = ? ORDER BY process", (app,))
    return {ProcessType(row["process"]): row["count"] for row in rows}


def set_scale(db: Database, app: int, counts: Mapping[ProcessType, int]) -> None:
    with db.transaction() as connection:
        for process, count in counts.items():
            connection.execute(
                "INSERT OR REPLACE INTO scale (app, process, count) VALUES (?, ?, ?)", (app, process, count)
            )


def mounts(db: Database, app: int) -> list[Mount]:
    rows = db.query("SELECT * FROM mounts WHERE app = ? ORDER BY target, processes, phases", (app,))
    return [
        Mount(
            Path(row["source"]),
            row["target"],
            bool(row["read_only"]),
            tuple(row["processes"].split()),
            tuple(row["phases"].split()),
            row["entry"],
            row["subpath"],
        )
        for row in rows
    ]


def set_mounts(db: Database, app: int, entries: Iterable[Mount]) -> None:
    with db.transaction() as connection:
        connection.execute("DELETE FROM mounts WHERE app = ?", (app,))
        for entry in entries:
            connection.execute(
                "INSERT INTO mounts (app, target, source, read_only, processes, phases, entry, subpath)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    app,
                    entry.target,
                    str(entry.source),
                    int(entry.read_only),
                    " ".join(entry.processes),
                    " ".join(entry.phases),
                    entry.entry,
                    entry.subpath,
                ),
            )
