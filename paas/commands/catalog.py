"""The catalog that all command modules fill."""

from __future__ import annotations

from paas.commands.declare import Catalog

CATALOG = Catalog()
command = CATALOG.command
