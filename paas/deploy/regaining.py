"""What a rollback may bring back: nothing that was taken from the app since and is not the asker's to give."""

from __future__ import annotations

import json

from paas.apps.access import Access, Role
from paas.apps.claims import Claims
from paas.apps.container_settings import ContainerOptions
from paas.apps.properties import Properties
from paas.apps.storage import Storage
from paas.errors import Denied
from paas.model import AppSettings, Who
from paas.state.apps import App
from paas.state.database import Database
from paas.state.networks import ATTACHMENTS


class Regaining:
    def __init__(
        self, db: Database, properties: Properties, claims: Claims, storage: Storage, options: ContainerOptions
    ) -> None:
        self._db = db
        self._properties = properties
        self._claims = claims
        self._storage = storage
        self._options = options

    def check(self, app: App, old: AppSettings, who: Who) -> None:
        """Raises Denied for hostnames, ports, directories, options and networks of a release that the app has no more,
        as the commands do that would give them."""
        if who.admin:
            return
        self._claims.check_hostnames(app, old.domains or (), who)
        self._claims.check_ports(app, old.ports, who)
        present = self._storage.of(app)
        for mount in old.mounts:
            if mount not in present:
                self._storage.refuse_foreign(mount, who)
        now = self._properties.set_on(app)
        for row, text in old.properties.items():
            if text != now.get(row):
                self._check_property(row, text, now.get(row), who)

    def _check_property(self, row: str, text: str, now: str | None, who: Who) -> None:
        if row in ATTACHMENTS and not Access(self._db).of(who).everywhere_at_least(Role.DEPLOY):
            raise Denied(
                f"Access denied: the release was on the networks {text}, and the app is not any more",
                hint="Ask an admin to roll back, or to attach it again.",
            )
        noun, _, key = row.partition("@")[0].partition(":")
        if noun == "docker-options":
            for option in set(json.loads(text)) - set(json.loads(now or "[]")):
                self._options.check(option, who, key)
