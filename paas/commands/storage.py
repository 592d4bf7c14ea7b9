"""storage:* — directories that outlive containers."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from paas.apps import storage as kinds
from paas.commands.attaching import converse, ended
from paas.commands.catalog import CATALOG, command
from paas.commands.context import Context
from paas.commands.declare import FORCE, FORMAT, KEY, Argument, Flag, app_argument
from paas.commands.report import Report, show
from paas.errors import Denied, InvalidInput, UsageError
from paas.model import PHASES, Mount
from paas.names import ProcessType, shown
from paas.output import pairs, to_json
from paas.runtime import mounting
from paas.state import people
from paas.state.apps import App
from paas.state.storage import Entry

_WHAT = Argument("source:target-or-name")
_DIRECTORY = Flag("--container-dir", "where a named entry is mounted", "PATH", parse=mounting.target)
_PLACE = "/data"
"""Where storage:exec has the directory."""
CATALOG.absent |= {
    "storage:migrate": "Nothing has to be migrated: mounts without an entry go on as they are.",
    **dict.fromkeys(
        ("storage:wait", "storage:annotations", "storage:labels"),
        "These are for volumes of clusters; a directory of this machine is there at once.",
    ),
}
_OWNER = Flag("--chown", "whose it becomes: heroku, herokuish, paketo, root, false or a user id", "WHO")


@command(
    "storage:mount",
    _DIRECTORY,
    Flag("--phase", "deploy, run or both with a comma (default: both)", "PHASES", parse=kinds.phases),
    Flag("--process-type", "only in instances of this type; may be given again", "PROCESS", ProcessType, many=True),
    Flag("--volume-subpath", "a directory in the entry instead of all of it", "PATH"),
    Flag("--volume-readonly", "let containers read it only"),
    Flag("--volume-chown", "whose it becomes: heroku, herokuish, paketo, root, false or a user id", "WHO"),
    Flag("--volume-options", "ro, rw, z or Z with commas; z and Z mean nothing here", "OPTIONS"),
    app_argument(),
    _WHAT,
    examples=(
        "storage:mount wiki wiki-pages:/var/lib/dokuwiki/data",
        "storage:mount wiki /srv/photos:/photos:ro",
        "storage:mount wiki pages --container-dir /data --process-type web --process-type worker",
    ),
)
def mount(ctx: Context, app: str, **words: object) -> None:
    """Mount a directory into the containers of an app.

    A plain name is a directory that paas keeps and makes when needed; a path is a directory of the host (admin keys).
    A name without `:` is an entry made by storage:create. Instances are replaced by such that have it.
    """
    storage, what = ctx.platform.storage, str(words["source:target_or_name"])
    found = ctx.app(app)
    target = words["container_dir"]
    if ":" in what:
        if target:
            raise UsageError("--container-dir is for entries", hint="SOURCE:TARGET says both.")
        entry = storage.parse(what, ctx.who)
    else:
        if not target:
            raise UsageError(
                "--container-dir is missing", hint=f"storage:mount {found.name} {what} --container-dir /data"
            )
        known = storage.entry(what)
        entry = Mount(known.path, str(target), entry=known.name)
        storage.refuse_foreign(entry, ctx.who)
    options = set(str(words["volume_options"] or "").split(",")) - {"", "rw", "z", "Z"}
    if options - {"ro"}:
        raise InvalidInput(f"{shown(sorted(options)[0])} is not a volume option", hint="Known: ro, rw, z, Z")
    entry = replace(
        entry,
        read_only=entry.read_only or bool(words["volume_readonly"]) or "ro" in options,
        processes=tuple(dict.fromkeys(words["process_type"])),  # type: ignore[call-overload]
        phases=words["phase"] or PHASES,  # type: ignore[arg-type]
        subpath=_subpath(words["volume_subpath"]) or entry.subpath,
    )
    if words["volume_chown"]:
        storage.prepare(entry)
        storage.give(entry.source, kinds.owner(str(words["volume_chown"])))
    why = f"Mount {entry}"
    ctx.platform.changes.mounts(found.name, lambda app: storage.with_added(app, entry), why, ctx.request())
    ctx.out.heading(f"Mounted {entry}")


@command(
    "storage:unmount",
    _DIRECTORY,
    app_argument(),
    _WHAT,
    examples=("storage:unmount wiki wiki-pages:/var/lib/dokuwiki/data", "storage:unmount wiki pages"),
)
def unmount(ctx: Context, app: str, container_dir: str | None, **words: str) -> None:
    """Stop mounting a directory, or an entry, into an app. The directory itself stays."""
    storage, what = ctx.platform.storage, words["source:target_or_name"]
    why = f"Unmount {what}"
    if ":" in what:
        entry = mounting.volume(what, ctx.platform.paths.storage)
        ctx.platform.changes.mounts(app, lambda found: storage.without(found, entry), why, ctx.request())
    else:
        ctx.platform.changes.mounts(
            app, lambda found: storage.without_entry(found, what, container_dir), why, ctx.request()
        )
    ctx.out.heading(f"Unmounted {what}")


@command("storage:list", FORMAT, app_argument(), needs="view", examples=("storage:list wiki",))
def list_mounts(ctx: Context, app: str, format: str | None) -> None:
    """List the directories mounted into an app."""
    found = ctx.app(app)
    mounts = ctx.platform.storage.of(found)
    if format == "json":
        ctx.out.line(to_json([_mount(entry) for entry in mounts]))
        return
    ctx.out.heading(f"{found.name} volume bind-mounts:")
    for entry in mounts:
        ctx.out.detail(str(entry) + _where(entry))


@command("storage:report", FORMAT, KEY, app_argument(optional=True), needs="view", examples=("storage:report wiki",))
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None) -> None:
    """Show what is mounted into the instances and the one-off containers of an app, or of all."""
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    show(ctx, "storage", [(each.name, _report(ctx, each)) for each in apps], format, KEY)


def _report(ctx: Context, app: App) -> Report:
    mounts = ctx.platform.storage.of(app)
    return {
        f"storage-{phase}-mounts": " ".join(f"-v {mount}" for mount in mounts if phase in mount.phases)
        for phase in PHASES
    }


@command(
    "storage:ensure-directory",
    _OWNER,
    Argument("directory"),
    examples=("storage:ensure-directory wiki-pages", "storage:ensure-directory --chown 33 wiki-pages"),
)
def ensure(ctx: Context, directory: str, chown: str | None) -> None:
    """Make a directory that paas keeps, unless it is there; with --chown, somebody's with all that is in it."""
    path = ctx.platform.storage.ensure(directory, kinds.owner(chown or "false"), ctx.who)
    people.record(ctx.platform.db, ctx.who, "", "storage:ensure-directory", path.name)
    ctx.out.heading(f"Ensured {path}")
    ctx.out.detail(f"storage:mount <app> {path.name}:/data mounts it")


