"""enter — a running container of an app, seen from inside."""

from __future__ import annotations

from paas.commands.attaching import follow
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag, app_argument
from paas.commands.ps import running_instance
from paas.errors import NotFound
from paas.names import shown
from paas.state import releases
from paas.state.apps import App


@command(
    "enter",
    Flag("--container-id", "the container with this id, or the beginning of one", "ID"),
    app_argument(),
    Argument("process-and-command", rest=True, optional=True),
    effect="acts",
    examples=("enter wiki", "enter wiki web.2", "enter wiki web ps aux"),
)
def enter(ctx: Context, app: str, process_and_command: list[str], container_id: str | None) -> int:
    """Enter a running container of an app, with a shell or another command."""
    found = ctx.app(app)
    words = list(process_and_command)
    rows = releases.instances(ctx.platform.db, found)
    if words and words[0].startswith("--container-id="):  # where Dokku's users write it: after the app
        container_id = words.pop(0).partition("=")[2]
    elif len(words) > 1 and words[0] == "--container-id":
        container_id, words = words[1], words[2:]
    if container_id is not None:
        id = _with_id(found, [row.instance.id for row in rows], container_id)
    else:
        known = {row.instance.process for row in rows}
        name = words.pop(0) if words and words[0].partition(".")[0] in known else None
        id = running_instance(ctx, found, name)
    shell = ctx.platform.properties.value("scheduler", "shell", found)
    arguments = (
        words
        or ([shell] if shell else [])
        or ["/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash || exec sh"]
    )
    runtime = ctx.platform.oneoff.runtime
    session = runtime.exec(
        id, arguments, terminal=ctx.tty, stdio=(ctx.stdin, ctx.stdout, ctx.stderr), env={"TERM": ctx.term}
    )
    return follow(ctx, session)


def _with_id(app: App, ids: list[str], wanted: str) -> str:
    """The one id among an app's that begins so. Raises NotFound."""
    found = [id for id in ids if wanted and id.startswith(wanted)]
    if len(found) != 1:
        raise NotFound(f"{app.name} has no container {shown(wanted)}", hint=f"ps:report {app.name} shows their ids.")
    return found[0]
