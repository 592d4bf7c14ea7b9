"""Healthchecks and cron tasks as files of a repository write them: app.json and paas.yml alike."""

from __future__ import annotations

import re
import shlex
from typing import Literal, cast

from paas.apps.nodes import Node
from paas.apps.schedule import Schedule
from paas.declared import Check, CronTask
from paas.errors import InvalidInput
from paas.names import ProcessType, shown

CHECK_KEYS = (
    *("type", "name", "path", "command", "uptime", "listening", "port", "scheme", "httpHeaders", "content"),
    *("attempts", "wait", "timeout", "initialDelay", "warn", "onFailure"),
)
TASK_KEYS = ("command", "schedule", "maintenance", "concurrency_policy")
_MOST = 50
"""Entries of one list."""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OPERATORS = (";", "|", "&", ">", "<", "`", "$(")


def process_type(node: Node, name: str) -> ProcessType:
    try:
        return ProcessType(name)
    except InvalidInput as error:
        raise node.refuse(error) from None


def checks(node: Node) -> dict[ProcessType, tuple[Check, ...]]:
    """`{process: [check, ...]}`. Raises InvalidInput."""
    found = {}
    for name, entries in node.mapping().items():
        items = entries.items()
        if len(items) > _MOST:
            raise entries.error(f"has more than {_MOST} entries")
        found[process_type(entries, name)] = tuple(check(item) for item in items)
    return found


def check(node: Node) -> Check:
    """One check. Raises InvalidInput."""
    subjects = [key for key in ("path", "command", "uptime", "listening") if node.get(key)]
    if len(subjects) != 1:
        raise node.error("a check has exactly one of path, command, uptime and listening")
    if (kind := node.get("type")) is None:
        raise node.error("has no type", 'Add "type": "startup", "liveness" or "readiness".')

    def text(key: str) -> str:
        return found.text() if (found := node.get(key)) else ""

    def seconds(key: str, low: float, high: float) -> float | None:
        return found.number(low, high) if (found := node.get(key)) else None

    def whole(key: str, low: int, high: int) -> int | None:
        return found.whole(low, high) if (found := node.get(key)) else None

    path = text("path")
    if path and (not path.startswith("/") or not path.isprintable() or " " in path or not path.isascii()):
        raise node.error(f"path: {shown(path)} is not a path such as /healthz")
    if subjects != ["path"] and (extra := next((k for k in ("content", "httpHeaders", "scheme") if node.get(k)), "")):
        raise node.error(f"{extra} belongs to a check with a path")
    scheme = found.choice(("http", "https")) if (found := node.get("scheme")) else "http"
    listening, warn = node.get("listening"), node.get("warn")
    command = node.get("command")
    if listening is not None and not listening.flag():
        raise listening.error("can only be true")
    return Check(
        kind=cast(Literal["startup", "liveness", "readiness"], kind.choice(("startup", "liveness", "readiness"))),
        name=text("name")[:100],
        path=path,
        command=command.words() if command else (),
        uptime=seconds("uptime", 0.001, 3600) or 0.0,
        listening=listening is not None,
        port=whole("port", 1, 65535),
        scheme=cast(Literal["http", "https"], scheme),
        headers=_headers(node.get("httpHeaders")),
        content=text("content"),
        attempts=whole("attempts", 1, 1000),
        wait=seconds("wait", 0.1, 3600),
        timeout=seconds("timeout", 0.1, 3600),
        initial_delay=seconds("initialDelay", 0, 3600) or 0.0,
        warn=warn is not None and warn.flag(),
        on_failure=_on_failure(node.get("onFailure")),
    )


def _headers(node: Node | None) -> tuple[tuple[str, str], ...]:
    """A list of {name, value}."""
    found = []
    for item in node.items() if node else ():
        name, value = item.get("name"), item.get("value")
        if name is None or value is None:
            raise item.error("a header has a name and a value")
        if not _HEADER.fullmatch(name.text()):
            raise name.error(f"{shown(name.text())} is not the name of a header")
        if not all(" " <= character <= "~" or character == "\t" for character in value.scalar()):
            raise value.error("has characters that no header may have")
        found.append((name.text(), value.scalar()))
    return tuple(found)


def _on_failure(node: Node | None) -> tuple[str, ...]:
    if node is None:
        return ()
    if node.get("url"):
        raise node.error(
            "onFailure with a url is not supported: a push could have the server ask addresses of its own network",
            'Use a command, which runs in the container: "onFailure": {"command": ["/notify"]}',
        )
    command = node.get("command")
    if command is None:
        raise node.error("has no command")
    return command.words()


def tasks(node: Node) -> tuple[CronTask, ...]:
    """A list of cron tasks. Raises InvalidInput."""
    items = node.items()
    if len(items) > _MOST:
        raise node.error(f"has more than {_MOST} entries")
    found: list[CronTask] = []
    for item in items:
        task = _task(item)
        if any((task.text, task.schedule) == (other.text, other.schedule) for other in found):
            raise item.error("is there already, with the same command and schedule")
        found.append(task)
    return tuple(found)


def _task(node: Node) -> CronTask:
    command, schedule = node.get("command"), node.get("schedule")
    if command is None or schedule is None:
        raise node.error("a cron task has a command and a schedule")
    text = command.text()
    try:
        words = shlex.split(text)
    except ValueError:
        raise command.error("has a quote that is not closed") from None
    if not words:
        raise command.error("is empty")
    if operator := next((o for o in _OPERATORS if any(o in word for word in _bare(text))), ""):
        raise command.error(f"{operator} would need a shell, and none runs it", f"Write: sh -c {shlex.quote(text)}")
    try:
        Schedule(schedule.text())
    except InvalidInput as error:
        raise schedule.refuse(error) from None
    maintenance, policy = node.get("maintenance"), node.get("concurrency_policy")
    choice = policy.choice(("allow", "forbid", "replace")) if policy else "allow"
    return CronTask(
        command=tuple(words),
        text=text,
        schedule=schedule.text(),
        concurrency=cast(Literal["allow", "forbid", "replace"], choice),
        maintenance=maintenance is not None and maintenance.flag(),
    )


def _bare(text: str) -> list[str]:
    """The words of a command less what stands in quotes: operators in these are no operators."""
    return re.sub(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"", " ", text, flags=re.DOTALL).split()
