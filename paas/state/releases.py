"""Queries about releases and instances."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from paas.errors import NotFound
from paas.model import Instance, InstanceState, PortMap, Release
from paas.names import AppName, ProcessType
from paas.state import release_words
from paas.state.apps import App
from paas.state.database import Database, Row, now


def next_number(db: Database, app: App) -> int:
    row = db.one("SELECT coalesce(max(number), 0) + 1 AS n FROM releases WHERE app = ?", (app.id,))
    assert row is not None
    return int(row["n"])


def insert(db: Database, app: App, release: Release) -> None:
    """Record a release; it does not serve yet."""
    db.execute(
        "INSERT INTO releases"
        " (app, number, image, config, processes, ports, mounts, git_commit, created, who, why, settings)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            app.id,
            release.number,
            release.image_id,
            db.vault.seal(json.dumps(dict(release.config))),
            json.dumps([[p.type, p.count, p.command] for p in release.processes]),
            json.dumps(release_words.port_words(release.ports)),
            json.dumps(release_words.mount_words(release.mounts)),
            release.commit,
            release.created,
            release.who,
            release.why,
            db.vault.seal(json.dumps(release_words.settings_words(release))),
        ),
    )


def set_current(db: Database, app: App, number: int) -> None:
    db.execute("UPDATE apps SET release = ?, stopped = 0 WHERE id = ?", (number, app.id))


def get(db: Database, app: App, number: int) -> Release:
    """Raises NotFound."""
    row = db.one("SELECT * FROM releases WHERE app = ? AND number = ?", (app.id, number))
    if row is None:
        raise NotFound(
            f"App {app.name} has no release {number}", hint=f"releases {app.name} lists those that are kept."
        )
    return _release(db, app.name, row)


def of_instances(db: Database, app: App) -> dict[int, Release]:
    """Those that the app's instances were made for, by number."""
    rows = db.query(
        "SELECT * FROM releases WHERE app = ? AND number IN (SELECT release FROM instances WHERE app = ?)",
        (app.id, app.id),
    )
    return {row["number"]: _release(db, app.name, row) for row in rows}


def current(db: Database, app: App) -> Release | None:
    """The release that serves, as the database has it now."""
    row = db.one(
        "SELECT releases.* FROM apps JOIN releases ON releases.app = apps.id AND releases.number = apps.release"
        " WHERE apps.id = ?",
        (app.id,),
    )
    return _release(db, app.name, row) if row else None


def current_ports(db: Database, app: App) -> tuple[PortMap, ...] | None:
    """The port maps of the release that serves, without reading the rest of it; None before the first deploy."""
    row = db.one(
        "SELECT releases.ports FROM apps JOIN releases ON releases.app = apps.id AND releases.number = apps.release"
        " WHERE apps.id = ?",
        (app.id,),
    )
    return tuple(PortMap(*entry) for entry in json.loads(row["ports"])) if row else None


def every_current_ports(db: Database) -> dict[int, tuple[PortMap, ...]]:
    """The same of all apps that have been deployed, by app id."""
    rows = db.query(
        "SELECT id, (SELECT ports FROM releases WHERE app = apps.id AND number = apps.release) AS ports FROM apps"
    )
    return {row["id"]: tuple(PortMap(*entry) for entry in json.loads(row["ports"])) for row in rows if row["ports"]}


def serving(db: Database, name: AppName) -> Release | None:
    """The same, of the app with this name."""
    row = db.one(
        "SELECT releases.* FROM apps JOIN releases ON releases.app = apps.id AND releases.number = apps.release"
        " WHERE apps.name = ?",
        (name,),
    )
    return _release(db, name, row) if row else None


def listing(db: Database, app: App) -> list[Release]:
    """Newest first."""
    rows = db.query("SELECT * FROM releases WHERE app = ? ORDER BY number DESC", (app.id,))
    return [_release(db, app.name, row) for row in rows]


def before(db: Database, app: App, number: int) -> int | None:
    """The number of the release before one, among those that are kept."""
    row = db.one("SELECT max(number) AS n FROM releases WHERE app = ? AND number < ?", (app.id, number))
    return None if row is None else row["n"]


def image_ids(db: Database, app: App) -> list[str]:
    return [row["image"] for row in db.query("SELECT DISTINCT image FROM releases WHERE app = ?", (app.id,))]


def beyond(db: Database, app: App, keep: int) -> list[int]:
    """Newest first: the numbers of all releases but the newest `keep`, none of instances that serve."""
    rows = db.query(
        "SELECT number FROM releases WHERE app = ?"
        " AND number NOT IN (SELECT release FROM instances WHERE app = ? AND state <> 'draining')"
        " AND number NOT IN (SELECT number FROM releases WHERE app = ? ORDER BY number DESC LIMIT ?)"
        " ORDER BY number DESC",
        (app.id, app.id, app.id, keep),
    )
    return [row["number"] for row in rows]


def delete(db: Database, app: App, numbers: Iterable[int]) -> None:
    with db.transaction() as connection:
        connection.executemany("DELETE FROM releases WHERE app = ? AND number = ?", [(app.id, n) for n in numbers])


