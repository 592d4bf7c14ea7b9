"""Packs of strangers: the same plan, made by a process that may do nothing but count, for a few seconds at most.

A template can loop for ever and a regular expression can take very long; a process can be ended. What it is given is
what its rules read, and what it answers is data. It runs as nobody, without network, files or processes of its own.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import jinja2.debug  # noqa: F401  Jinja imports it with the first error, and then no file can be read any more

from paas.buildpacks import catalog, planning
from paas.buildpacks import pack as packs
from paas.buildpacks.asking import FILES
from paas.buildpacks.pack import Pack
from paas.buildpacks.planning import Applied, Plan, Version
from paas.buildpacks.render import Asked
from paas.buildpacks.view import TEXT_LIMIT, View
from paas.errors import BuildFailed, InvalidInput, SystemFailure
from paas.names import printable
from paas.paths import PROJECT
from paas.source.entry import Entry, Tree, too_large
from paas.system import run as system

_SECONDS = 3
"""Of a processor; on a busy machine that takes longer."""
_PATIENCE = 60.0
_MEMORY = 512 << 20
_TOTAL = 16 << 20
"""Bytes of all files it is given."""
_ANSWER = 1 << 20
_NOBODY = 65534


def plan(tree: Tree, asked: Asked, chosen: Sequence[Pack], more: Sequence[Pack]) -> Plan:
    """As planning.plan. Raises BuildFailed, InvalidInput."""
    question = {
        "packs": {key: [_packed(pack) for pack in group] for key, group in (("chosen", chosen), ("more", more))},
        "files": _files(tree, [*chosen, *more, *(() if chosen else catalog.current().packs.values())]),
        "asked": asdict(asked),
    }
    try:
        text = system.run(
            ["unshare", "--net", "--ipc", "--", sys.executable, "-m", "paas.buildpacks"],
            input=json.dumps(question).encode(),
            env={"PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=_PATIENCE,
        ).stdout
    except SystemFailure:
        text = b""
    if not text or len(text) > _ANSWER:
        names = ", ".join(pack.file.rpartition("/")[0] for pack in (*chosen, *more) if not pack.trusted)
        raise InvalidInput(
            f"The buildpack {names} did not come to an end: it took more than {_SECONDS} seconds or too much memory",
            hint="Look at the loops of its templates.",
        )
    return _plan(json.loads(text), asked.base or planning.BASE)


def answer() -> None:
    """What the process does: read the question, give up all power, print the answer."""
    text = sys.stdin.buffer.read()
    known = catalog.current()  # while their files can be read
    _give_up()
    question = json.loads(text)
    chosen, more = ([_unpacked(each) for each in question["packs"][key]] for key in ("chosen", "more"))
    said = question["asked"]
    asked = Asked(said["web"], tuple(said["apt"]), tuple(said["secrets"]), said["base"])
    try:
        made = planning.plan(MemoryTree(question["files"]), asked, chosen, more, known)
    except (BuildFailed, InvalidInput) as error:
        kind = "build" if isinstance(error, BuildFailed) else "input"
        sys.stdout.write(json.dumps({"error": kind, "message": error.message, "hint": error.hint}))
        return
    sys.stdout.write(json.dumps(asdict(made)))


def _give_up() -> None:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    for what, limit in (
        (resource.RLIMIT_CPU, _SECONDS),
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(what, (limit, limit))


def _plan(value: Mapping[str, Any], base: str) -> Plan:
    if "error" in value:
        kind = BuildFailed if value["error"] == "build" else InvalidInput
        raise kind(_lines(str(value["message"])), hint=printable(str(value["hint"])) if value["hint"] else None)
    applied = [
        Applied(**{**each, "versions": {name: Version(**found) for name, found in each["versions"].items()}})
        for each in value["applied"]
    ]
    return Plan(applied, dict(value["passed_over"]), str(value["dockerfile"]), base, dict(value["left_out"]))


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.splitlines()))


def _packed(pack: Pack) -> dict[str, object]:
    return {"name": pack.name, "file": pack.file, "manifest": pack.manifest.decode(), "templates": dict(pack.templates)}


def _unpacked(value: Mapping[str, Any]) -> Pack:
    return packs.parse(value["manifest"].encode(), value["file"], value["name"], value["templates"])


def _files(tree: Tree, known: Sequence[Pack]) -> dict[str, str]:
    """What their rules read; of files beyond the limit only that they are there."""
    view, found, left = View(tree), dict[str, str](), _TOTAL
    for pattern in dict.fromkeys([*FILES, *(file for pack in known for file in pack.files())]):
        for path in view.find(pattern):
            if path in found:
                continue
            entry = tree.entry(path)
            data = b""
            if entry is not None:
                try:
                    data = tree.read(entry, min(TEXT_LIMIT, left))
                except InvalidInput:
                    data = b""
            left -= len(data)
            found[path] = data.decode("utf-8", "replace")
    return found


class MemoryTree:
    """A tree that is held in memory: path -> text."""

    time = 0

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = {path: text.encode("utf-8", "replace") for path, text in files.items()}
        self._children: dict[str, dict[str, Entry]] = {"": {}}
        for path in sorted(self._files):
            parts = path.split("/")
            for depth in range(1, len(parts) + 1):
                parent, here = "/".join(parts[: depth - 1]), "/".join(parts[:depth])
                kind = "file" if depth == len(parts) else "dir"
                self._children.setdefault(parent, {}).setdefault(here, Entry(here, kind, 0o644))  # type: ignore[arg-type]

    @property
    def root(self) -> Entry:
        return Entry("", "dir", 0o755)

    def entry(self, path: str) -> Entry | None:
        return self.root if not path else self._children.get(path.rpartition("/")[0], {}).get(path)

    def list(self, directory: Entry) -> list[Entry]:
        return list(self._children.get(directory.path, {}).values())

    def walk(self, directory: Entry) -> Iterator[Entry]:
        for child in self.list(directory):
            yield child
            if child.kind == "dir":
                yield from self.walk(child)

    def content(self, entry: Entry) -> str:
        return entry.path

    def read(self, entry: Entry, limit: int) -> bytes:
        return self._files[entry.path]

    def copy_to(self, entry: Entry, descriptor: int, limit: int = 1 << 62) -> None:
        data = self._files[entry.path]
        if len(data) > limit:
            raise too_large(entry, len(data))
        os.write(descriptor, data)
