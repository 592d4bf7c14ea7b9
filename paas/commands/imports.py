"""import:dokku — apps of a Dokku host."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from paas.apps.dokku import DokkuApp, DokkuHost
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag
from paas.errors import InvalidInput, NotFound, PaasError, UsageError
from paas.names import shown
from paas.state import people


@command(
    "import:dokku",
    Flag("--app", "only this app", "APP", many=True),
    Flag("--deploy", "build and start each app from its repository"),
    Flag("--dry-run", "only show what would be taken over"),
    Argument("path"),
    admin=True,
    page="import",
    examples=(
        "import:dokku / --dry-run",
        "import:dokku --deploy --app wiki /mnt/old-server",
        "import:dokku - < dokku.tar.gz",
    ),
)
def import_dokku(ctx: Context, path: str, app: list[str], deploy: bool, dry_run: bool) -> int:
    """Take over the apps of a Dokku host, from a directory that its files lie in, or with - from a tar of them.

    What is read is home/dokku and var/lib/dokku/config: apps, repositories, config vars, domains, certificates, scale,
    ports, mounts, build options, properties; global config vars and domains; SSH keys. Nothing there is changed. An app
    whose name is taken here is skipped. What cannot be taken over is named. Data in mounted directories stays where it
    is: copy it to the same place on this host first.

    Make the tar on the old server: tar -czf dokku.tar.gz -C / home/dokku var/lib/dokku/config
    """
    importing = ctx.platform.dokku_import
    failed = []
    with _host(ctx, path) as host:
        names = _chosen(host, app)
        if not app and not dry_run:
            importing.everywhere(host, ctx.request())
        for name in names:
            found = host.app(name)
            if dry_run:
                _show(ctx, found)
                continue
            try:
                _take_over(ctx, host, found, deploy)
            except PaasError as error:
                failed.append(name)
                ctx.out.warn(f"{name}: {error.message}")
    if failed:
        ctx.out.warn(f"Not imported, or not deployed: {', '.join(failed)}")
    return 1 if failed else 0


def _take_over(ctx: Context, host: DokkuHost, found: DokkuApp, deploy: bool) -> None:
    importing = ctx.platform.dokku_import
    ctx.out.heading(f"Importing {found.name}")
    app, source = importing.app(host, found, ctx.request())
    people.record(ctx.platform.db, ctx.who, app.name, "import:dokku")
    if deploy and source is not None:
        importing.deploy(app, source, ctx.request())
    elif deploy:
        ctx.out.warn(f"{app.name} has no commit to deploy; push to it")


def _chosen(host: DokkuHost, wanted: list[str]) -> list[str]:
    names = host.app_names()
    for name in wanted:
        if name not in names:
            raise NotFound(f"There is no app {shown(name)} there", hint=f"There are: {', '.join(names) or 'none'}")
    return wanted or names


@contextlib.contextmanager
def _host(ctx: Context, path: str) -> Iterator[DokkuHost]:
    if path == "-":
        if ctx.tty:
            raise UsageError("The tar is read from the input", hint="import:dokku - < dokku.tar.gz")
        with os.fdopen(os.dup(ctx.stdin), "rb") as stream, ctx.platform.dokku_import.host(stream) as host:
            yield host
        return
    if ctx.directory is None:
        raise InvalidInput(
            f"{shown(path)} can be read only on the host itself", hint="Over ssh: import:dokku - < dokku.tar.gz"
        )
    try:
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=ctx.directory)
    except OSError as error:
        raise InvalidInput(f"{shown(path)} cannot be read: {error.strerror}") from None
    try:
        with ctx.platform.dokku_import.host(root) as host:
            yield host
    finally:
        os.close(root)


def _show(ctx: Context, found: DokkuApp) -> None:
    domains = "below the global domains" if found.domains is None else " ".join(found.domains) or "none"
    ctx.out.result(found.name)
    for what, text in (
        ("repository", "yes" if found.has_repository else "no"),
        ("config vars", " ".join(sorted(found.config)) or "none"),
        ("domains", domains),
        ("certificate", "yes" if found.certificate else "no"),
        ("scale", " ".join(f"{kind}={count}" for kind, count in found.scale.items()) or "as by default"),
        ("ports", " ".join(found.ports) or "as by default"),
        ("mounts", " ".join(found.mounts) or "none"),
    ):
        ctx.out.detail(f"{what}: {text}")
    for note in found.notes:
        ctx.out.warn(f"{found.name}: {note}")
