"""The files of a commit that say something about its app: Procfile, app.json, paas.yml. Read before it is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from paas.apps import appjson, paasyml
from paas.apps.appjson import AppJson, Scripts, Variable
from paas.apps.nodes import SIZE_LIMIT, Node
from paas.apps.paasyml import PaasYml
from paas.apps.processes import RELEASE, parse_procfile
from paas.apps.properties import Property, relative_path
from paas.build.options import BuildOptions
from paas.declared import Declared
from paas.errors import InvalidInput
from paas.model import WEB
from paas.names import ProcessType, shown
from paas.output import Output
from paas.source.entry import Enterable, Tree
from paas.source.tree import GitTree

_PROCFILE_LIMIT = 64 << 10
_MODULES = 20
"""Submodules that are named to the pusher."""
_SUBMODULE = re.compile(r"^[ \t]*path[ \t]*=[ \t]*(\S[^\n]*?)[ \t]*$", re.MULTILINE)
_LFS = re.compile(r"^[^#\n]*\bfilter=lfs\b", re.MULTILINE)
PROPERTIES = [
    Property("app-json", "appjson-path", "where app.json is in the repository", relative_path, "app.json"),
]

Procfile = Mapping[ProcessType, tuple[str, ...] | None]


@dataclass(frozen=True, slots=True)
class Said:
    """What a commit says, by whichever of its files. Each thing is said in one of them only."""

    procfile: Procfile = field(default_factory=dict)
    env: tuple[Variable, ...] = ()
    scripts: Scripts = field(default_factory=Scripts)
    declared: Declared = field(default_factory=Declared)
    paasyml: PaasYml = field(default_factory=PaasYml)
    has_app_json: bool = False
    buildpacks: Node | None = None
    """What app.json names; read only when packs are asked."""

    @property
    def release_task(self) -> tuple[str, ...]:
        """The words of the `release` process; none without one."""
        return self.procfile.get(RELEASE) or ()

    def options(self, options: BuildOptions) -> BuildOptions:
        """How to build it: what was set by command on the app wins over the commit."""
        build = self.paasyml.build
        return replace(
            options,
            dockerfile=build.dockerfile or options.dockerfile,
            target=options.target or build.target,
            arguments={**build.args, **options.arguments},
        )


def left_out(tree: GitTree) -> list[str]:
    """What a commit names and does not hold, so that no build gets it: for whoever deploys, a line each."""
    notes = []
    for path in _SUBMODULE.findall(_text(tree, ".gitmodules"))[:_MODULES]:
        entry = tree.entry(path.strip('"'))
        if entry is not None and entry.kind == "submodule":
            notes.append(
                f"{shown(entry.path, 100)} is a submodule: it is not fetched and its directory is empty here."
                " To have its files in the commit: git subtree add"
            )
    if _LFS.search(_text(tree, ".gitattributes")):
        notes.append("Files kept with Git LFS come as pointers to their content: `git lfs push` has no place here")
    return notes


def _text(tree: GitTree, path: str) -> str:
    """A file at the root; '' where there is none, or none of a usual size."""
    entry = tree.entry(path)
    if entry is None or entry.kind != "file":
        return ""
    try:
        return tree.read(entry, _PROCFILE_LIMIT).decode("utf-8", "replace")
    except InvalidInput:
        return ""


def read(tree: Enterable, appjson_path: str, procfile_path: str, out: Output) -> Said:
    """Read a tree, and enter the directory that is to be built. Raises InvalidInput, with the place, for what is wrong.

    paas.yml stands at the root, the other files in the directory that it names.
    """
    data = _content(tree, paasyml.FILE, SIZE_LIMIT)
    yml = PaasYml() if data is None else paasyml.parse(data)
    tree.enter(yml.build.directory)
    data = _content(tree, appjson_path, SIZE_LIMIT)
    app = None if data is None else appjson.parse(data, appjson_path)
    for warning in app.warnings if app else ():
        out.warn(warning.message + (f" ({warning.hint})" if warning.hint else ""))
    if tree.entry("CHECKS") is not None and not (app and app.declared.checks):
        out.warn("The file CHECKS is not read any more; write healthchecks in app.json")
    return _together(_procfile(tree, procfile_path), app or AppJson(), yml, app is not None)


def _together(procfile: Procfile, app: AppJson, yml: PaasYml, has_app_json: bool) -> Said:
    _once("processes", yml.processes, procfile, "Procfile")
    _once("healthchecks", yml.checks, app.declared.checks, "app.json")
    _once("cron", yml.cron, app.declared.cron, "app.json")
    _once("scale", yml.scale, app.declared.formation, "app.json")
    _once("scripts", yml.scripts != Scripts(), app.scripts != Scripts(), "app.json")
    declared = replace(
        app.declared,
        checks=yml.checks or app.declared.checks,
        cron=yml.cron or app.declared.cron,
        config=yml.config,
    )
    processes = yml.processes or procfile
    known = [kind for kind in processes if kind != RELEASE] or [WEB]
    for name, node in yml.kinds:
        if name not in known:
            raise node.error(f"{name} is not a process type", hint=f"There are: {', '.join(known)}")
    scripts = app.scripts if yml.scripts == Scripts() else yml.scripts
    return Said(processes, app.env, scripts, declared, yml, has_app_json, app.buildpacks)


def _once(what: str, here: object, there: object, file: str) -> None:
    if here and there:
        raise InvalidInput(f"{what}: said by {paasyml.FILE} and by {file}", hint="Say it in one of them.")


def _procfile(tree: Tree, path: str) -> Procfile:
    data = _content(tree, path, _PROCFILE_LIMIT)
    if data is None and path != "Procfile":
        raise InvalidInput(f"The repository has no {shown(path)}", hint="That is what ps:set procfile-path names.")
    try:
        return {} if data is None else dict(parse_procfile(data.decode()))
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not UTF-8 text") from None


def _content(tree: Tree, path: str, limit: int) -> bytes | None:
    """None when there is no such file."""
    entry = tree.entry(path)
    if entry is None:
        return None
    if entry.kind != "file":
        raise InvalidInput(f"{path} is not a file")
    return tree.read(entry, limit=limit)
