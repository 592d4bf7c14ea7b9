"""help, version, events."""

from __future__ import annotations

import paas
from paas.commands.catalog import CATALOG, command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Command, Flag
from paas.names import port_number
from paas.output import to_json
from paas.state import people


@command("help", Argument("command", optional=True), examples=("help", "help config", "help config:set"))
def help(ctx: Context, command: str | None) -> None:
    """List the commands, or explain one or the commands of a noun."""
    if command is None:
        ctx.out.line("Usage: paas COMMAND [ARGUMENTS]     or     ssh -p PORT paas@HOST COMMAND [ARGUMENTS]")
        ctx.out.line("")
        _list(ctx, list(CATALOG))
        ctx.out.line("")
        ctx.out.line("`help COMMAND` or `COMMAND --help` explains a command.")
        return
    group = CATALOG.group(command)
    if len(group) > 1 or (group and group[0].name != command):
        _list(ctx, group)
        return
    explain(ctx, CATALOG.find(command))


def explain(ctx: Context, found: Command) -> None:
    """The whole help of one command."""
    ctx.out.line(f"Usage: {found.usage}")
    ctx.out.line("")
    ctx.out.line(found.description)
    if found.flags:
        ctx.out.line("")
        ctx.out.line("Flags:")
        rows = [(f"{f.short + ', ' if f.short else ''}{f.name} {f.value}".strip(), f.help) for f in found.flags]
        width = max(len(name) for name, _ in rows)
        for name, text in rows:
            ctx.out.line(f"  {name.ljust(width)}   {text}")
    if found.examples:
        ctx.out.line("")
        ctx.out.line("Examples:")
        for example in found.examples:
            ctx.out.line(f"  {example}")


def _list(ctx: Context, commands: list[Command]) -> None:
    """Names and summaries, aligned."""
    width = max(len(each.name) for each in commands)
    for each in commands:
        ctx.out.line(f"  {each.name.ljust(width)}   {each.summary}")


@command("version", examples=("version",))
def version(ctx: Context) -> None:
    """Print the version of the engine."""
    ctx.out.line(f"paas version {paas.__version__}")


def _limit(text: str) -> int:
    return port_number(text)


@command(
    "events",
    FORMAT,
    Flag("-n", "how many (default 100)", "NUMBER", parse=_limit),
    Argument("app", optional=True),
    examples=("events", "events wiki -n 20"),
)
def events(ctx: Context, app: str | None, format: str | None, **flags: int | None) -> None:
    """Show who did what, the newest last."""
    found = people.events(ctx.platform.db, app, flags["_n"] or 100)
    if format == "json":
        keys = ("at", "who", "address", "app", "action", "detail")
        ctx.out.line(to_json([{key: getattr(event, key) for key in keys} for event in found]))
        return
    for event in found:
        by = f"{event.who}@{event.address}" if event.address else event.who
        ctx.out.line(" ".join(filter(None, (event.at, by, event.app, event.action, event.detail))))
