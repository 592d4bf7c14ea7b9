"""network:* — which apps reach each other."""

from __future__ import annotations

from paas.apps.access import Role
from paas.apps.container_settings import declared
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, app_argument
from paas.commands.properties import define
from paas.commands.report import Report
from paas.errors import Conflict, NotFound
from paas.names import nearest, shown
from paas.output import pairs, to_json
from paas.runtime import flags
from paas.settings import Settings
from paas.state import networks, people, releases
from paas.state.apps import App
from paas.state.networks import ATTACHMENTS, NamedNetwork

_NAME = Argument("network", parse=flags.network_name)


def _listeners(ctx: Context, app: App) -> Report:
    rows = [row.instance for row in releases.instances(ctx.platform.db, app)]
    found: dict[str, list[str]] = {}
    for instance in rows:
        if instance.state == "running":
            found.setdefault(instance.process, []).append(
                f"{instance.address}:{instance.port}" if instance.port else str(instance.address)
            )
    return {f"network-{process}-listeners": " ".join(places) for process, places in found.items()}


def _check(ctx: Context, key: str, value: str) -> None:
    if f"network:{key}" in ATTACHMENTS:
        if not ctx.grants.everywhere_at_least(Role.DEPLOY):  # it opens the way to apps of others
            raise ctx.grants.denied(f"network:set {key}", Role.DEPLOY, None)
        for word in value.replace(",", " ").split():
            _find(ctx, flags.network_name(word))


define(
    "network",
    "the networks of an app",
    {item.key: item.help for item in declared(Settings()) if item.noun == "network"},
    ("network:set wiki attach-post-create backend", "network:set wiki attach-post-create"),
    of_app=_listeners,
    check=_check,
)


@command("network:create", _NAME, examples=("network:create backend",))
def create(ctx: Context, network: str) -> None:
    """Make a network. Apps on it reach each other's processes as APP.PROCESS (or PROCESS.APP), on all ports.

    Apps are walled off from each other otherwise. Put them on it with network:set <app> attach-post-create <network>.
    """
    networks.insert(ctx.platform.db, network)
    people.record(ctx.platform.db, ctx.who, "", "network:create", network)
    ctx.out.heading(f"Created network {network}")


@command("network:destroy", _NAME, examples=("network:destroy backend",))
def destroy(ctx: Context, network: str) -> None:
    """Remove a network that no app is on."""
    _find(ctx, network)
    if apps := _apps(ctx, network):
        raise Conflict(
            f"Network {network} has {', '.join(apps)} on it", hint=f"network:set {apps[0]} attach-post-create"
        )
    networks.delete(ctx.platform.db, network)
    people.record(ctx.platform.db, ctx.who, "", "network:destroy", network)
    ctx.out.heading(f"Destroyed network {network}")


@command("network:exists", _NAME, examples=("network:exists backend",), needs="view")
def exists(ctx: Context, network: str) -> None:
    """Tell by the exit status whether there is a network."""
    _find(ctx, network)
    ctx.out.heading(f"Network {network} exists")


@command("network:list", FORMAT, examples=("network:list",), needs="view")
def list_networks(ctx: Context, format: str | None) -> None:
    """List the networks."""
    found = networks.every(ctx.platform.db)
    if format == "json":
        ctx.out.line(to_json([_about(ctx, each) for each in found]))
        return
    ctx.out.result("Networks")
    for each in found:
        ctx.out.line(each.name)


@command("network:info", FORMAT, _NAME, examples=("network:info backend",), needs="view")
def info(ctx: Context, network: str, format: str | None) -> None:
    """Show which apps are on a network."""
    about = _about(ctx, _find(ctx, network))
    if format == "json":
        ctx.out.line(to_json(about))
        return
    ctx.out.result(f"{network} network information")
    apps = ", ".join(_apps(ctx, network))
    for line in pairs([("created", str(about["created"])), ("apps", apps)]):
        ctx.out.line(line)


@command("network:rebuild", app_argument(), examples=("network:rebuild wiki",))
def rebuild(ctx: Context, app: str) -> None:
    """Make sure that an app is reached as it should be. This happens by itself at each change."""
    found = ctx.app(app)
    ctx.platform.linked.publish()
    ctx.out.heading(f"Rebuilt the network of {found.name}")


@command("network:rebuildall", examples=("network:rebuildall",))
def rebuild_all(ctx: Context) -> None:
    """The same for all apps."""
    ctx.platform.linked.publish()
    ctx.out.heading("Rebuilt the networks of all apps")


def _find(ctx: Context, name: str) -> NamedNetwork:
    known = networks.every(ctx.platform.db)
    found = next((each for each in known if each.name == name), None)
    if found is None:
        close = nearest(name, [each.name for each in known])
        hint = f"Did you mean {close[0]}?" if close else f"network:create {name}"
        raise NotFound(f"There is no network {shown(name)}", hint=hint)
    return found


def _apps(ctx: Context, network: str) -> list[str]:
    """Those that name it, whether they run or not."""

    def on(app: App) -> bool:
        rows = {**ctx.platform.properties.set_on(None), **ctx.platform.properties.set_on(app)}
        return any(network in rows.get(key, "").replace(",", " ").split() for key in ATTACHMENTS)

    return [app.name for app in networks.attached(ctx.platform.db) if on(app)]


def _about(ctx: Context, found: NamedNetwork) -> dict[str, object]:
    return {"name": found.name, "created": found.created, "apps": _apps(ctx, found.name)}
