"""domains:* — the hostnames apps are served under."""

from __future__ import annotations

from paas.apps.domains import hostname
from paas.apps.edge import DOMAINS_DISABLED
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, GLOBAL, KEY, Argument, Flag, app_argument
from paas.commands.every import for_one_or_all
from paas.commands.report import Report, show
from paas.errors import NotFound
from paas.names import Hostname

_HOSTNAMES = Argument("hostname", hostname, many=True)
ALL = Flag("--all", "for every app")


@command("domains:add", app_argument(), _HOSTNAMES, examples=("domains:add wiki wiki.example.com",))
def add(ctx: Context, app: str, hostname: list[Hostname]) -> None:
    """Serve an app under more hostnames."""
    domains, detail = ctx.platform.domains, "add " + " ".join(hostname)
    ctx.platform.changes.domains(app, lambda found: domains.add(found, hostname), detail, ctx.request(), hostname)
    ctx.out.heading(f"Added {' '.join(hostname)} to {app}")


@command("domains:remove", app_argument(), _HOSTNAMES, examples=("domains:remove wiki wiki.example.com",))
def remove(ctx: Context, app: str, hostname: list[Hostname]) -> None:
    """Serve an app no longer under these hostnames."""
    domains, detail = ctx.platform.domains, "remove " + " ".join(hostname)
    ctx.platform.changes.domains(app, lambda found: domains.remove(found, hostname), detail, ctx.request())
    ctx.out.heading(f"Removed {' '.join(hostname)} from {app}")


@command("domains:set", app_argument(), _HOSTNAMES, examples=("domains:set wiki example.com www.example.com",))
def set_domains(ctx: Context, app: str, hostname: list[Hostname]) -> None:
    """Serve an app under exactly these hostnames."""
    domains, detail = ctx.platform.domains, "set " + " ".join(hostname)
    ctx.platform.changes.domains(app, lambda found: domains.set(found, hostname), detail, ctx.request(), hostname)
    ctx.out.heading(f"Set {' '.join(hostname)} for {app}")


@command("domains:clear", app_argument(), examples=("domains:clear wiki",))
def clear(ctx: Context, app: str) -> None:
    """Serve an app under no hostname."""
    ctx.platform.changes.domains(app, ctx.platform.domains.clear, "clear", ctx.request())
    ctx.out.heading(f"Cleared the domains of {app}")


@command("domains:reset", app_argument(), examples=("domains:reset wiki",))
def reset(ctx: Context, app: str) -> None:
    """Serve an app under its name below each global domain again."""
    ctx.platform.changes.domains(app, ctx.platform.domains.reset, "reset", ctx.request())
    ctx.out.heading(f"Reset the domains of {app}")


@command("domains:enable", ALL, app_argument(optional=True), examples=("domains:enable wiki", "domains:enable --all"))
def enable(ctx: Context, app: str | None, all: bool) -> None:
    """Serve an app under its hostnames again."""
    _switch(ctx, app, all, on=True)


@command(
    "domains:disable", ALL, app_argument(optional=True), examples=("domains:disable wiki", "domains:disable --all")
)
def disable(ctx: Context, app: str | None, all: bool) -> None:
    """Serve an app under no hostname, without forgetting those it has.

    A port of its own still leads to it: ports:add APP http:8080:5000 answers to any name.
    """
    _switch(ctx, app, all, on=False)


def _switch(ctx: Context, app: str | None, all: bool, *, on: bool) -> None:
    word = "enable" if on else "disable"

    def change(name: str) -> None:
        ctx.platform.edge.switch(name, DOMAINS_DISABLED, not on, ctx.request(), f"domains:{word}")
        ctx.out.heading(f"Domains of {name} are {word}d")

    for_one_or_all(ctx, app, all, change)


@command(
    "domains:report",
    FORMAT,
    GLOBAL,
    KEY,
    app_argument(optional=True),
    needs="view",
    examples=("domains:report wiki", "domains:report --global --format json"),
)
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None, **flags: bool) -> None:
    """Show the hostnames of one app, of all, or the global domains."""
    bases = " ".join(ctx.platform.domains.globals())
    common: Report = {"domains-global-enabled": bool(bases), "domains-global-vhosts": bases}
    if flags["global"]:
        show(ctx, "domains", [("Global", common)], format, KEY)
        return
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    show(
        ctx,
        "domains",
        [
            (
                found.name,
                {
                    "domains-app-enabled": ctx.platform.edge.settings.domains_enabled(found),
                    "domains-app-vhosts": " ".join(ctx.platform.domains.of(found)),
                    "domains-app-own": found.own_domains,
                    **common,
                },
            )
            for found in apps
        ],
        format,
        KEY,
    )


@command("domains:set-global", _HOSTNAMES, admin=True, examples=("domains:set-global apps.example.com",))
def set_global(ctx: Context, hostname: list[Hostname]) -> None:
    """Give every app without domains of its own the hostname APP.HOSTNAME."""
    ctx.platform.changes.global_domains(hostname, ctx.request())
    ctx.out.heading(f"Set {' '.join(hostname)}")


@command("domains:add-global", _HOSTNAMES, admin=True, examples=("domains:add-global apps.example.org",))
def add_global(ctx: Context, hostname: list[Hostname]) -> None:
    """Add global domains."""
    ctx.platform.changes.global_domains([*ctx.platform.domains.globals(), *hostname], ctx.request())
    ctx.out.heading(f"Added {' '.join(hostname)}")


@command("domains:remove-global", _HOSTNAMES, admin=True, examples=("domains:remove-global apps.example.org",))
def remove_global(ctx: Context, hostname: list[Hostname]) -> None:
    """Remove global domains."""
    present = ctx.platform.domains.globals()
    if unknown := [base for base in hostname if base not in present]:
        raise NotFound(f"{unknown[0]} is not a global domain", hint=f"There are: {', '.join(present) or 'none'}")
    left = [base for base in present if base not in hostname]
    ctx.platform.changes.global_domains(left, ctx.request())
    ctx.out.heading(f"Removed {' '.join(hostname)}")


@command("domains:clear-global", admin=True, examples=("domains:clear-global",))
def clear_global(ctx: Context) -> None:
    """Remove all global domains."""
    ctx.platform.changes.global_domains([], ctx.request())
    ctx.out.heading("Cleared the global domains")
