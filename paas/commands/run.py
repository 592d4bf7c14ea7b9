"""run — a command in a new container: of an app, or of an image."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, cast

from paas.apps.environment import parse_assignments
from paas.apps.properties import duration
from paas.commands.attaching import converse, ended, stay
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag
from paas.commands.oneoffs import TTL
from paas.commands.typed import read_typed
from paas.containers import ports
from paas.containers.life import Before
from paas.containers.model import Options
from paas.containers.names import ContainerName
from paas.errors import AppNotFound, Denied, InvalidInput, NotFound, UsageError
from paas.model import Mount, Restart
from paas.runtime import asking
from paas.runtime.spec import new_id
from paas.state import people
from paas.state.apps import App

_ENV_FILE_LIMIT = 1 << 20
_OF_APPS = ("env", "no_tty", "ttl_seconds", "rm", "interactive", "tty")
"""Flags that an app's run knows: the others are settled by the app itself."""


@command(
    "run",
    Flag("--rm", "remove the container when it has ended"),
    Flag("--interactive", "pass your input on to it", short="-i"),
    Flag("--tty", "give it a terminal", short="-t"),
    Flag("--detach", "let it run behind; prints its id", short="-d"),
    Flag(
        "--publish",
        "have a port of the host (a free one without HOST) lead to one of its own; ranges too: 8000-8002:80-82",
        "[[ADDRESS:]HOST:]PORT[/udp]",
        short="-p",
        many=True,
    ),
    Flag("--publish-all", "have free ports of the host lead to all that the image exposes", short="-P"),
    Flag("--env", "a variable; without a value, that which it has here", "KEY[=VALUE]", short="-e", many=True),
    Flag("--env-file", "a file of such lines", "FILE", many=True),
    Flag(
        "--volume",
        "mount a volume by name (without one, of its own), or a directory or file of the host",
        "[SOURCE:]TARGET[:ro]",
        short="-v",
        many=True,
    ),
    Flag("--workdir", "where it begins", "DIRECTORY", short="-w"),
    Flag("--user", "a name or id of the image, optionally with a group", "USER[:GROUP]", short="-u"),
    Flag("--name", "what it is called (default: a friendly name)", "NAME", parse=ContainerName),
    Flag("--hostname", "its own host name (default: its short id)", "NAME", parse=asking.hostname, short="-h"),
    Flag("--entrypoint", "in place of the image's", "PROGRAM"),
    Flag("--memory", "limit: 64m, 1g", "SIZE", parse=asking.memory, short="-m"),
    Flag("--cpus", "limit: 0.5, 2", "NUMBER", parse=asking.cpus),
    Flag("--read-only", "let it write to its mounts alone"),
    Flag("--network", "own (default), or none", "NETWORK", parse=asking.network),
    Flag("--restart", "no, on-failure[:MOST], always or unless-stopped", "POLICY", parse=asking.restart),
    Flag("--cap-drop", "take a capability away, or ALL", "CAPABILITY", parse=asking.capability, many=True),
    Flag("--cap-add", "give one of the default set back", "CAPABILITY", parse=asking.capability, many=True),
    Flag("--label", "a label", "KEY=VALUE", short="-l", many=True),
    Flag("--init", "have a small init reap orphans and pass signals on"),
    Flag("--ttl-seconds", "for an app: after which it is ended", "SECONDS", parse=duration),
    Flag("--no-tty", "for an app: no terminal, even when the caller has one"),
    Argument("app-or-image"),
    Argument("command", optional=True, rest=True),
    page="containers",
    effect="acts",
    examples=(
        "run wiki ls -l",
        "run -e DEBUG=1 wiki ./manage.py migrate",
        "run -it --rm debian:bookworm bash",
        "run -d --name shop-db -p 5432:5432 -v shop-db:/var/lib/data --restart unless-stopped shop-db:2",
    ),
)
def run(ctx: Context, app_or_image: str, command: list[str], **flags: Any) -> int:
    """Run a command in a new container.

    The word after the flags is an app if there is an app of that name, else an image. A container of an app has its
    config vars and storage, has a terminal when you have one (ssh -t), and is removed afterwards. One of an image is as
    the flags say, and stays until `rm`, unless --rm; only admin keys may run it. The exit status is the command's.
    """
    app = ctx.platform.apps.find(app_or_image)
    if app is not None:
        return _run_app(ctx, app, command, flags)
    if not ctx.who.admin:
        if ":" not in app_or_image and "/" not in app_or_image:
            ctx.platform.apps.get(app_or_image)  # raises, with near matches: an app was meant
        raise Denied("Only an admin key may run an image", hint="Run it on the host as root: paas run ...")
    return _run_image(ctx, app_or_image, command, flags)