@command(
    "storage:create",
    _OWNER,
    Argument("name"),
    Argument("path", optional=True),
    examples=("storage:create pages", "storage:create --chown herokuish uploads", "storage:create photos /srv/photos"),
)
def create(ctx: Context, name: str, path: str | None, chown: str | None) -> None:
    """Give a directory a name: one that paas keeps or, for admin keys, one of the host at a path."""
    made = ctx.platform.storage.create(name, path, kinds.owner(chown or "false"), ctx.who)
    people.record(ctx.platform.db, ctx.who, "", "storage:create", made.name)
    ctx.out.heading(f"Created {made.name}: {made.path}")


@command(
    "storage:exec",
    Flag("--app", "whose image it is run in (default: an app that mounts it)", "APP"),
    Argument("name"),
    Argument("command", rest=True),
    effect="acts",
    examples=("storage:exec pages ls -l", "storage:exec --app wiki pages sh"),
)
def execute(ctx: Context, name: str, command: list[str], app: str | None) -> int:
    """Run a command in an entry's directory: in a container of its own, of an app's image, gone when it ends."""
    storage = ctx.platform.storage
    entry = Mount(storage.entry(name).path, _PLACE, entry=name)
    storage.refuse_foreign(entry, ctx.who)
    users = storage.users(storage.entry(name))
    if app is None and not users:
        raise UsageError(f"No app mounts {name}", hint=f"Say in which app's image: storage:exec --app APP {name} ...")
    found = ctx.app(app or users[0][0])
    with ExitStack() as undo:
        stdio = None if ctx.tty else (ctx.stdin, ctx.stdout, ctx.stderr)
        id = ctx.platform.oneoff.prepare(
            found, command, {}, undo, ctx.who, terminal=ctx.tty, stdio=stdio, beside=(entry,)
        )
        if ctx.tty:
            return converse(ctx, id)
        ctx.platform.oneoff.runtime.start(id)
        return ended(ctx, id)


