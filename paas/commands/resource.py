"""resource:* — what the processes and builds of an app may have of the machine, and what is kept for them."""

from __future__ import annotations

from collections.abc import Mapping

from paas.apps import disk_limits
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, GLOBAL, KEY, Flag, app_argument
from paas.commands.report import Report, show
from paas.errors import Denied, InvalidInput, UsageError
from paas.names import ProcessType
from paas.output import pairs
from paas.state import people, releases
from paas.state.apps import App

_KEYS = {"limit": ("cpu", "memory", "memory-swap", *disk_limits.KEYS), "reserve": ("cpu", "memory")}
_WORD = {"limit": "limits", "reserve": "reservation"}
_DEFAULT = "_default_"
_BUILD = "build"
_REFUSED = {
    "memory_swap": "swap is limited, but never kept for anybody: resource:limit --memory-swap",
    "nvidia_gpu": "devices of the host are not given to containers",
    "network": "traffic is not limited here",
    "network_ingress": "traffic is not limited here",
    "network_egress": "traffic is not limited here",
}
_FLAGS = (
    Flag("--cpu", "processors: 0.5, 2; clear for none", "NUMBER"),
    Flag("--memory", "64m, 1g; a bare number is megabytes; clear for none", "SIZE"),
    Flag("--memory-swap", "memory and swap together, -1 for any amount; clear for none", "SIZE"),
    Flag("--nvidia-gpu", "refused: containers get no devices", "NUMBER"),
    Flag("--network", "refused: traffic is not limited", "NUMBER"),
    Flag("--network-ingress", "refused likewise", "NUMBER"),
    Flag("--network-egress", "refused likewise", "NUMBER"),
)
_DISK = (
    Flag("--disk", "what each container may write to its own layer: 500m, 2g; clear for the default", "SIZE"),
    Flag("--inodes", "files and directories it may make there; clear for the default", "NUMBER"),
    Flag("--storage", "what all storage that is mounted may have together; clear for any amount", "SIZE"),
)
_DISK_ROWS = frozenset(f"resource:limit-{key}" for key in disk_limits.KEYS)
_TYPE = Flag("--process-type", "only for one process type, or for build", "PROCESS", parse=ProcessType)


@command(
    "resource:limit",
    *_FLAGS,
    *_DISK,
    _TYPE,
    GLOBAL,
    app_argument(optional=True),
    examples=(
        "resource:limit --memory 512 --cpu 1.5 wiki",
        "resource:limit --memory 1g --process-type worker wiki",
        "resource:limit --memory 2g --process-type build wiki",
        "resource:limit --disk 500m --inodes 20000 --storage 5g wiki",
    ),
)
def limit(ctx: Context, **words: object) -> None:
    """Limit what each instance of an app may have; without a limit, show those that are set.

    What runs gets the new limits at once, without a restart; an instance that has more memory in use than it is to have
    is replaced. The limits of one process type hold before those of all.

    An instance that writes more than --disk or --inodes allow is killed and started again with an empty layer, as with
    memory; of process type `run`, one-off commands are meant. An app whose storage has more than --storage is stopped
    until somebody makes room (run APP rm ...) and starts it. Limits of the disk are no part of releases, and only an
    admin gives an app more than holds for all: --global, or what the machine's settings say (app_disk, app_inodes).
    """
    _set(ctx, "limit", words)


@command(
    "resource:reserve",
    *_FLAGS,
    _TYPE,
    GLOBAL,
    app_argument(optional=True),
    examples=("resource:reserve --memory 256 wiki", "resource:reserve --cpu 0.5 --process-type web wiki"),
)
def reserve(ctx: Context, **words: object) -> None:
    """Say what each instance of an app keeps when the machine runs short; without a value, show what is set.

    Memory that is reserved is taken away last; cpu is the instance's weight against others when all are busy.
    """
    _set(ctx, "reserve", words)


@command("resource:limit-clear", _TYPE, GLOBAL, app_argument(optional=True), examples=("resource:limit-clear wiki",))
def limit_clear(ctx: Context, **words: object) -> None:
    """Take the limits of an app away, or of one process type; the machine's default holds again."""
    _clear(ctx, "limit", words)


@command(
    "resource:reserve-clear", _TYPE, GLOBAL, app_argument(optional=True), examples=("resource:reserve-clear wiki",)
)
def reserve_clear(ctx: Context, **words: object) -> None:
    """Take the reservations of an app away, or of one process type."""
    _clear(ctx, "reserve", words)


@command("resource:report", FORMAT, KEY, app_argument(optional=True), examples=("resource:report wiki",), needs="view")
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None) -> None:
    """Show the limits and reservations of an app by process type; _default_ stands for all that have none."""
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    found = [(each.name, _report(ctx, each)) for each in apps]
    if format == "json" or KEY is not None:
        show(ctx, "resource", found, format, KEY)
        return
    for name, values in found:
        ctx.out.result(f"{name} resource information")
        rows = [
            (key.removeprefix("resource-").replace(".", " ").replace("-", " "), value) for key, value in values.items()
        ]
        for line in pairs((key, str(value)) for key, value in rows):
            ctx.out.line(line)


