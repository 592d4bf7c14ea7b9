"""enter — a running container of an app, seen from inside."""

from __future__ import annotations

from paas.commands.attaching import follow
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, app_argument
from paas.commands.ps import running_instance
from paas.state import releases


@command(
    "enter",
    app_argument(),
    Argument("process-and-command", rest=True, optional=True),
    examples=("enter wiki", "enter wiki web.2", "enter wiki web ps aux"),
)
def enter(ctx: Context, app: str, process_and_command: list[str]) -> int:
    """Enter a running container of an app, with a shell or another command."""
    found = ctx.app(app)
    words = list(process_and_command)
    known = {row.instance.process for row in releases.instances(ctx.platform.db, found)}
    name = words.pop(0) if words and words[0].partition(".")[0] in known else None
    id = running_instance(ctx, found, name)
    arguments = words or ["/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash || exec sh"]
    runtime = ctx.platform.oneoff.runtime
    session = runtime.exec(
        id, arguments, terminal=ctx.tty, stdio=(ctx.stdin, ctx.stdout, ctx.stderr), env={"TERM": ctx.term}
    )
    return follow(ctx, session)
