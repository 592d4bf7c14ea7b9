"""`X:report`: one shape for all of them."""

from __future__ import annotations

from collections.abc import Iterable

from paas.commands.context import Context
from paas.errors import UsageError
from paas.names import nearest
from paas.output import pairs, to_json

_MANY = 12
"""Keys, beyond which a report that has not the one asked for names those alone that look like it."""
Report = dict[str, str | int | bool | None]


def show(
    ctx: Context, title: str, reports: Iterable[tuple[str, Report]], format: str | None, only: str | None = None
) -> None:
    """One block for each (app, report), as Dokku prints it; or JSON: an object for one app, else one by app name.

    `only` prints a single value of each. Raises UsageError when no report has it.
    """
    found = list(reports)
    if only is not None:
        for _, report in found:
            if only not in report:
                valid = nearest(only, report) if len(report) > _MANY else list(report)
                hint = "--format json shows all keys." if len(report) > _MANY else None
                words = ", ".join(f"--{key}" for key in valid or list(report)[:_MANY])
                raise UsageError(f"Invalid flag passed, valid flags: {words}", hint=hint)
            ctx.out.line(_text(report[only]))
        return
    if format == "json":
        values = [{key: value for key, value in report.items()} for _, report in found]
        ctx.out.line(to_json(values[0] if len(found) == 1 else dict(zip([n for n, _ in found], values, strict=True))))
        return
    for name, report in found:
        ctx.out.result(f"{name} {title} information")
        for line in pairs((key.replace("-", " ").capitalize(), _text(value)) for key, value in report.items()):
            ctx.out.line(line)


def _text(value: str | int | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
