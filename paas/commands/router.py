"""From the words a user typed to the command's end: global flags, help, roles, events, errors, exit status."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from paas.commands import help
from paas.commands.authorize import app_named, authorize, described
from paas.commands.catalog import filled
from paas.commands.context import Context
from paas.commands.declare import COMMON, Command, Common
from paas.commands.parsing import parse
from paas.errors import AppNotFound, Cancelled, Denied, InvalidInput, PaasError, UsageError
from paas.names import shown
from paas.output import Hangup
from paas.state import events
from paas.system.disk import full_disk_is_told

log = logging.getLogger(__name__)

CATALOG = filled()


def run(ctx: Context, argv: list[str]) -> int:
    """Run one command and return its exit status; errors are shown to the caller here and nowhere else."""
    try:
        with full_disk_is_told():
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
    message, hint = ctx.platform.access.told(error, ctx.grants)
    try:
        ctx.out.warn(message)
        if hint:
            ctx.out.warn(hint)
    except Hangup:
        pass
    return error.exit_code


def _dispatch(ctx: Context, argv: list[str]) -> int:
    words, common = _global_flags(argv)
    if not words or words[0] in ("--help", "-h"):
        words = ["help", *words[1:]]
    if words[0] in ("--version", "-v"):
        words = ["version"]
    if len(words) > 1 and not CATALOG.known(words[0]) and CATALOG.known(f"{words[0]}:{words[1]}"):
        words[:2] = [f"{words[0]}:{words[1]}"]  # as Docker writes it: volume ls, system df
    name, rest = words[0], words[1:]
    if name.endswith(":help"):
        help.explain_noun(ctx, name.removesuffix(":help"))
        return 0
    if common.app is None and (noun := _noun_alone(name, rest)):
        help.explain_noun(ctx, noun)
        return 0
    command = CATALOG.find(name)
    rest_at = next((i for i, argument in enumerate(command.arguments) if argument.rest), None)
    if "--help" in (rest if rest_at is None else rest[: 1 + rest_at]):
        help.explain(ctx, command)
        return 0
    given = common.app is not None
    values = parse(command, [common.app, *rest] if common.app is not None else rest, flags_follow=given, common=common)
    ctx.out.quiet |= common.quiet
    ctx.force |= common.force
    return _carry_out(ctx, command, values)


def _carry_out(ctx: Context, command: Command, values: dict[str, Any]) -> int:
    """Every command that does something leaves an event, and so does every attempt that was refused."""
    db = ctx.platform.db
    does_something = not command.only_shows(values)

    def record(outcome: events.Outcome, error: str = "") -> None:
        detail = ": ".join(filter(None, (described(command, values), error.partition("\n")[0])))
        events.record(db, ctx.who, app_named(command, values), command.name, detail, outcome)

    with events.running(command.name) as running:
        try:
            authorize(ctx, command, values)
            status = command.function(ctx, **values) or 0
        except PaasError as error:
            unseen = isinstance(error, AppNotFound) and ctx.grants.everywhere is None
            if isinstance(error, Denied) or unseen:
                record("denied")
            elif does_something:
                # What was wrong with the words is the caller's to know: one of them may be a secret, misquoted.
                record("failed", "refused" if isinstance(error, UsageError | InvalidInput) else error.message)
            raise
        except Hangup:
            if does_something:
                record("failed", Cancelled.__name__.lower())
            raise
        if does_something and not running.recorded:
            record("")
    return status


def _noun_alone(name: str, rest: list[str]) -> str | None:
    """`config`, `apps --help`: a noun with nothing to do, whose commands are shown."""
    group = CATALOG.group(name)
    if not group or rest not in ([], ["--help"], ["-h"]):
        return None
    if not CATALOG.known(name):
        return name
    first = next(iter(CATALOG.find(name).arguments), None)
    lacks_its_app = not rest and len(group) > 1 and first is not None
    return name if lacks_its_app and first is not None and (not first.optional or name in CATALOG.aliases) else None


def _global_flags(argv: list[str]) -> tuple[list[str], Common]:
    """The flags before the command; --app becomes its first argument."""
    words = list(argv)
    common = Common()
    while words and words[0].startswith("--") and words[0] not in ("--help", "--version"):
        name, equals, inline = words.pop(0).partition("=")
        if not common.take(name, inline if equals else None, words):
            raise PaasError(f"{shown(name)} is not a flag of paas itself", hint=f"Known: {' '.join(COMMON)} --help")
    return words, common
