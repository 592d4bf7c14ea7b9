"""pull, push, login, logout — images in registries."""

from __future__ import annotations

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.errors import Denied, UsageError
from paas.image.reference import DOCKER_HUB, parse
from paas.output import to_json
from paas.registry.credentials import Login
from paas.registry.registries import registry_name
from paas.registry.transport import Say
from paas.state import people

_PASSWORD_LIMIT = 64 << 10
_QUIET = Flag("--quiet", "say only what came of it", short="-q")


@command(
    "pull",
    _QUIET,
    FORMAT,
    Argument("name"),
    admin=True,
    examples=("pull debian:bookworm", "pull registry.example.com/team/app:2"),
)
def pull(ctx: Context, name: str, quiet: bool, format: str | None) -> None:
    """Fetch an image from its registry: NAME[:TAG] or NAME@DIGEST; without a registry's name from docker.io.

    Layers that are here are not downloaded again. What `login` keeps is used where a registry asks for it.
    """
    done = ctx.platform.registries.pull(name, _say(ctx, quiet or format == "json"), ctx.hung_up.is_set)
    reference = parse(name)
    people.record(ctx.platform.db, ctx.who, "", "pull", f"{reference} {done.image.short_id}")
    if format == "json":
        fields = {"reference": str(reference), "id": done.image.id, "digest": done.digest, "fresh": done.fresh}
        ctx.out.line(to_json(fields))
        return
    if not quiet:
        ctx.out.line(f"Digest: {done.digest}")
        status = "Downloaded newer image for" if done.fresh else "Image is up to date for"
        ctx.out.line(f"Status: {status} {reference}")
    whole = str(reference)
    if reference.registry == DOCKER_HUB:
        whole = f"{DOCKER_HUB}/{'' if '/' in reference.name else 'library/'}{whole}"
    ctx.out.line(whole)


@command(
    "push",
    _QUIET,
    FORMAT,
    Argument("name"),
    admin=True,
    examples=("push registry.example.com/team/wiki:2",),
)
def push(ctx: Context, name: str, quiet: bool, format: str | None) -> None:
    """Send an image to the registry that its name begins with; `tag` gives it such a name."""
    done = ctx.platform.registries.push(name, _say(ctx, quiet or format == "json"), ctx.hung_up.is_set)
    reference = parse(name)
    people.record(ctx.platform.db, ctx.who, "", "push", f"{reference} {done.digest}")
    if format == "json":
        ctx.out.line(to_json({"reference": str(reference), "digest": done.digest, "size": done.size}))
    elif quiet:
        ctx.out.line(str(reference))
    else:
        ctx.out.line(f"{reference.tag}: digest: {done.digest} size: {done.size}")


def _say(ctx: Context, quiet: bool) -> Say:
    return (lambda line: None) if quiet else ctx.out.line


@command(
    "login",
    Flag("--username", "name of the account", "USER", short="-u"),
    Flag("--password-stdin", "take the password from the input"),
    Argument("registry", optional=True),
    admin=True,
    examples=("login -u robot --password-stdin registry.example.com <token",),
)
def login(ctx: Context, registry: str | None, username: str | None, password_stdin: bool) -> None:
    """Keep a login for a registry (docker.io without one), once the registry has accepted it.

    The password comes from the input, never from the command line, where others could see it.
    """
    name = registry_name(registry)
    if username is None:
        if ctx.tty and not password_stdin:
            ctx.out.raw(b"Username: ")
            username = ctx.read_line()
        if not username:
            raise UsageError("Whose login is it?", hint="paas login -u USER --password-stdin REGISTRY <FILE")
    if not password_stdin:
        raise UsageError(
            "The password has to come from the input: a terminal would show it",
            hint=f"paas login -u {username} --password-stdin {name} <FILE",
        )
    password = ctx.read_all(_PASSWORD_LIMIT).rstrip("\r\n")
    if not password:
        raise UsageError("The input has no password")
    ctx.platform.registries.log_in(name, Login(username, password), ctx.hung_up.is_set)
    people.record(ctx.platform.db, ctx.who, "", "login", f"{username} {name}")
    ctx.out.line("Login Succeeded")


@command("logout", Argument("registry", optional=True), admin=True, examples=("logout registry.example.com",))
def logout(ctx: Context, registry: str | None) -> None:
    """Forget the login for a registry (docker.io without one)."""
    name = registry_name(registry)
    if not ctx.platform.registries.log_out(name):
        raise Denied(f"Not logged in to {name}")
    people.record(ctx.platform.db, ctx.who, "", "logout", name)
    ctx.out.line(f"Removing login credentials for {name}")
