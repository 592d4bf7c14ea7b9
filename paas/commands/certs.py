"""certs:* — the certificates apps are served with by https."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime, timedelta

from paas.apps.domains import hostname
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, KEY, Argument, app_argument
from paas.commands.report import Report, show
from paas.commands.typed import read_typed
from paas.errors import Conflict, Denied, InvalidInput, PaasError, UsageError
from paas.names import Hostname, shown
from paas.proxy import certificates
from paas.proxy.certificates import SIZE_LIMIT, Certificate
from paas.state.apps import App

_TAR_LIMIT = 2 << 20
_SOON = timedelta(days=14)
_HINT = "Over ssh, give a tar: tar -c server.crt server.key | ssh paas@HOST certs:add APP"


@command(
    "certs:add",
    app_argument(),
    Argument("crt", optional=True),
    Argument("key", optional=True),
    examples=("certs:add wiki server.crt server.key", "certs:add wiki < cert.tar"),
    aliases=("certs:update",),
)
def add(ctx: Context, app: str, crt: str | None, key: str | None) -> None:
    """Serve an app by https with this certificate, in place of the one it may have.

    CRT is the certificate followed by its chain, KEY its private key without a passphrase, both in PEM: files on this
    host, or the members server.crt and server.key of a tar archive on standard input. Hostnames that the certificate
    is for are sent from http to https; others are served by http as before.
    """
    ctx.app(app)
    certificate = certificates.read(*_given(ctx, crt, key))
    ctx.platform.edge.set_certificate(app, lambda found: certificate, ctx.request(), "certs:add")
    ctx.out.heading(f"{app} is served with a certificate until {certificate.expires:%Y-%m-%d}")
    _remarks(ctx, ctx.app(app), certificate)


@command(
    "certs:generate",
    app_argument(),
    Argument("hostname", hostname, optional=True, many=True),
    examples=("certs:generate wiki", "certs:generate wiki wiki.example.com"),
)
def generate(ctx: Context, app: str, hostname: list[Hostname]) -> None:
    """Make a certificate that is signed by itself, for the hostnames of an app or for those given.

    It is for trying: browsers warn of it.
    """

    def made(found: App) -> Certificate:
        names = hostname or ctx.platform.domains.of(found)
        if not names:
            raise Conflict(f"{app} has no hostname", hint=f"certs:generate {app} HOSTNAME, or domains:add first.")
        return certificates.generate(names)

    ctx.platform.edge.set_certificate(app, made, ctx.request(), "certs:generate")
    names = ctx.platform.edge.certs.load(ctx.app(app)).hostnames
    ctx.out.heading(f"{app} is served with a certificate signed by itself, for {' '.join(names)}")


@command("certs:remove", app_argument(), examples=("certs:remove wiki",))
def remove(ctx: Context, app: str) -> None:
    """Serve an app by http alone."""
    ctx.platform.edge.remove_certificate(app, ctx.request())
    ctx.out.heading(f"Removed the certificate of {app}")


def _which(text: str) -> str:
    if text not in ("crt", "key"):
        raise UsageError(f"{shown(text)} is neither crt nor key")
    return text


@command(
    "certs:show",
    app_argument(),
    Argument("crt|key", _which),
    examples=("certs:show wiki crt", "certs:show wiki key > server.key"),
    effect="reads",
)
def show_part(ctx: Context, app: str, **words: str) -> None:
    """Print the certificate of an app with its chain, or (admin keys only) its private key."""
    which = words["crt|key"]
    found = ctx.app(app)
    if which == "key" and not ctx.who.admin:
        raise Denied("Only an admin key may see private keys")
    certificate = ctx.platform.edge.certs.load(found)
    ctx.out.raw((certificate.key if which == "key" else certificate.chain).encode())


@command(
    "certs:report",
    FORMAT,
    KEY,
    app_argument(optional=True),
    examples=("certs:report wiki", "certs:report wiki --ssl-expires-at"),
    needs="view",
)
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None) -> None:
    """Show the certificate of one app, or of all."""
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    show(ctx, "ssl", [(found.name, _report(ctx, found)) for found in apps], format, KEY)


def _report(ctx: Context, app: App) -> Report:
    stored = ctx.platform.edge.certs.current(app)
    found: Report = {
        "ssl-dir": str(stored.directory) if stored else "",
        "ssl-enabled": stored is not None,
        "ssl-hostnames": " ".join(stored.hostnames) if stored else "",
        "ssl-expires-at": "",
        "ssl-issuer": "",
        "ssl-starts-at": "",
        "ssl-subject": "",
        "ssl-verified": "",
    }
    if stored is not None:
        try:
            certificate = ctx.platform.edge.certs.load(app)
        except PaasError as error:
            return {**found, "ssl-verified": error.message}
        found |= {
            "ssl-expires-at": certificate.expires.isoformat(),
            "ssl-issuer": certificate.issuer,
            "ssl-starts-at": certificate.starts.isoformat(),
            "ssl-subject": certificate.subject,
            "ssl-verified": certificate.verified(),
        }
    return found


def _given(ctx: Context, crt: str | None, key: str | None) -> tuple[str, str]:
    """The texts of certificate and key."""
    if crt is not None and key is not None:
        return read_typed(ctx, crt, SIZE_LIMIT, _HINT), read_typed(ctx, key, SIZE_LIMIT, _HINT)
    if crt is not None:
        raise UsageError("The key's file is missing", hint="certs:add APP CRT KEY")
    if ctx.tty:
        raise UsageError("The certificate and key are missing", hint=_HINT)
    return from_tar(ctx.read_bytes(_TAR_LIMIT))


def from_tar(data: bytes) -> tuple[str, str]:
    """The members server.crt and server.key, or the only ones named *.crt (*.pem) and *.key. Raises InvalidInput."""
    found: dict[str, list[tuple[str, str]]] = {"crt": [], "key": []}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for entry in tar:
                name = entry.name.rpartition("/")[2]
                kind = {"crt": "crt", "pem": "crt", "key": "key"}.get(name.rpartition(".")[2], "")
                content = tar.extractfile(entry) if kind and entry.isreg() and entry.size <= SIZE_LIMIT else None
                if content is not None and not name.startswith("."):
                    found[kind].append((name, content.read().decode()))
    except (tarfile.TarError, EOFError, OSError, ValueError):
        raise InvalidInput("The input is not a tar archive of PEM files", hint=_HINT) from None
    texts = []
    for kind, members in found.items():
        chosen = [text for name, text in members if name == f"server.{kind}"] or [text for _, text in members]
        if len(chosen) != 1:
            raise InvalidInput(f"The archive has {'no' if not chosen else 'more than one'} server.{kind}", hint=_HINT)
        texts.append(chosen[0])
    return texts[0], texts[1]


def _remarks(ctx: Context, app: App, certificate: Certificate) -> None:
    now = datetime.now(UTC)
    if certificate.expires < now:
        ctx.out.warn(f"The certificate expired on {certificate.expires:%Y-%m-%d}: browsers refuse it")
    elif certificate.expires < now + _SOON:
        ctx.out.warn(f"The certificate expires soon, on {certificate.expires:%Y-%m-%d}")
    if certificate.starts > now:
        ctx.out.warn(f"The certificate is valid only from {certificate.starts:%Y-%m-%d} on")
    others = [name for name in ctx.platform.domains.served(app) if not certificate.covers(name)]
    if others:
        ctx.out.warn(f"It is not for {', '.join(others)}: served by http alone")
