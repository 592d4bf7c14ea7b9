"""access:* — who may do what on which apps."""

from __future__ import annotations

from paas.apps.access import ALL_APPS, CREATE, PROPERTIES, role_name
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.commands.properties import define
from paas.errors import UsageError
from paas.output import to_json
from paas.state import apps as app_rows
from paas.state import people
from paas.state.apps import GLOBAL

define(
    "access",
    "roles",
    {item.key: item.help for item in PROPERTIES},
    ("access:set --global default-role none",),
    report=False,
)


@command(
    "access:add",
    Argument("user"),
    Argument("role", role_name),
    Argument("on", many=True, optional=True),
    admin=True,
    examples=(
        "access:add alice deploy wiki shop",
        "access:add bob view '*'",
        "access:add carol create",
        "access:add ops admin",
    ),
)
def add(ctx: Context, user: str, role: str, on: list[str]) -> None:
    """Give a user a role on apps, or on all of them: `*`.

    view: what shows an app but no secrets (reports, logs, releases). deploy: all that changes or shows it, pushes,
    config vars and commands in its containers included. admin: everything, everywhere. create: may make apps, and
    deploys those. What a new user got with the first key ends with the first role that is given here.
    """
    if not on and role in ("view", "deploy"):
        raise UsageError("Which apps?", hint=f"access:add {user} {role} APP..., or '*' for all")
    apps = None if not on or ALL_APPS in on else [ctx.app(name) for name in on]
    narrowed = ctx.platform.access.give(user, role, apps)
    people.record(ctx.platform.db, ctx.who, "", "access:add", " ".join([user, role, *on]))
    ctx.out.heading(f"{user} has {role}" + (f" on {' '.join(on)}" if on else ""))
    if narrowed:
        ctx.out.detail(f"What {user} could do as every new user has ended: see access:list {user}")


@command(
    "access:remove",
    Flag("--role", "only this role", "ROLE", parse=role_name),
    Argument("user"),
    Argument("on", many=True, optional=True),
    admin=True,
    examples=(
        "access:remove alice shop",
        "access:remove bob '*'",
        "access:remove carol --role create",
        "access:remove eve",
    ),
)
def remove(ctx: Context, user: str, on: list[str], role: str | None) -> None:
    """Take a user's roles on apps away; on all apps with `*`; without an app everything. The keys stay."""
    all_apps = ALL_APPS in on or (not on and role is not None)
    apps = None if all_apps else [ctx.app(name) for name in on]
    count = ctx.platform.access.take(user, role, apps, everything=not on and role is None)
    people.record(ctx.platform.db, ctx.who, "", "access:remove", " ".join(filter(None, [user, role, *on])))
    ctx.out.heading(f"Took {count} role{'s' * (count != 1)} of {user} away" if count else f"{user} had none of these")


@command(
    "access:list",
    FORMAT,
    Argument("user", optional=True),
    needs="anyone",
    examples=("access:list", "access:list alice --format json"),
)
def list_access(ctx: Context, user: str | None, format: str | None) -> None:
    """List who may do what. Who is no admin sees their own roles."""
    names: dict[int, str] = {app.id: app.name for app in app_rows.listing(ctx.platform.db)} | {GLOBAL: ALL_APPS}
    found = [
        grant
        for grant in people.grants(ctx.platform.db, user if ctx.grants.admin else ctx.who.name)
        if grant.app in names
    ]
    if format == "json":
        entries = [{"user": g.user, "role": g.role, "app": names[g.app], "with_first_key": g.standard} for g in found]
        ctx.out.line(to_json(entries))
        return
    rows = [
        (g.user, g.role, "" if g.role == CREATE else names[g.app], "with the first key" if g.standard else "")
        for g in found
    ]
    ctx.out.table(("USER", "ROLE", "APP", ""), rows)