def _run_app(ctx: Context, app: App, command: list[str], flags: dict[str, Any]) -> int:
    for name, value in flags.items():
        if value not in (None, False, []) and name not in _OF_APPS:
            raise UsageError(
                f"--{name.replace('_', '-')} is not for an app, and {app.name} is one",
                hint="An app's own settings say this: see config, storage, ports, ps:scale.",
            )
    if not command:
        raise UsageError("<command> is missing", hint=f"Example: run {app.name} ls -l")
    extra = parse_assignments(flags["env"]) if flags["env"] else {}
    terminal = ctx.tty and not flags["no_tty"]
    oneoff = ctx.platform.oneoff
    limit = float(flags["ttl_seconds"] or TTL)
    with ExitStack() as undo:
        stdio = None if terminal else (ctx.stdin, ctx.stdout, ctx.stderr)
        id = oneoff.prepare(app, command, extra, undo, ctx.who, terminal=terminal, stdio=stdio)
        if terminal:
            status = converse(ctx, id, limit)
        else:
            oneoff.runtime.start(id)
            status = ended(ctx, id, limit)
        if why := oneoff.why_ended(id):
            ctx.out.warn(f"The command {why}")
        return status


def _run_image(ctx: Context, image: str, command: list[str], flags: dict[str, Any]) -> int:
    options = _options(ctx, command, flags)
    maps = ports.exposed(flags["publish"])
    if (maps or flags["publish_all"]) and options.network == "none":
        raise InvalidInput("A container without a network has no ports", hint="Leave out -p, or --network none.")
    life, made = ctx.platform.containers.life, []

    def begin(before: Before) -> None:
        try:
            row = life.run(image, options, flags["name"], maps, before, publish_all=flags["publish_all"])
        except NotFound as error:
            raise _neither(ctx, image, error) from None
        made.append(row)
        people.record(ctx.platform.db, ctx.who, "", "container run", f"{row.name} {image}")

    if options.detached:
        begin(lambda id: None)
        ctx.out.line(made[0].id)
        return 0
    return stay(ctx, begin, terminal=options.terminal, stdin=options.stdin)


def _options(ctx: Context, command: list[str], flags: dict[str, Any]) -> Options:
    restart = cast(Restart, flags["restart"] or Restart())
    if flags["rm"] and restart.policy != "no":
        raise UsageError("--rm and --restart contradict each other", hint="Leave one of them out.")
    if flags["no_tty"]:
        raise UsageError("--no-tty is for apps: without -t a container of an image has no terminal")
    detached = bool(flags["detach"])
    if flags["tty"] and flags["interactive"] and not ctx.tty and not detached:
        raise UsageError("-it needs a terminal on your side", hint="Over ssh: ssh -t ...; in a script leave out -t.")
    lines = [line for file in flags["env_file"] for line in asking.env_lines(read_typed(ctx, file, _ENV_FILE_LIMIT))]
    mounts, anonymous = _mounts(ctx, flags["volume"])
    return Options(
        command=tuple(command),
        entrypoint=flags["entrypoint"],
        env=asking.variables([*lines, *flags["env"]], ctx.environment),
        workdir=_absolute(flags["workdir"]),
        user=flags["user"],
        hostname=flags["hostname"],
        labels=asking.labels(flags["label"]),
        mounts=mounts,
        anonymous=anonymous,
        memory=flags["memory"],
        cpus=flags["cpus"],
        read_only=flags["read_only"],
        network=flags["network"] or "own",
        capabilities=asking.capabilities(flags["cap_drop"], flags["cap_add"]),
        restart=restart,
        terminal=flags["tty"],
        stdin=flags["interactive"],
        detached=detached,
        init=flags["init"],
        remove=flags["rm"],
    )


def _absolute(directory: str | None) -> str | None:
    if directory is not None and not directory.startswith("/"):
        raise InvalidInput("The working directory has to be an absolute path", hint="Example: -w /srv")
    return directory


def _mounts(ctx: Context, words: list[str]) -> tuple[tuple[Mount, ...], tuple[str, ...]]:
    """What is to be mounted, and the targets of volumes that get no name."""
    storage, volumes = ctx.platform.storage, ctx.platform.containers.parts.volumes
    mounts = tuple(storage.parse(word if ":" in word else f"{new_id()}:{word}", ctx.who) for word in words)
    targets = [mount.target for mount in mounts]
    for target in targets:
        if targets.count(target) > 1:
            raise InvalidInput(f"Two directories are to be mounted on {target}")
    for mount in mounts:
        if not volumes.name_of(mount):  # a volume is made with its container
            storage.prepare(mount)
    return mounts, tuple(mount.target for word, mount in zip(words, mounts, strict=True) if ":" not in word)


def _neither(ctx: Context, name: str, error: NotFound) -> NotFound:
    """The word is no image; it may have been meant for an app."""
    try:
        ctx.platform.apps.get(name)
    except AppNotFound as missing:
        if "Did you mean" in (missing.hint or "") or "Did you mean" not in (error.hint or ""):
            return AppNotFound(f"There is neither an app nor an image {name}", hint=missing.hint or error.hint)
    return error
