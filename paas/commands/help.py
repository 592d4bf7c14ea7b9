"""help — the commands by topic, by word, and each by itself."""

from __future__ import annotations

from paas.commands.catalog import CATALOG, command
from paas.commands.context import Context
from paas.commands.declare import Argument, Command, Flag
from paas.commands.topics import TITLES, topic_of
from paas.errors import UsageError
from paas.names import nearest, shown


@command(
    "help",
    Flag("--all", "every command with what it does, instead of the nouns"),
    Argument("word", optional=True),
    needs="anyone",
    examples=("help", "help --all", "help config", "help config:set", "help certificate"),
)
def help(ctx: Context, word: str | None, all: bool) -> None:
    """List the commands by topic; explain a command, a noun or a topic; or find commands by a word."""
    if word is None:
        ctx.out.line("Usage: paas COMMAND [ARGUMENTS]     or     ssh -p PORT paas@HOST COMMAND [ARGUMENTS]")
        _overview(ctx, all)
        ctx.out.line("")
        ctx.out.line(
            "`help NOUN`, `help COMMAND` and `COMMAND --help` explain; `help WORD` finds; `help --all` lists all."
        )
        return
    if CATALOG.group(word):
        explain_noun(ctx, word)
    elif CATALOG.known(word):
        explain(ctx, CATALOG.find(word))
    else:
        _found(ctx, word)


def explain_noun(ctx: Context, noun: str) -> None:
    """What a noun's commands are, or all of the help of the one that it is. Raises UsageError."""
    group = CATALOG.group(noun)
    if not group or (len(group) == 1 and group[0].name == noun):
        explain(ctx, CATALOG.find(noun))
        return
    ctx.out.line(f"Usage: paas {noun}[:COMMAND]")
    ctx.out.line("")
    _list(ctx, group)


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
    if found.needs is not None:
        ctx.out.line("")
        ctx.out.line(f"Role: {found.needs}")
    if found.examples:
        ctx.out.line("")
        ctx.out.line("Examples:")
        for example in found.examples:
            ctx.out.line(f"  {example}")


def _overview(ctx: Context, every: bool) -> None:
    for topic, title in TITLES.items():
        commands = [each for each in CATALOG if topic_of(each.noun, each.page) == topic]
        if not commands:
            continue
        ctx.out.line("")
        ctx.out.line(f"{title} (help {topic})")
        if every:
            _list(ctx, commands)
            continue
        nouns: dict[str, list[Command]] = {}
        for each in commands:
            nouns.setdefault(each.noun, []).append(each)
        rows = [(noun, _in_short(noun, group)) for noun, group in nouns.items()]
        width = max(len(noun) for noun, _ in rows)
        for noun, text in rows:
            ctx.out.line(f"  {noun.ljust(width)}   {text}")


def _in_short(noun: str, group: list[Command]) -> str:
    """The commands of a noun, or what the one that it is does."""
    verbs = [each.name.partition(":")[2] for each in group if ":" in each.name]
    alone = next((each.summary for each in group if each.name == noun), "")
    return " ".join([alone, *(f":{verb}" for verb in verbs)]).strip()


def _found(ctx: Context, word: str) -> None:
    """By topic, else by what names, summaries and flags say."""
    text = word.lower()
    commands = [each for each in CATALOG if topic_of(each.noun, each.page) == text]
    if not commands:
        stem = text.removesuffix("s")
        commands = [
            each
            for each in CATALOG
            if stem in " ".join([each.name, each.description, *(flag.name for flag in each.flags)]).lower()
        ]
    if not commands:
        close = nearest(text, [*TITLES, *(each.name for each in CATALOG), *(each.noun for each in CATALOG)])
        hint = f"Did you mean {', '.join(close)}?" if close else "`help` lists the topics, `help --all` all commands."
        raise UsageError(f"Nothing in the help has {shown(word)}", hint=hint)
    _list(ctx, commands)


def _list(ctx: Context, commands: list[Command]) -> None:
    """Names and summaries, aligned."""
    width = max(len(each.name) for each in commands)
    for each in commands:
        ctx.out.line(f"  {each.name.ljust(width)}   {each.summary}")
