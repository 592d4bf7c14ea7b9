"""ssh-keys:* — who may use the SSH front door."""

from __future__ import annotations

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.errors import UsageError
from paas.names import KeyName
from paas.output import table, to_json
from paas.state import people


@command(
    "ssh-keys:add",
    Flag("--admin", "the key may manage keys, global domains and base images"),
    Argument("name", KeyName),
    Argument("public-key", many=True, optional=True),
    admin=True,
    examples=("ssh-keys:add alice < alice.pub", "ssh-keys:add --admin ops < ops.pub"),
)
def add(ctx: Context, name: KeyName, public_key: list[str], admin: bool) -> None:
    """Let the holder of a key push and manage apps. The public key is read from the input."""
    text = " ".join(public_key) if public_key else ctx.read_all(16384)
    if not text.strip():
        raise UsageError("No public key was given", hint="Usage: ssh-keys:add <name> < ~/.ssh/id_ed25519.pub")
    key = ctx.platform.keys.add(name, text, admin=admin)
    people.record(ctx.platform.db, ctx.who, "", "ssh-keys", f"add {name} {key.fingerprint}")
    ctx.out.heading(f"Added {name} ({key.fingerprint})")


@command("ssh-keys:list", FORMAT, admin=True, examples=("ssh-keys:list",))
def list_keys(ctx: Context, format: str | None) -> None:
    """List the keys."""
    keys = ctx.platform.keys.list()
    if format == "json":
        ctx.out.line(to_json([{"name": k.name, "fingerprint": k.fingerprint, "admin": k.admin} for k in keys]))
        return
    for line in table(
        ("NAME", "FINGERPRINT", "ADMIN"), [(k.name, k.fingerprint, "yes" if k.admin else "") for k in keys]
    ):
        ctx.out.line(line)


@command("ssh-keys:remove", Argument("name-or-fingerprint"), admin=True, examples=("ssh-keys:remove alice",))
def remove(ctx: Context, name_or_fingerprint: str) -> None:
    """Shut out the holder of a key. Connections that are open stay open."""
    key = ctx.platform.keys.remove(name_or_fingerprint)
    people.record(ctx.platform.db, ctx.who, "", "ssh-keys", f"remove {key.name} {key.fingerprint}")
    ctx.out.heading(f"Removed {key.name} ({key.fingerprint})")
