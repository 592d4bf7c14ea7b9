"""The steps of `paas uninstall`."""

from __future__ import annotations

from pathlib import Path

from paas.errors import Conflict
from paas.paths import Paths
from paas.settings import Settings
from paas.setup.host import COMMAND, CURRENT, MODULES, OPT, SETTINGS, SYSCTL, UNIT, Host
from paas.setup.install import PACKAGES
from paas.setup.steps import Step
from paas.system import mounts
from paas.system.files import remove_tree

KEPT = f"Debian's packages stay: {' '.join(PACKAGES)}"


def steps(host: Host, settings: Settings, *, purge: bool) -> list[Step]:
    """`purge` removes all data of all apps as well. Raises Conflict for a data directory that is not ours alone."""
    paths = Paths(settings.data_dir, settings.run_dir)
    plan = [
        Step(
            "Stop the engine and let no boot start it",
            lambda: not host.is_there(UNIT),
            lambda: _stop(host),
            ("systemctl disable --now paas",),
        ),
        Step(
            "End what runs: containers, nginx, network, mounts",
            lambda: not host.is_there(str(settings.run_dir)),
            lambda: _tear_down(host),
            ("paas teardown",),
        ),
        _removing(host, SYSCTL, "the kernel settings, in force until the next boot"),
        _removing(host, MODULES, "the list of kernel modules"),
        _removing(host, COMMAND, "the command"),
    ]
    if purge:
        _refuse_strange(host, paths)
        plan += [
            _removing(host, str(settings.data_dir), "ALL DATA of all apps: releases, images, volumes, logs, keys"),
            _removing(host, str(Path(SETTINGS).parent), "the settings"),
            Step(
                f"Remove the account {settings.user}",
                lambda: f"\n{settings.user}:" not in "\n" + (host.text("/etc/passwd") or ""),
                lambda: _remove_account(host, settings.user),
            ),
        ]
    return [*plan, _removing(host, OPT, "all installed versions")]


def _stop(host: Host) -> None:
    host.run(["systemctl", "disable", "--now", "--quiet", "paas"], timeout=120)
    remove_tree(host.path(UNIT))
    host.run(["systemctl", "daemon-reload"])


def _tear_down(host: Host) -> None:
    host.run([f"{CURRENT}/bin/paas", "teardown"], timeout=600)


def _removing(host: Host, name: str, what: str) -> Step:
    path = host.path(name)
    return Step(f"Remove {what} ({name})", lambda: _is_gone(path), lambda: _remove(path))


def _is_gone(path: Path) -> bool:
    """A disk that is mounted there stays, empty."""
    if path.is_dir() and mounts.is_mount_point(path):
        return not any(path.iterdir())
    return not path.exists() and not path.is_symlink()


def _remove(path: Path) -> None:
    """Raises Conflict where something is mounted in there: it would be emptied as well."""
    points = mounts.mount_points(path)
    if inside := [point for point in points if point != path]:
        raise Conflict(f"{inside[0]} is a mount", hint=f"Unmount it first: umount {inside[0]}")
    for each in list(path.iterdir()) if points else [path]:
        remove_tree(each)


def _remove_account(host: Host, user: str) -> None:
    host.run(["userdel", user])


def _refuse_strange(host: Host, paths: Paths) -> None:
    """A setting that is wrong must not remove a home or a disk."""
    data = host.path(paths.data)
    if not _is_gone(data) and (not host.path(paths.database).exists() or len(paths.data.parts) < 3):
        raise Conflict(
            f"{paths.data} is not a data directory of paas: it has no paas.db",
            hint="Look at data_dir in /etc/paas/settings.yml, or remove it by hand.",
        )
