"""Queries about services: the virtual addresses of process types."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

from paas.errors import NotFound
from paas.names import ProcessType
from paas.state.apps import App
from paas.state.database import Database


def addresses(db: Database) -> dict[tuple[int, ProcessType], IPv4Address]:
    """(app id, process type) -> virtual address."""
    rows = db.query("SELECT app, process, address FROM services")
    return {(row["app"], ProcessType(row["process"])): IPv4Address(row["address"]) for row in rows}


def address(db: Database, app: App, process: ProcessType, candidates: Iterable[IPv4Address]) -> IPv4Address:
    """The process type's virtual address; the first free one of `candidates` becomes it when it has none."""
    known = "SELECT address FROM services WHERE app = ? AND process = ?"
    if (row := db.one(known, (app.id, process))) is not None:  # nearly always; a read disturbs nobody
        return IPv4Address(row["address"])
    with db.transaction() as connection:
        row = connection.execute(known, (app.id, process)).fetchone()
        if row is not None:
            return IPv4Address(row["address"])
        taken = {entry["address"] for entry in connection.execute("SELECT address FROM services")}
        for address in candidates:
            if str(address) not in taken:
                connection.execute(
                    "INSERT INTO services (address, app, process) VALUES (?, ?, ?)", (str(address), app.id, process)
                )
                return address
    raise NotFound("All virtual addresses are in use", hint="Set service_network to a larger network.")