@command(
    "storage:destroy",
    Flag("--destroy-host-dir", "remove the directory and all that is in it (admin keys)"),
    FORCE,
    Argument("name"),
    examples=("storage:destroy pages", "storage:destroy --destroy-host-dir pages"),
)
def destroy(ctx: Context, name: str, destroy_host_dir: bool, force: bool) -> None:
    """Forget a storage entry that no app mounts. Its directory stays, unless it is to go as well."""
    found = ctx.platform.storage.entry(name)
    if destroy_host_dir:
        if not ctx.who.admin:
            raise Denied("Only an admin key may remove stored files", hint="Without --destroy-host-dir they stay.")
        ctx.confirm(name, f"This removes {found.path} and all that is in it.", force)
    volumes = ctx.platform.containers.parts.volumes
    ctx.platform.storage.destroy(name, volumes.remove if destroy_host_dir else None)
    people.record(ctx.platform.db, ctx.who, "", "storage:destroy", name)
    ctx.out.heading(f"Destroyed {name}" + ("" if destroy_host_dir else f"; {found.path} stays"))


@command("storage:set", _OWNER, Argument("name"), examples=("storage:set --chown 1000 pages",))
def change(ctx: Context, name: str, chown: str | None) -> None:
    """Change an entry: whose its directory is."""
    if chown is None:
        raise UsageError("Nothing is to be changed", hint="storage:set --chown WHO <name>")
    ctx.platform.storage.set_owner(name, kinds.owner(chown), ctx.who)
    people.record(ctx.platform.db, ctx.who, "", "storage:set", name)
    ctx.out.heading(f"Set the owner of {name} to {chown}")


@command("storage:info", FORMAT, Argument("name"), needs="view", examples=("storage:info pages",))
def info(ctx: Context, name: str, format: str | None) -> None:
    """Show where an entry lies and which apps mount it."""
    found = ctx.platform.storage.entry(name)
    if format == "json":
        ctx.out.line(to_json(_entry(ctx, found)))
        return
    ctx.out.result(f"{name} storage information")
    users = ", ".join(f"{app}:{target}" for app, target in ctx.platform.storage.users(found))
    rows = [("path", str(found.path)), ("chown", _whose(found)), ("created", found.created), ("mounted in", users)]
    for line in pairs(rows):
        ctx.out.line(line)


@command("storage:list-entries", FORMAT, needs="view", examples=("storage:list-entries",))
def list_entries(ctx: Context, format: str | None) -> None:
    """List the storage entries."""
    found = ctx.platform.storage.entries()
    if format == "json":
        ctx.out.line(to_json([_entry(ctx, entry) for entry in found]))
        return
    ctx.out.result("Storage entries")
    rows = [(entry.name, str(entry.path), str(len(ctx.platform.storage.users(entry)))) for entry in found]
    ctx.out.table(("name", "path", "mounts"), rows)


def _entry(ctx: Context, found: Entry) -> dict[str, object]:
    return {
        "name": found.name,
        "path": str(found.path),
        "scheduler": "docker-local",
        "chown": _whose(found),
        "created": found.created,
        "mounts": [{"app": app, "container_path": target} for app, target in ctx.platform.storage.users(found)],
    }


def _whose(found: Entry) -> str:
    return "" if found.owner is None else str(found.owner)


def _mount(entry: Mount) -> dict[str, object]:
    """Dokku's keys, and those that say more."""
    source = str(entry).rpartition(f":{entry.target}")[0]
    return {
        "host_path": source,
        "container_path": entry.target,
        "volume_options": "ro" if entry.read_only else "",
        "source": source,
        "target": entry.target,
        "read_only": entry.read_only,
        "process_types": list(entry.processes),
        "phases": list(entry.phases),
        "entry": entry.entry,
    }


def _where(entry: Mount) -> str:
    words = [*entry.processes, *(["only in " + ", ".join(entry.phases)] if entry.phases != PHASES else [])]
    return f" ({', '.join(words)})" if words else ""


def _subpath(value: object) -> str:
    if not value:
        return ""
    text = str(value).strip("/")
    if not text or any(part in ("", ".", "..") for part in text.split("/")) or not text.isprintable():
        raise InvalidInput(f"{shown(str(value))} is not a path in a directory", hint="Example: uploads/2026")
    return text