def _report(ctx: Context, app: App) -> Report:
    rows = ctx.platform.properties.set_on(app)
    release = releases.current(ctx.platform.db, app)
    kinds = {row.partition("@")[2] for row in rows if row.startswith("resource:")} - {""}
    kinds |= {str(process.type) for process in release.processes} if release else {"web"}
    found: Report = {}
    for kind in ["", *sorted(kinds)]:
        for verb, word in (("limit", "limit"), ("reserve", "reservation")):
            for key in _KEYS[verb]:
                if key in disk_limits.KEYS and (kind == _BUILD or (kind and key == "storage")):
                    continue
                found[f"resource-{kind or _DEFAULT}.{word}.{key}"] = rows.get(_row(verb, key, kind), "")
    found |= {f"resource-computed.{key}": value for key, value in ctx.platform.disk_limits.in_force(app).items()}
    return found


def _set(ctx: Context, verb: str, words: Mapping[str, object]) -> None:
    app, kind = _whose(ctx, words)
    values: dict[str, str | None] = {}
    for name, value in words.items():
        key = name.replace("_", "-")
        if value is None or name in ("app", "global", "process_type"):
            continue
        if key not in _KEYS[verb]:
            raise InvalidInput(f"--{key} is refused: {_REFUSED[name]}")
        ctx.platform.properties.find("resource", f"{verb}-{key}")
        text = str(value)
        values[key] = None if text in ("clear", "") else text
    title = f"{app.name if app else 'default'}" + (f" ({kind})" if kind else "")
    if not values:
        rows = ctx.platform.properties.set_on(app)
        ctx.out.result(f"resource {_WORD[verb]} {title} information")
        for line in pairs((key, rows.get(_row(verb, key, kind), "")) for key in _KEYS[verb]):
            ctx.out.line(line)
        return
    for key, given in values.items():
        ctx.platform.properties.valid("resource", f"{verb}-{key}", given)
        if key in disk_limits.KEYS:
            _check_disk(ctx, key, given, app, kind)
    ctx.out.result(f"Setting resource {_WORD[verb]} for {title}")
    for line in pairs((key, given or "") for key, given in values.items()):
        ctx.out.line(line)
    _save(ctx, app, {_row(verb, key, kind): given for key, given in values.items()}, f"{verb} {kind}".strip())


def _clear(ctx: Context, verb: str, words: Mapping[str, object]) -> None:
    app, kind = _whose(ctx, words)
    rows = {row for row in ctx.platform.properties.set_on(app) if row.startswith(f"resource:{verb}-")}
    ctx.out.heading(
        f"Clearing resource {_WORD[verb]} for {app.name if app else 'default'}" + (f" ({kind})" if kind else "")
    )
    gone = {row: None for row in rows if row.partition("@")[2] == kind}
    _save(ctx, app, gone, f"{verb} {kind} cleared".replace("  ", " "))


def _check_disk(ctx: Context, key: str, given: str | None, app: App | None, kind: str) -> None:
    if key == "storage" and kind:
        raise InvalidInput("Storage is the app's, not that of a process type", hint="Leave --process-type out.")
    if kind == _BUILD:
        raise InvalidInput("What a build may write is said elsewhere", hint="builder:set APP disk 5g")
    if given is not None and app is not None:
        ctx.platform.disk_limits.refuse_more(key, given, app, kind, ctx.who)


def _save(ctx: Context, app: App | None, rows: Mapping[str, str | None], what: str) -> None:
    if app is None:
        ctx.platform.properties.save_global(rows)
        return
    disk = {row: text for row, text in rows.items() if row.partition("@")[0] in _DISK_ROWS}
    if disk:
        ctx.platform.properties.save(app, disk)
        people.record(ctx.platform.db, ctx.who, app.name, "resource", what)
    others = {row: text for row, text in rows.items() if row not in disk}
    if others:
        ctx.platform.changes.properties(app.name, lambda app: others, f"Resources: {what}", ctx.request())


def _whose(ctx: Context, words: Mapping[str, object]) -> tuple[App | None, str]:
    kind = str(words["process_type"] or "")
    if words["global"]:
        if not ctx.who.admin:
            raise Denied("Only an admin key may change what holds for all apps")
        return None, kind
    if words["app"] is None:
        raise UsageError("<app> is missing", hint="Name an app, or --global.")
    return ctx.app(str(words["app"])), kind


def _row(verb: str, key: str, kind: str) -> str:
    return f"resource:{verb}-{key}" + (f"@{kind}" if kind else "")
