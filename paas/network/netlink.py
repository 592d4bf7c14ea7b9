"""pyroute2's route netlink, and no more of the package.

Its `__init__` imports everything it has, databases and firewalls too: 5 MB that stay for as long as the engine runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType


def _without_the_rest(name: str) -> ModuleType:
    """A module of pyroute2, its package made but not run; should that not do, with all of the package."""
    spec = importlib.util.find_spec("pyroute2")
    if spec is None or "pyroute2" in sys.modules:
        return importlib.import_module(name)
    sys.modules["pyroute2"] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(name)
    except (ImportError, AttributeError):
        for loaded in [module for module in sys.modules if module.partition(".")[0] == "pyroute2"]:
            del sys.modules[loaded]
        return importlib.import_module(name)


IPRoute = _without_the_rest("pyroute2.iproute").IPRoute
NetlinkError = importlib.import_module("pyroute2.netlink.exceptions").NetlinkError
