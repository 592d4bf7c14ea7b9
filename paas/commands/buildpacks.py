"""buildpacks:* — the list of buildpacks of an app. Builds do not use it yet: they come from a Dockerfile."""

from __future__ import annotations

from paas.apps import buildpacks
from paas.apps.properties import count
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, GLOBAL, KEY, Argument, Flag, app_argument
from paas.commands.report import Report, show
from paas.errors import Denied, UsageError
from paas.model import Source
from paas.output import to_json
from paas.source import repos
from paas.source.tree import GitTree
from paas.state import people, releases
from paas.state.apps import App

_INDEX = Flag("--index", "a place in the list, from 1", "NUMBER", parse=count)
_SIGNS = (
    ("Gemfile", "heroku/ruby"),
    ("package.json", "heroku/nodejs"),
    ("requirements.txt", "heroku/python"),
    ("pyproject.toml", "heroku/python"),
    ("go.mod", "heroku/go"),
    ("pom.xml", "heroku/java"),
    ("build.gradle", "heroku/gradle"),
    ("composer.json", "heroku/php"),
    ("build.sbt", "heroku/scala"),
)
"""What the packs themselves look for, in the order in which they are asked."""
_FILE_LIMIT = 64 << 10


@command(
    "buildpacks:add",
    _INDEX,
    app_argument(),
    Argument("buildpack"),
    examples=("buildpacks:add shop heroku/nodejs", "buildpacks:add --index 1 shop https://example.com/apt.git"),
)
def add(ctx: Context, app: str, buildpack: str, index: int | None) -> None:
    """Add a buildpack to the list of an app. It is kept for later: builds here come from a Dockerfile so far."""
    found = ctx.app(app)
    _tell(ctx, found, "buildpacks:add", buildpacks.add(ctx.platform.db, found, buildpack, index))


@command(
    "buildpacks:set",
    _INDEX,
    Flag("--replace", "these are the whole list"),
    app_argument(),
    Argument("buildpack", many=True),
    examples=("buildpacks:set shop heroku/python", "buildpacks:set --replace shop heroku/nodejs heroku/python"),
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
    examples=("buildpacks:remove shop heroku/nodejs", "buildpacks:remove --index 1 shop"),
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
    if format == "json":
        ctx.out.line(to_json(packs))
        return
    ctx.out.result(f"{found.name} buildpack urls")
    for pack in packs:
        ctx.out.detail(pack)


@command("buildpacks:detect", FORMAT, app_argument(), needs="view", examples=("buildpacks:detect shop",))
def detect(ctx: Context, app: str, format: str | None) -> None:
    """Show the buildpacks that an app's repository asks for: those in .buildpacks, else what its files look like."""
    found = ctx.app(app)
    platform = ctx.platform
    repo, user = platform.apps.repo(found), platform.settings.user
    release = releases.current(platform.db, found)
    commit = release.commit if release else repos.commit_of(repo, "HEAD", user)
    packs: list[str] = []
    if commit:
        with GitTree(Source(found.name, repo, commit), user) as tree:
            tree.enter(platform.build_settings.directory(found))
            entry = tree.entry(".buildpacks")
            if entry is not None and entry.kind == "file":
                lines = tree.read(entry, _FILE_LIMIT).decode("utf-8", "replace").splitlines()
                packs = [buildpacks.address(line.strip()) for line in lines if line.strip() and line.strip()[0] != "#"]
            else:
                looks_like = [pack for name, pack in _SIGNS if tree.entry(name) is not None]
                packs = [buildpacks.address(pack) for pack in looks_like[:1]]
    if format == "json":
        ctx.out.line(to_json(packs))
        return
    if not packs:
        ctx.out.heading("No buildpack fits" if commit else f"{found.name} has no commit yet")
    for pack in packs:
        ctx.out.line(pack)


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
    if flags["global"]:
        stack: Report = {"buildpacks-global-stack": properties.raw("buildpacks", "stack", None) or ""}
        show(ctx, "buildpacks", [("global", stack)], format, KEY)
        return
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    found = []
    for each in apps:
        packs: Report = {"buildpacks-list": ",".join(buildpacks.listed(ctx.platform.db, each))}
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