def only_in_old(db: Database, app: App) -> int:
    """Bytes of layers that nothing needs but releases of the app which do not serve."""
    row = db.one(
        "SELECT coalesce(sum(size), 0) AS bytes FROM layers WHERE number IN ("
        " SELECT layer FROM image_layers JOIN releases ON releases.image = image_layers.image"
        " WHERE releases.app = :app AND releases.number <> :current)"
        " AND number NOT IN (SELECT layer FROM image_layers JOIN releases ON releases.image = image_layers.image"
        " WHERE releases.app <> :app OR releases.number = :current)"
        " AND number NOT IN (SELECT layer FROM image_layers JOIN tags ON tags.image = image_layers.image)"
        " AND number NOT IN (SELECT layer FROM image_layers JOIN containers ON containers.image = image_layers.image)",
        {"app": app.id, "current": app.release},
    )
    assert row is not None
    return int(row["bytes"])


def delete_unused(db: Database, app: App, number: int) -> None:
    """Forget a release, unless it is the one that serves."""
    db.execute(
        "DELETE FROM releases WHERE app = ? AND number = ?"
        " AND NOT EXISTS (SELECT 1 FROM apps WHERE apps.id = releases.app AND apps.release = releases.number)",
        (app.id, number),
    )


def _release(db: Database, name: AppName, row: Row) -> Release:
    config, settings = (json.loads(db.vault.open(row[column])) for column in ("config", "settings"))
    return release_words.read(name, row, config, settings)


def delete_unfinished(db: Database) -> None:
    """Forget releases newer than the one that serves: an engine died before they did."""
    db.execute(
        "DELETE FROM releases WHERE number > coalesce((SELECT release FROM apps WHERE apps.id = releases.app), 0)"
    )


# -- instances ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """An instance with what only the scheduler needs."""

    instance: Instance
    app_id: int
    started: str
    restarts: int
    reason: str
    unready: Mapping[str, str]
    """Checks that it fails while it runs -> why. While there are any it gets no new connections."""
    stale: bool
    """It runs on the damaged directory of a layer that is whole again: the next rollout is not to keep it."""


_INSTANCES = "SELECT instances.*, apps.name FROM instances JOIN apps ON apps.id = instances.app"


def insert_instance(db: Database, app: App, instance: Instance) -> None:
    db.execute(
        "INSERT INTO instances (id, app, release, process, position, address, port, state, started)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            instance.id,
            app.id,
            instance.release,
            instance.process,
            instance.index,
            str(instance.address),
            instance.port,
            instance.state,
            now(),
        ),
    )


def instances(db: Database, app: App | None = None, states: Sequence[InstanceState] = ()) -> list[InstanceRow]:
    """Instances of one app or of all, in the order web.1, web.2, worker.1; `states` narrows."""
    where, values = ("WHERE app = ?", (app.id,)) if app else ("", ())
    rows = db.query(f"{_INSTANCES} {where} ORDER BY apps.name, process, position", values)
    return [row for row in map(_instance, rows) if not states or row.instance.state in states]


def instance(db: Database, id: str) -> InstanceRow | None:
    row = db.one(f"{_INSTANCES} WHERE instances.id = ?", (id,))
    return _instance(row) if row else None


def set_instance_state(db: Database, id: str, state: InstanceState) -> None:
    db.execute("UPDATE instances SET state = ? WHERE id = ?", (state, id))


def set_unready(db: Database, id: str, checks: Mapping[str, str]) -> None:
    db.execute("UPDATE instances SET unready = ? WHERE id = ?", (json.dumps(dict(checks)), id))


def set_stale(db: Database, layer: int) -> None:
    """Note of the instances whose image has a layer that its directory has been made anew under them."""
    db.execute(
        "UPDATE instances SET stale = 1 WHERE id IN ("
        " SELECT instances.id FROM instances JOIN releases ON releases.app = instances.app"
        " AND releases.number = instances.release JOIN image_layers ON image_layers.image = releases.image"
        " WHERE layer = ?)",
        (layer,),
    )


def carry_over(db: Database, ids: Iterable[str], release: int) -> None:
    """Let instances that a new release leaves as they are belong to it."""
    with db.transaction() as connection:
        connection.executemany("UPDATE instances SET release = ? WHERE id = ?", [(release, id) for id in ids])


def delete_instance(db: Database, id: str) -> None:
    db.execute("DELETE FROM instances WHERE id = ?", (id,))


def record_end(db: Database, id: str, state: InstanceState, restarts: int, reason: str) -> None:
    db.execute("UPDATE instances SET state = ?, restarts = ?, reason = ? WHERE id = ?", (state, restarts, reason, id))


def _instance(row: Row) -> InstanceRow:
    value = Instance(
        id=row["id"],
        app=AppName(row["name"]),
        release=row["release"],
        process=ProcessType(row["process"]),
        index=row["position"],
        address=IPv4Address(row["address"]),
        port=row["port"],
        state=InstanceState(row["state"]),
    )
    unready = json.loads(row["unready"])
    return InstanceRow(
        value, row["app"], row["started"], row["restarts"], row["reason"], unready, stale=bool(row["stale"])
    )
