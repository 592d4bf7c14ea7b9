"""pull, push, login, logout — images in registries."""

from __future__ import annotations

from dataclasses import asdict

from paas.commands import formats
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.errors import Denied, InvalidInput, UsageError
from paas.image.reference import DOCKER_HUB, parse
from paas.names import printable, shown
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


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 100):
        raise InvalidInput(f"{shown(text)} is not a number from 1 to 100")
    return int(text)


_HEADINGS = {"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"}
_WIDTH = 45
"""Characters of a description that are shown, as Docker does it."""


@command(
    "search",
    Flag("--limit", "this many at most (default 25)", "NUMBER", parse=_limit),
    Flag("--no-trunc", "whole descriptions"),
    formats.FORMAT,
    Argument("term"),
    admin=True,
    examples=(
        "search wiki",
        "search localhost:5000/wik",
        "search --limit 5 --format '{{.Name}}' registry.example.com/team",
    ),
    effect="reads",
)
def search(ctx: Context, term: str, limit: int | None, no_trunc: bool, format: formats.Format | None) -> None:
    """Look for images: on Docker Hub, or in a registry whose name stands in front.

    A registry without a search of its own is asked for the list of its repositories, which has names alone.
    """
    first, slash, rest = term.partition("/")
    named = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, wanted = (registry_name(first), rest) if named else (registry_name(None), term)
    hits = ctx.platform.registries.search(registry, wanted, limit or 25, ctx.hung_up.is_set)
    rows = []
    for hit in hits:
        text = printable(" ".join(hit.description.split()))
        rows.append(
            {
                "Name": hit.name,
                "Description": text if no_trunc or len(text) <= _WIDTH else text[: _WIDTH - 1] + "…",
                "StarCount": str(hit.stars),
                "IsOfficial": "[OK]" if hit.official else "",
            }
        )
    formats.show(ctx, format, _HEADINGS, tuple(_HEADINGS), rows, lambda: [asdict(hit) for hit in hits])


def _say(ctx: Context, quiet: bool) -> Say:
    return (lambda line: None) if quiet else ctx.out.line


@command(
    "login",
    Flag("--username", "name of the account", "USER", short="-u"),
    Flag("--password-stdin", "take the password from the input"),
    Argument("registry", optional=True),
    admin=True,
    examples=("login -u robot registry.example.com", "login -u robot --password-stdin registry.example.com <token"),
)
def login(ctx: Context, registry: str | None, username: str | None, password_stdin: bool) -> None:
    """Keep a login for a registry (docker.io without one), once the registry has accepted it.

    The password is asked for at a terminal (over ssh: ssh -t), which does not show it; else it comes from the input.
    It is never on the command line, where others could see it.
    """
    name = registry_name(registry)
    if username is None:
        if ctx.tty and not password_stdin:
            ctx.out.raw(b"Username: ")
            username = ctx.read_line()
        if not username:
            raise UsageError("Whose login is it?", hint="paas login -u USER --password-stdin REGISTRY <FILE")
    if password_stdin:
        password = ctx.read_all(_PASSWORD_LIMIT).rstrip("\r\n")
    elif ctx.tty:
        password = ctx.read_secret("Password: ")
    else:
        raise UsageError(
            "There is no terminal to ask for the password",
            hint=f"Over ssh: ssh -t ...; in a script: paas login -u {username} --password-stdin {name} <FILE",
        )
    if not password:
        raise UsageError("No password was given")
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
