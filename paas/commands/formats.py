"""`--format` of commands that list things: plain, json, or a template for each line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from paas.commands.context import Context
from paas.commands.declare import Flag
from paas.commands.templates import Template, parse
from paas.output import table, to_json

Row = Mapping[str, object]
"""What a template can ask for: Docker's names -> values; a value that takes words is a function."""


@dataclass(frozen=True, slots=True)
class Format:
    """`json` for all as one document; a template for each line, with headings if it is a `table`; else plain."""

    json: bool = False
    template: Template | None = None
    table: bool = False


def parse_format(text: str) -> Format:
    """`plain`, `json`, `table`, `TEMPLATE` or `table TEMPLATE`. Raises InvalidInput."""
    if text in ("plain", "table"):
        return Format()
    if text == "json":
        return Format(json=True)
    word, _, rest = text.partition(" ")
    return Format(template=parse(rest.lstrip() if word == "table" else text), table=word == "table")


FORMAT = Flag(
    "--format",
    "plain, json, or a template in Docker's way: '{{.ID}} {{json .}}', 'table {{.ID}}\\t{{.Names}}'",
    "FORMAT",
    parse=parse_format,
)


def show(
    ctx: Context,
    format: Format | None,
    headings: Mapping[str, str],
    columns: Sequence[str],
    rows: Iterable[Row],
    as_json: Callable[[], object],
) -> None:
    """Print rows. `columns` are the names of those that stand in the plain table, `headings` what stands above them."""
    wanted = format or Format()
    if wanted.json:
        ctx.out.line(to_json(as_json()))
        return
    if wanted.template is None:
        ctx.out.table([headings[name] for name in columns], [[str(row[name]) for name in columns] for row in rows])
        return
    lines = [wanted.template.render(row) for row in rows]
    if wanted.table:
        lines = _aligned([wanted.template.headings(headings), *lines])
    for line in lines:
        ctx.out.line(line)


def _aligned(lines: Sequence[str]) -> list[str]:
    cells = [line.split("\t") for line in lines]
    width = max(map(len, cells))
    filled = [[*line, *[""] * (width - len(line))] for line in cells]
    return table(filled[0], filled[1:])
