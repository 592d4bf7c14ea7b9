"""The reference pages in docs/, written from the declarations: `python -m paas.commands.docs docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from paas.apps.paasyml import SECTIONS
from paas.commands.catalog import filled
from paas.commands.declare import Command

_PAASYML = """# paas.yml

A file at the root of the repository (or of `build-dir`, where one is set) that says what the commands set. It is read
before the build: what is wrong in it fails the deploy, with file and line, and nothing is changed. A key that is not
known is an error. YAML's anchors, aliases and tags are not read.

Config vars that are set on the app win over those of the file; for everything else the file wins, and each deploy shows
what differs (`-----> paas.yml: scale web 1 -> 2`). What the file does not speak of stays as it is set. What it says is
part of the release: a rollback brings back what that release had.

Processes, healthchecks, cron tasks, scale and scripts may be said here or in Procfile and app.json, each in one of them
only. A repository with an app.json works as it does on Dokku: `env`, `scripts`, `formation`, `cron` and `healthchecks`
are read. A HEALTHCHECK of the Dockerfile has no influence on an app's traffic, as it has none under Docker.

Checks of the type `startup` are made at a deploy, at once and then often, for as long as `attempts` tries with `wait`
seconds between them would take. `liveness` and `readiness` are made every `wait` seconds while an instance runs: after
`attempts` failures in a row the first has it replaced, the second takes it out of the traffic until it is good again.
Where no instance is ready, none gets a request, and visitors see the page of an app that does not answer.

A task that fails, also a postdeploy task, fails the deploy: all of them run before the new instances get requests, and
what served before serves on. What a release or postdeploy task has done to a database or to storage stays done.
"""


def pages() -> dict[str, str]:
    """File name -> text: a page for each noun, others for the commands that stand alone."""
    catalog = filled()
    groups: dict[str, list[Command]] = {}
    for command in catalog:
        alone = len(catalog.group(command.noun)) == 1
        groups.setdefault(command.page or ("general" if alone else command.noun), []).append(command)
    return {f"{noun}.md": _page(noun, commands) for noun, commands in groups.items()} | {"paas-yml.md": _paasyml()}


def _page(noun: str, commands: list[Command]) -> str:
    return "\n".join([f"# {noun}\n", *(_section(command) for command in commands)]).rstrip() + "\n"


def _paasyml() -> str:
    parts = [_PAASYML]
    for name, (what, example) in SECTIONS.items():
        parts.append(f"## {name}\n\n{what}\n")
        if example:
            parts.append("\n".join(f"    {line}" for line in example.splitlines()) + "\n")
    return "\n".join(parts).rstrip() + "\n"


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
