"""The catalog that all command modules fill."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from paas.commands.declare import Catalog

CATALOG = Catalog()
command = CATALOG.command


def filled() -> Catalog:
    """With the commands of all modules beside this one."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)], "paas.commands."):
        importlib.import_module(module.name)
    return CATALOG
