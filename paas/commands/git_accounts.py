"""git:auth and its kin — what this machine proves itself with to other git servers."""

from __future__ import annotations

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument
from paas.errors import NotFound, UsageError
from paas.names import port_number
from paas.output import table, to_json
from paas.source.accounts import host_name
from paas.source.remotes import Login
from paas.state import people

_PASSWORD_LIMIT = 64 << 10


@command(
    "git:auth",
    Argument("host", host_name),
    Argument("username", optional=True),
    Argument("password", optional=True),
    admin=True,
    examples=("git:auth github.com robot <token", "git:auth github.com"),
)
def auth(ctx: Context, host: str, username: str | None, password: str | None) -> None:
    """Keep a login for git and archives over https from a host; without a user name it is forgotten.

    A password that is not given comes from the input, where no other user of a machine sees it.
    """
    if username is None:
        if not ctx.platform.accounts.set_login(host, None):
            raise NotFound(f"There is no login for {host}", hint="git:auth-status shows those that there are.")
        people.record(ctx.platform.db, ctx.who, "", "git:auth", f"remove {host}")
        ctx.out.heading(f"Forgot the login for {host}")
        return
    if password is None:
        if ctx.tty:
            raise UsageError("The password is missing", hint=f"Send it: git:auth {host} {username} <FILE")
        password = ctx.read_all(_PASSWORD_LIMIT).rstrip("\r\n")
    ctx.platform.accounts.set_login(host, Login(username, password))
    people.record(ctx.platform.db, ctx.who, "", "git:auth", f"{username} {host}")
    ctx.out.heading(f"Keeping the login of {username} for {host}")


@command(
    "git:auth-status",
    FORMAT,
    Argument("host", host_name, optional=True),
    admin=True,
    examples=("git:auth-status", "git:auth-status github.com"),
    effect="reads",
)
def auth_status(ctx: Context, host: str | None, format: str | None) -> int:
    """List the hosts there is a login for, without passwords. Of one host: status 1 when there is none."""
    logins = ctx.platform.accounts.logins()
    found = {name: login for name, login in sorted(logins.items()) if host in (None, name)}
    if format == "json":
        ctx.out.line(to_json([{"host": name, "user": login.user} for name, login in found.items()]))
    elif host is not None and not found:
        raise NotFound(f"There is no login for {host}", hint=f"Keep one: git:auth {host} USER <FILE")
    else:
        for line in table(("HOST", "USER"), [(name, login.user) for name, login in found.items()]):
            ctx.out.line(line)
    return 0 if host is None or found else 1


@command(
    "git:allow-host",
    Argument("host"),
    admin=True,
    examples=("git:allow-host github.com", "git:allow-host git.example.com:2222"),
)
def allow_host(ctx: Context, host: str) -> None:
    """Take the ssh keys that a host shows now as its own; compare the fingerprints with those it publishes."""
    name, colon, port = host.partition(":")
    name = host_name(name)
    prints = ctx.platform.accounts.allow_host(name, port_number(port) if colon else 22)
    people.record(ctx.platform.db, ctx.who, "", "git:allow-host", host)
    ctx.out.heading(f"Taken as the keys of {host}:")
    for line in prints:
        ctx.out.detail(line)


@command("git:public-key", admin=True, examples=("git:public-key",), effect="reads")
def public_key(ctx: Context) -> None:
    """Show the public half of the deploy key, for the settings of a repository elsewhere."""
    ctx.out.line(ctx.platform.accounts.public_key())


@command("git:generate-deploy-key", admin=True, examples=("git:generate-deploy-key",))
def generate_deploy_key(ctx: Context) -> None:
    """Make the key that git:sync uses over ssh, and show its public half."""
    text = ctx.platform.accounts.generate_key(f"paas@{ctx.platform.settings.domain or 'localhost'}")
    people.record(ctx.platform.db, ctx.who, "", "git:generate-deploy-key")
    ctx.out.heading("Made a deploy key. Its public half:")
    ctx.out.line(text)
