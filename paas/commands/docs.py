"""The reference pages in docs/, written from the declarations: `python -m paas.commands.docs docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from paas.commands.catalog import filled
from paas.commands.declare import Command


def pages() -> dict[str, str]:
    """File name -> text: a page for each noun, others for the commands that stand alone."""
    catalog = filled()
    groups: dict[str, list[Command]] = {}
    for command in catalog:
        alone = len(catalog.group(command.noun)) == 1
        groups.setdefault(command.page or ("general" if alone else command.noun), []).append(command)
    return {f"{noun}.md": _page(noun, commands) for noun, commands in groups.items()}


def _page(noun: str, commands: list[Command]) -> str:
    return "\n".join([f"# {noun}\n", *(_section(command) for command in commands)]).rstrip() + "\n"


def _section(command: Command) -> str:
    parts = [f"## {command.name}\n\n    {command.usage}\n\n{command.description}\n"]
    if command.flags:
        names = [
            (f"{flag.short}, " if flag.short else "") + f"{flag.name} {flag.value}".strip() for flag in command.flags
        ]
        parts.append("".join(f"- `{name}`: {flag.help}\n" for name, flag in zip(names, command.flags, strict=True)))
    if command.examples:
        parts.append("Examples:\n\n" + "".join(f"    paas {example}\n" for example in command.examples))
    return "\n".join(parts)


if __name__ == "__main__":
    for name, text in pages().items():
        Path(sys.argv[1], name).write_text(text)
