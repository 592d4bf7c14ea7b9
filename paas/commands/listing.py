"""ps and port — which containers there are, those of apps among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag
from paas.commands.filters import filter_flag, has_label, passed
from paas.commands.formats import FORMAT, Format, Row, show
from paas.containers import describe, lookup, model
from paas.containers.lookup import Found
from paas.containers.volumes import Volumes
from paas.errors import Conflict, InvalidInput, NotFound
from paas.model import Image, InstanceState, Mount
from paas.names import shown
from paas.output import ago
from paas.state import apps, releases
from paas.state.containers import ALIVE, HOLDING

_HEADINGS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "CreatedAt": "CREATED AT",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Labels": "LABELS",
    "Label": "LABEL",
    "Mounts": "MOUNTS",
    "Networks": "NETWORKS",
}
_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_STATES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")


@command(
    "ps",
    Flag("--all", "also those that have ended", short="-a"),
    Flag("--quiet", "ids alone", short="-q"),
    Flag("--no-trunc", "ids and commands as long as they are"),
    filter_flag(("ancestor", "exited", "health", "id", "label", "name", "status", "volume")),
    FORMAT,
    needs="view",
    examples=("ps", "ps -a", "ps -aq", "ps -f status=exited --format '{{.Names}} {{.Status}}'"),
    aliases=("container:ls",),
)
def ps(
    ctx: Context, all: bool, quiet: bool, no_trunc: bool, filter: list[tuple[str, str]], format: Format | None
) -> None:
    """List the containers that run. Those of apps are called by app and process, such as wiki.web.1.

    A filter by status shows those that have ended too. `--filter ancestor=IMAGE` are those of an image, or of one that
    was built upon it.
    """
    every = all or any(key in ("status", "exited") for key, _ in filter)
    found = [each for each in lookup.every(ctx.platform.db) if every or each.row is None or each.row.state in HOLDING]
    labels_of = cache(lambda image: ctx.platform.images.image(image).config.labels)
    described = passed([(each, _described(ctx, each, labels_of)) for each in found], filter, _tests(ctx))
    if quiet and format is None:
        for each, _ in described:
            ctx.out.line(each.id if no_trunc else each.id[:12])
        return
    volumes = ctx.platform.containers.parts.volumes
    rows = [_row(volumes, each, it, no_trunc) for each, it in described]
    show(ctx, format, _HEADINGS, _COLUMNS, rows, lambda: [_public(it) for _, it in described])


_Described = dict[str, object]
_Both = tuple[Found, _Described]
_HIDDEN = ("labels", "mounts", "network", "exit_code", "image_id")


def _public(it: _Described) -> _Described:
    return {key: value for key, value in it.items() if key not in _HIDDEN}


def _row(volumes: Volumes, each: Found, it: _Described, no_trunc: bool) -> Row:
    words, labels, mounts = it["command"], it["labels"], it["mounts"]
    assert isinstance(words, list) and isinstance(labels, Mapping) and isinstance(mounts, Sequence)
    return {
        "ID": each.id if no_trunc else each.id[:12],
        "Image": it["image"],
        "Command": describe.command(words, 1 << 20 if no_trunc else 20),
        "RunningFor": ago(str(it["created"])),
        "CreatedAt": it["created"],
        "Status": it["status"],
        "State": it["state"],
        "Ports": it["ports"],
        "Names": each.name,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "Label": lambda key: labels.get(key, ""),
        "Mounts": ",".join(volumes.called(mount) for mount in mounts),
        "Networks": it["network"],
    }


def _tests(ctx: Context) -> Mapping[str, Callable[[_Both, str], bool]]:
    store, volumes = ctx.platform.images, ctx.platform.containers.parts.volumes

    def ancestor(both: _Both, name: str) -> bool:
        wanted = store.find(name)
        mine: Image = store.image(str(both[1]["image_id"]))
        return mine.id == wanted.id or mine.layers[: len(wanted.layers)] == wanted.layers != ()

    def status(both: _Both, text: str) -> bool:
        if text not in _STATES:
            raise InvalidInput(f"{shown(text)} is not a status", hint=f"Known: {', '.join(_STATES)}")
        return both[1]["state"] == text

    def exited(both: _Both, text: str) -> bool:
        if not (text.isascii() and text.isdigit()):
            raise InvalidInput(f"{shown(text)} is not an exit status")
        return both[1]["state"] == "exited" and str(both[1]["exit_code"] or 0) == str(int(text))

    def name(both: _Both, text: str) -> bool:
        begin, end = text.startswith(("^", "/", "^/")), text.endswith("$")
        word = text.removeprefix("^").removeprefix("/").removesuffix("$")
        mine = both[0].name
        return word in mine and (not begin or mine.startswith(word)) and (not end or mine.endswith(word))

    def volume(both: _Both, text: str) -> bool:
        mounts = both[1]["mounts"]
        assert isinstance(mounts, Sequence)
        return any(text in (volumes.called(each), str(each.source), each.target) for each in mounts)

    return {
        "ancestor": ancestor,
        "exited": exited,
        "health": lambda both, text: (both[1]["health"] or "none") == text,
        "id": lambda both, text: both[0].id.startswith(text),
        "label": lambda both, text: has_label(dict(both[1]["labels"]), text),  # type: ignore[call-overload]
        "name": name,
        "status": status,
        "volume": volume,
    }


def _described(ctx: Context, each: Found, labels_of: Callable[[str], Mapping[str, str]]) -> _Described:
    """What is shown, and what filters need to know."""
    try:
        words = list(ctx.platform.runtime.spec(each.id).get("args") or ())
    except NotFound:  # about to be made, or just removed
        words = []
    common: _Described = {"id": each.id, "name": each.name, "command": words}
    if each.row is not None:
        row = each.row
        options = model.loads(row.options)
        return common | {
            "image": row.reference,
            "image_id": row.image,
            "created": row.created,
            "state": str(row.state),
            "status": describe.status(row),
            "health": row.health,
            "ports": describe.ports(row.ports) if row.state in ALIVE else "",
            "app": None,
            "labels": {**labels_of(row.image), **options.labels},
            "mounts": options.mounts,
            "network": options.network,
            "exit_code": row.exit_code,
        }
    assert each.instance is not None
    db, instance = ctx.platform.db, each.instance.instance
    release = releases.get(db, apps.by_id(db, each.instance.app_id), instance.release)
    forwarded = [port for port in release.ports if port.scheme in ("tcp", "udp") and instance.process == "web"]
    mounts: tuple[Mount, ...] = release.mounts
    return common | {
        "image": release.image_id.removeprefix("sha256:")[:12],
        "image_id": release.image_id,
        "created": each.instance.started,
        "state": _state(instance.state),
        "status": describe.instance_status(each.instance),
        "health": "",
        "ports": describe.ports(forwarded),
        "app": instance.app,
        "labels": {"app": str(instance.app), "process": str(instance.process), "release": str(instance.release)},
        "mounts": mounts,
        "network": "own",
        "exit_code": None,
    }


def _state(state: InstanceState) -> str:
    """In Docker's words."""
    return {InstanceState.CRASHED: "restarting", InstanceState.ENDED: "exited"}.get(state, "running")


@command(
    "port",
    Argument("container"),
    Argument("port", optional=True),
    page="containers",
    needs="view",
    examples=("port shop-db", "port shop-db 5432", "port shop-db 53/udp"),
)
def port(ctx: Context, container: str, port: str | None) -> None:
    """Show which ports of the host lead to a container, or to one port of it."""
    row = lookup.own(ctx.platform.db, container, "port")
    maps = row.ports if row.state in ALIVE else ()
    if port is None:
        for each in maps:
            ctx.out.line(f"{each.container}/{each.scheme} -> {describe.host_end(each)}")
        return
    number, _, protocol = port.partition("/")
    if not (number.isascii() and number.isdigit()) or protocol not in ("", "tcp", "udp"):
        raise InvalidInput(f"{shown(port)} is not a port of a container", hint="Examples: 80, 53/udp")
    asked = [each for each in maps if (each.container, each.scheme) == (int(number), protocol or "tcp")]
    if not asked:
        raise Conflict(f"No port of the host leads to port {port} of {row.name}", hint=f"port {row.name} shows all.")
    for each in asked:
        ctx.out.line(describe.host_end(each))
