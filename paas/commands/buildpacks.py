"""buildpacks:* — how apps without a Dockerfile are built: which packs, why, and the Dockerfile they make."""

from __future__ import annotations

import os

from paas.apps import buildpacks
from paas.apps.properties import count
from paas.buildpacks import catalog, planning
from paas.buildpacks.planning import Applied, Plan
from paas.buildpacks.skeleton import skeleton
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, GLOBAL, KEY, Argument, Flag, app_argument
from paas.commands.report import Report, show
from paas.deploy import packing
from paas.errors import Conflict, Denied, InvalidInput, UsageError
from paas.model import Source
from paas.names import shown
from paas.output import to_json
from paas.source import repos
from paas.source.directory import DirectoryTree
from paas.source.tree import GitTree
from paas.state import people, releases
from paas.state.apps import App
from paas.system.inroot import make_directories

_INDEX = Flag("--index", "a place in the list, from 1", "NUMBER", parse=count)


@command(
    "buildpacks:add",
    _INDEX,
    app_argument(),
    Argument("buildpack"),
    examples=("buildpacks:add shop node", "buildpacks:add --index 1 shop https://example.com/apt.git"),
)
def add(ctx: Context, app: str, buildpack: str, index: int | None) -> None:
    """Add a buildpack to those that build an app; they go one after the other, and the last one starts it."""
    found = ctx.app(app)
    _tell(ctx, found, "buildpacks:add", buildpacks.add(ctx.platform.db, found, buildpack, index))


@command(
    "buildpacks:set",
    _INDEX,
    Flag("--replace", "these are the whole list"),
    app_argument(),
    Argument("buildpack", many=True),
    examples=("buildpacks:set shop python", "buildpacks:set --replace shop node python"),
)
def set_buildpack(ctx: Context, app: str, buildpack: list[str], index: int | None, replace: bool) -> None:
    """Put a buildpack in the first place of the list, or in another; with --replace set the list as a whole."""
    found = ctx.app(app)
    if replace and index is not None:
        raise UsageError("--replace sets the whole list, --index one place in it")
    if not replace and len(buildpack) != 1:
        raise UsageError("One buildpack goes into one place", hint="With --replace they are the whole list.")
    db = ctx.platform.db
    if replace:
        packs = buildpacks.replace_all(db, found, buildpack)
    else:
        packs = buildpacks.replace(db, found, buildpack[0], index)
    _tell(ctx, found, "buildpacks:set", packs)


@command(
    "buildpacks:remove",
    _INDEX,
    app_argument(),
    Argument("buildpack", optional=True),
    examples=("buildpacks:remove shop node", "buildpacks:remove --index 1 shop"),
)
def remove(ctx: Context, app: str, buildpack: str | None, index: int | None) -> None:
    """Take a buildpack off the list, by its name or its place."""
    found = ctx.app(app)
    if (buildpack is None) == (index is None):
        raise UsageError("Name the buildpack or its place", hint="buildpacks:remove <app> <buildpack>|--index NUMBER")
    _tell(ctx, found, "buildpacks:remove", buildpacks.remove(ctx.platform.db, found, buildpack, index))


@command("buildpacks:clear", app_argument(), examples=("buildpacks:clear shop",))
def clear(ctx: Context, app: str) -> None:
    """Empty the list."""
    found = ctx.app(app)
    _tell(ctx, found, "buildpacks:clear", buildpacks.replace_all(ctx.platform.db, found, []))


@command("buildpacks:list", FORMAT, app_argument(), needs="view", examples=("buildpacks:list shop",))
def list_buildpacks(ctx: Context, app: str, format: str | None) -> None:
    """List the buildpacks of an app, in order."""
    found = ctx.app(app)
    packs = buildpacks.listed(ctx.platform.db, found)
    for name, error in catalog.current().broken.items():
        ctx.out.warn(f"The buildpack {name} of this server is broken: {error.message}")
    if format == "json":
        ctx.out.line(to_json(packs))
        return
    ctx.out.result(f"{found.name} buildpack urls")
    for pack in packs:
        ctx.out.detail(pack)


@command(
    "buildpacks:detect",
    FORMAT,
    Argument("app-or-path"),
    needs="view",
    examples=("buildpacks:detect shop", "buildpacks:detect .", "buildpacks:detect --format json shop"),
)
def detect(ctx: Context, app_or_path: str, format: str | None) -> None:
    """Show which buildpacks build an app, or a directory on the host, why, and with which versions."""
    plan = _plan(ctx, app_or_path)
    if format == "json":
        ctx.out.line(to_json([_described(each) for each in plan.applied]))
        return
    packing.report(plan, ctx.out)


@command(
    "buildpacks:render",
    Argument("app-or-path"),
    needs="view",
    examples=("buildpacks:render shop", "buildpacks:render . >Dockerfile"),
)
def render(ctx: Context, app_or_path: str) -> None:
    """Print the Dockerfile that buildpacks make for an app, or for a directory on the host; it can be taken over."""
    ctx.out.raw(_plan(ctx, app_or_path).dockerfile.encode())


