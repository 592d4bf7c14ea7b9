"""ssh-keys:* — whose keys open the SSH front door."""

from __future__ import annotations

from paas.apps.access import Role
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.commands.typed import read_typed
from paas.errors import Conflict, InvalidInput, UsageError
from paas.names import KeyName, shown
from paas.output import to_json
from paas.state import people

_LIMIT = 16384


def _role(text: str) -> str:
    known = ("none", *(str(role) for role in Role))
    if text not in known:
        raise InvalidInput(f"{shown(text)} is not a role", hint=f"Known: {', '.join(known)}")
    return text


@command(
    "ssh-keys:add",
    Flag("--admin", "short for --role admin"),
    Flag("--role", "of the user on all apps: none, view, deploy or admin", "ROLE", parse=_role),
    Argument("name", KeyName),
    Argument("public-key", many=True, optional=True),
    admin=True,
    examples=(
        "ssh-keys:add alice < alice.pub",
        "ssh-keys:add alice /root/alice-laptop.pub",
        "ssh-keys:add --admin ops < ops.pub",
        "ssh-keys:add --role none guest < guest.pub",
    ),
)
def add(ctx: Context, name: KeyName, public_key: list[str], admin: bool, role: str | None) -> None:
    """Let a user in by a key: the name is the user's, who may have several keys.

    The public key comes from the input, from a file (on the host) or stands there as it is. A new user gets the role
    that access:set --global default-role says, deploy on all apps unless that was changed; the first access:add takes
    its place. One who has a key already keeps the roles there are.
    """
    text = _text(ctx, public_key)
    if not text.strip():
        raise UsageError("No public key was given", hint="Usage: ssh-keys:add <name> < ~/.ssh/id_ed25519.pub")
    if admin and role not in (None, "admin"):
        raise UsageError("--admin and --role contradict each other", hint="Leave one of them out.")
    usual = ctx.platform.properties.value("access", "default-role", None)
    key = ctx.platform.keys.add(name, text, "admin" if admin else role, usual)
    people.record(ctx.platform.db, ctx.who, "", "ssh-keys:add", f"{name} {key.fingerprint}")
    ctx.out.heading(f"Added {name} ({key.fingerprint})")


def _text(ctx: Context, words: list[str]) -> str:
    if not words:
        return ctx.read_all(_LIMIT)
    looks_like_a_file = len(words) == 1 and not words[0].startswith(("ssh-", "ecdsa-", "sk-"))
    return read_typed(ctx, words[0], _LIMIT) if looks_like_a_file else " ".join(words)


@command(
    "ssh-keys:list",
    FORMAT,
    Argument("name", optional=True),
    admin=True,
    effect="reads",
    examples=("ssh-keys:list", "ssh-keys:list --format json alice"),
)
def list_keys(ctx: Context, name: str | None, format: str | None) -> None:
    """List the keys, or those of one user."""
    keys = [key for key in ctx.platform.keys.every() if name in (None, key.name)]
    if format == "json":
        ctx.out.line(to_json([{"name": k.name, "fingerprint": k.fingerprint, "admin": k.admin} for k in keys]))
        return
    if name is not None and not keys:
        raise Conflict(f"There is no key of {shown(name)}", hint="ssh-keys:list shows all.")
    ctx.out.table(("NAME", "FINGERPRINT", "ADMIN"), [(k.name, k.fingerprint, "yes" if k.admin else "") for k in keys])


@command(
    "ssh-keys:remove",
    Flag("--fingerprint", "the one key with this fingerprint", "SHA256:..."),
    Argument("name-or-fingerprint", optional=True),
    admin=True,
    examples=("ssh-keys:remove alice", "ssh-keys:remove --fingerprint SHA256:jQ7T..."),
)
def remove(ctx: Context, name_or_fingerprint: str | None, fingerprint: str | None) -> None:
    """Shut a user out, or one key of theirs. Connections that are open can do no more than their user still may."""
    if (name_or_fingerprint is None) == (fingerprint is None):
        raise UsageError("Name a user, or a key by its fingerprint", hint="Usage: ssh-keys:remove alice")
    for key in ctx.platform.keys.remove(name_or_fingerprint or fingerprint or ""):
        people.record(ctx.platform.db, ctx.who, "", "ssh-keys:remove", f"{key.name} {key.fingerprint}")
        ctx.out.heading(f"Removed {key.name} ({key.fingerprint})")
