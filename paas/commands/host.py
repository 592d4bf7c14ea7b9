"""setup, upgrade, uninstall: they are about the host itself, and run on it without an engine (paas.setup)."""

from __future__ import annotations

from typing import NoReturn

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.errors import Conflict


def _only_there(name: str) -> NoReturn:
    raise Conflict(f"{name} changes the server itself", hint=f"There, as root: paas {name} --help")


@command("setup", needs="anyone", page="server", examples=("setup",))
def setup(ctx: Context) -> None:
    """Install paas on a Debian server as a service. On the server itself, as root.

    It looks for what would stand in the way (ports that are taken, a kernel that is too old, Docker's firewall), prints
    what it would do, and does it when told to. Run again it does what is missing. `paas setup --help` tells its flags.
    """
    _only_there("setup")


@command("upgrade", needs="anyone", page="server", examples=("upgrade",))
def upgrade(ctx: Context) -> None:
    """Change to another version while apps go on serving, and back when it does not do. On the server itself, as root.

    The new version is installed beside the old one and the database is backed up. When the engine does not answer after
    the switch, or an app that served before does not, the old version comes back, with the backup where the schema had
    changed. A version that knows less of the database than was used is refused.
    """
    _only_there("upgrade")


@command("uninstall", needs="anyone", page="server", examples=("uninstall",))
def uninstall(ctx: Context) -> None:
    """Stop everything and remove paas from the server. On the server itself, as root.

    The data of apps and the settings stay, unless --purge is given.
    """
    _only_there("uninstall")