@command(
    "buildpacks:create",
    Argument("name"),
    admin=True,
    examples=("buildpacks:create ours",),
)
def create(ctx: Context, name: str) -> None:
    """Write a small buildpack to .paas/buildpacks/NAME of the current directory on the host, to begin with."""
    if ctx.directory is None:
        raise UsageError(
            "Files are written only on the host itself", hint=f"Commit them yourself: {planning.FOLDER}/{name}"
        )
    if name in catalog.current().packs:
        raise Conflict(f"There is a buildpack {name} already", hint="Give it another name.")
    folder = f"{planning.FOLDER}/{name}"
    files = skeleton(name)
    try:
        opened = make_directories(ctx.directory, folder)
        try:
            for file, text in files.items():
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(file, flags, 0o644, dir_fd=opened), "w") as stream:
                    stream.write(text)
                ctx.out.line(f"{folder}/{file}")
        finally:
            os.close(opened)
    except OSError as error:
        raise Conflict(f"{folder} cannot be written: {error.strerror}") from None
    ctx.out.heading("It is used once it is committed; paas buildpacks:render . shows what it makes")


def _plan(ctx: Context, name: str) -> Plan:
    """For `.`, `..` and what has a slash in it as a directory, for anything else as an app."""
    if name in (".", "..") or "/" in name:
        if ctx.directory is None:
            raise UsageError("A directory can be looked at only on the host itself", hint="Name an app instead.")
        try:
            opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=ctx.directory)
        except OSError as error:
            raise InvalidInput(f"{shown(name)} cannot be read: {error.strerror}") from None
        with DirectoryTree(opened) as directory:
            return ctx.platform.pipeline.packs_of_directory(directory, ctx.out)
    app, platform = ctx.app(name), ctx.platform
    repo, user = platform.apps.repo(app), platform.settings.user
    release = releases.current(platform.db, app)
    commit = release.commit if release else repos.commit_of(repo, "HEAD", user)
    if not commit:
        raise Conflict(f"{app.name} has no commit yet", hint="Push to it first: git push paas master")
    with GitTree(Source(app.name, repo, commit), user) as tree:
        return platform.pipeline.packs(app, tree, ctx.out)


def _described(each: Applied) -> dict[str, object]:
    return {
        "name": each.name,
        "why": each.why,
        "versions": {name: version.text for name, version in each.versions.items()},
        "facts": each.facts,
        "web": each.web,
        "offers": each.offers,
    }


@command(
    "buildpacks:report",
    GLOBAL,
    FORMAT,
    KEY,
    app_argument(optional=True),
    needs="view",
    examples=("buildpacks:report shop",),
)
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None, **flags: bool) -> None:
    """Show the buildpacks and the stack of an app, or of all."""
    properties = ctx.platform.properties
    broken = "; ".join(f"{name}: {error.message}" for name, error in catalog.current().broken.items())
    if flags["global"]:
        stack: Report = {
            "buildpacks-global-stack": properties.raw("buildpacks", "stack", None) or "",
            "buildpacks-broken": broken,
        }
        show(ctx, "buildpacks", [("global", stack)], format, KEY)
        return
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    found = []
    for each in apps:
        commits = buildpacks.fetched(ctx.platform.db, each)
        packs: Report = {
            "buildpacks-list": ",".join(buildpacks.listed(ctx.platform.db, each)),
            "buildpacks-fetched": " ".join(f"{pack}@{commit[:12]}" for pack, (commit, _) in commits.items()),
            "buildpacks-broken": broken,
        }
        found.append((each.name, packs | properties.report("buildpacks", each)))
    show(ctx, "buildpacks", found, format, KEY)


@command(
    "buildpacks:set-property",
    GLOBAL,
    Argument("app-key-value", many=True),
    examples=("buildpacks:set-property shop stack heroku/heroku:24", "buildpacks:set-property --global stack"),
)
def set_property(ctx: Context, app_key_value: list[str], **flags: bool) -> None:
    """Set `stack`, the image that buildpacks build on; without a value the global one holds again."""
    words = list(app_key_value)
    app = None if flags["global"] else ctx.app(words.pop(0))
    if app is None and not ctx.who.admin:
        raise Denied("Only an admin key may change what holds for all apps")
    if not 1 <= len(words) <= 2:
        raise UsageError("Name the property and its value", hint="Example: buildpacks:set-property shop stack IMAGE")
    key, value = words[0], words[1] if len(words) == 2 else ""
    ctx.platform.properties.set("buildpacks", key, value, app)
    people.record(ctx.platform.db, ctx.who, app.name if app else "", "buildpacks:set-property", key)
    ctx.out.heading(f"Set {key} to {value}" if value else f"Unset {key}")


def _tell(ctx: Context, app: App, action: str, packs: list[str]) -> None:
    people.record(ctx.platform.db, ctx.who, app.name, action, str(len(packs)))
    ctx.out.heading(f"{app.name} has {len(packs)} buildpacks" if packs else f"{app.name} has no buildpacks")
    for pack in packs:
        ctx.out.detail(pack)
