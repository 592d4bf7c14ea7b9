"""From the words a user typed to the command's end: global flags, help, errors, exit status."""

from __future__ import annotations

import logging
import secrets

from paas.commands import general
from paas.commands.catalog import filled
from paas.commands.context import Context
from paas.commands.declare import parse
from paas.errors import Denied, PaasError
from paas.output import Hangup

log = logging.getLogger(__name__)

CATALOG = filled()


def run(ctx: Context, argv: list[str]) -> int:
    """Run one command and return its exit status; errors are shown to the caller here and nowhere else."""
    try:
        return _dispatch(ctx, argv)
    except PaasError as error:
        return show_error(ctx, error)
    except Hangup:
        return 130
    except Exception:
        mark = secrets.token_hex(4)
        log.exception("internal error %s in %s", mark, argv[:1])
        return show_error(ctx, PaasError(f"Internal error {mark}", hint="The engine's log has the details."))


def show_error(ctx: Context, error: PaasError) -> int:
    try:
        ctx.out.warn(error.message)
        if error.hint:
            ctx.out.warn(error.hint)
    except Hangup:
        pass
    return error.exit_code


def _dispatch(ctx: Context, argv: list[str]) -> int:
    words, app_given = _global_flags(ctx, argv)
    if not words or words[0] in ("--help", "-h"):
        words = ["help"]
    if words[0] == "--version":
        words = ["version"]
    if len(words) > 1 and not CATALOG.knows(words[0]) and CATALOG.knows(f"{words[0]}:{words[1]}"):
        words[:2] = [f"{words[0]}:{words[1]}"]  # as Docker writes it: volume ls, system df
    command = CATALOG.find(words[0])
    rest_at = next((i for i, argument in enumerate(command.arguments) if argument.rest), None)
    before_rest = words[1:] if rest_at is None else words[1 : 2 + rest_at]
    if "--help" in before_rest:
        general.explain(ctx, command)
        return 0
    if command.admin and not ctx.who.admin:
        raise Denied(f"Only an admin key may use {command.name}", hint="Run it on the host as root: paas ...")
    return command.function(ctx, **parse(command, words[1:], flags_follow=app_given)) or 0


def _global_flags(ctx: Context, argv: list[str]) -> tuple[list[str], bool]:
    """Flags before the command: --quiet, --force, --app APP (put in as the first argument; and whether it was)."""
    words = list(argv)
    app: str | None = None
    while words and words[0].startswith("--") and words[0] not in ("--help", "--version"):
        flag = words.pop(0)
        if flag == "--quiet":
            ctx.out.quiet = True
        elif flag == "--force":
            ctx.force = True
        elif flag == "--app" and words:
            app = words.pop(0)
        else:
            raise PaasError(f"{flag} is not a flag of paas itself", hint="Known: --quiet --force --app APP --help")
    if app is not None and words:
        words.insert(1, app)
    return words, app is not None
