"""`paas setup`, `paas upgrade` and `paas uninstall`: the command line, the plan, the question, the work."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paas import settings as known
from paas.errors import Conflict, InvalidInput, NotFound, SystemFailure, UsageError
from paas.names import KeyName
from paas.network.listening import who_listens
from paas.output import Output, StreamOutput
from paas.paths import PROJECT
from paas.setup import checks, install, uninstall
from paas.setup.host import SETTINGS, UNIT, Host
from paas.setup.install import Wish
from paas.setup.steps import perform, show
from paas.setup.upgrade import Upgrade, restarting, running
from paas.setup.versions import Versions, opened

COMMON = """\
  --yes, --apply   do it; without it the plan is shown, and on a terminal a question asked
  --dry-run        show the plan only
  --root DIR       of another root, such as an image of a machine; its tools are run with chroot"""
USAGES = {
    "setup": f"""\
Usage: paas setup [--yes|--dry-run] [flags]

Install paas on this Debian server, as a service; run again it does what is missing. Nothing is changed before the plan
has been shown and agreed to.

  --domain NAME         apps get the hostname APP.NAME
  --key FILE            a .pub or authorized_keys file: its keys become the first admin's
  --admin NAME          under which name (default admin)
  --ssh-port N          of git push and ssh (default 2222); the system's own sshd keeps its port
  --http-port N, --https-port N
  --from WHAT           a wheel, a directory, DIRECTORY@REF or URL@REF of a git repository (default: this one)
{COMMON}
""",
    "upgrade": f"""\
Usage: paas upgrade [--from WHAT] [--yes|--dry-run]

Install another version beside the one in use, back the database up, switch, restart the engine while apps and nginx
go on serving, and go back by itself when the engine or an app that served before does not answer.

  --from WHAT      a wheel, a directory, DIRECTORY@REF or URL@REF of a git repository (default: as installed from)
{COMMON}
""",
    "uninstall": f"""\
Usage: paas uninstall [--purge] [--yes|--dry-run]

Stop everything and remove paas from this server. The data of apps and the settings stay, and a later setup finds them.

  --purge          remove the data of all apps, the settings and the account as well
{COMMON}
""",
}
_SETTINGS = ("domain", "ssh-port", "http-port", "https-port")
_VALUES = {
    "setup": (*_SETTINGS, "key", "admin", "from", "root"),
    "upgrade": ("from", "root"),
    "uninstall": ("root",),
}


@dataclass(slots=True)
class Words:
    """A command line. `values` by flag, without dashes."""

    yes: bool = False
    dry: bool = False
    purge: bool = False
    help: bool = False
    values: dict[str, str] = field(default_factory=dict)


def main(argv: Sequence[str], host: Host | None = None) -> int:
    """Run one of the three. Raises PaasError."""
    name, words = argv[0], parse(argv[0], argv[1:])
    out = StreamOutput(1, 2)
    if words.help:
        out.raw(USAGES[name].encode())
        return 0
    host = host or Host(Path(words.values.get("root", "/")).resolve())
    if os.geteuid() != 0:
        raise SystemFailure(f"paas {name} has to run as root", hint=f"sudo paas {name}")
    if not host.root.is_dir():
        raise NotFound(f"There is no directory {host.root}")
    os.umask(0o022)
    return {"setup": _setup, "upgrade": _upgrade, "uninstall": _uninstall}[name](out, host, words)


def parse(name: str, words: Sequence[str]) -> Words:
    """Raises UsageError."""
    found, queue = Words(), list(words)
    while queue:
        word = queue.pop(0)
        flag, equals, value = word.removeprefix("--").partition("=")
        if word in ("--yes", "--apply", "-y"):
            found.yes = True
        elif word == "--dry-run":
            found.dry = True
        elif word in ("--help", "-h"):
            found.help = True
        elif word == "--purge" and name == "uninstall":
            found.purge = True
        elif word.startswith("--") and flag in _VALUES[name]:
            if not equals and not queue:
                raise UsageError(f"--{flag} needs a value")
            found.values[flag] = value if equals else queue.pop(0)
        else:
            raise UsageError(f"paas {name} does not know {word}", hint=f"paas {name} --help")
    if found.yes and found.dry:
        raise UsageError("--dry-run shows and --yes does; choose one")
    return found


def _setup(out: Output, host: Host, words: Words) -> int:
    changed: dict[str, str | int] = {}
    for flag in _SETTINGS:
        if (text := words.values.get(flag)) is not None:
            changed[flag.replace("-", "_")] = text if flag == "domain" else _number(flag, text)
    settings = dataclasses.replace(_settings(host), **changed)  # type: ignore[arg-type]
    _refuse_foreign(settings)
    keys = _keys(out, host, words)
    admin = KeyName(words.values.get("admin", "admin"))
    running = host.run(["systemctl", "is-active", "paas"], check=False).text.strip() == "active"
    facts = checks.read(host, settings, who_listens, running=running)
    found = list(checks.findings(facts, settings))
    with opened(words.values.get("from", str(PROJECT))) as source:
        steps = install.steps(host, Wish(source, settings, changed, keys, admin))
        out.heading(f"kernel {facts.kernel}, cgroup {facts.cgroups}, {facts.memory >> 20} MB of memory")
        for finding in found:
            out.warn(f"{finding.message}")
            out.warn(f"    {finding.advice}")
        left = show(out, steps)
        if any(finding.level == "stop" for finding in found):
            raise Conflict("Nothing was changed: what is said above stands in the way")
        current = Versions(host).current
        if current not in (None, source.version):
            out.warn(f"Version {current} is in use and stays; `paas upgrade` changes to another")
        if not left:
            out.result("Everything is done already")
            return 0
        if not _agreed(out, words):
            return 0
        perform(out, steps)
    _after(out, settings, bool(keys))
    return 0


def _upgrade(out: Output, host: Host, words: Words) -> int:
    current = Versions(host).current
    if current is None or not host.is_there(UNIT):
        raise Conflict("paas is not installed here as a service", hint="paas setup installs it.")
    origin = words.values.get("from") or Versions(host).origin(current)
    if origin is None:
        raise UsageError("What to upgrade to?", hint="paas upgrade --from WHEEL, DIRECTORY, DIRECTORY@REF or URL@REF")
    with opened(origin) as source:
        if source.version == current and not running(host, current):
            out.warn("The engine that runs is of another version: an upgrade was interrupted after it had switched")
            if _agreed(out, words):
                perform(out, [restarting(host)])
            return 0
        if source.version == current:
            out.result(f"{origin} is version {current}, which runs already")
            return 0
        upgrade = Upgrade(host, _settings(host), source)
        out.heading(f"From version {current} to {source.version}")
        show(out, [*upgrade.preparing(), *upgrade.switching()])
        out.line("     If the engine or an app that serves now does not answer then, all of it is turned back.")
        if _agreed(out, words):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a connection that breaks must not leave it half way
            upgrade.run(out)
    return 0


def _uninstall(out: Output, host: Host, words: Words) -> int:
    settings = _settings(host)
    steps = uninstall.steps(host, settings, purge=words.purge)
    left = show(out, steps)
    out.line(f"     {uninstall.KEPT}")
    if not words.purge:
        out.line(f"     The data in {settings.data_dir} and {SETTINGS} stay (--purge removes them)")
    if not left:
        out.result("paas is not installed here")
    elif _agreed(out, words):
        perform(out, steps)
        out.result("paas is removed" + ("" if words.purge else f"; the data is in {settings.data_dir}"))
    return 0


def _settings(host: Host) -> known.Settings:
    return known.load(host.path(SETTINGS), os.environ if host.root == Path("/") else {})


def _refuse_foreign(settings: known.Settings) -> None:
    """The service reads the file, not this shell's environment."""
    names = [f"PAAS_{item.name.upper()}" for item in dataclasses.fields(settings)]
    if foreign := [name for name in names if name in os.environ]:
        raise Conflict(
            f"{', '.join(foreign)} is set in the environment, which the service would not see",
            hint=f"Write it to {SETTINGS}.",
        )


def _keys(out: Output, host: Host, words: Words) -> tuple[str, ...]:
    name = words.values.get("key")
    if name is None:
        if (path := install.root_keys(host)) is not None:
            out.warn(f"No --key given; root's own would be: --key {path}")
        return ()
    try:
        keys = install.key_lines(Path(name).read_text(errors="replace"))
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror}") from None
    if not keys:
        raise InvalidInput(f"{name} holds no OpenSSH public key", hint="Pass a file such as ~/.ssh/id_ed25519.pub.")
    return keys


def _number(flag: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"--{flag}: {text!r} is not a number")
    return int(text)


def _agreed(out: Output, words: Words) -> bool:
    if words.yes:
        return True
    if words.dry or not (sys.stdin.isatty() and sys.stdout.isatty()):
        out.line("     Nothing was changed; --yes does it.")
        return False
    out.raw(b"Do this? [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _after(out: Output, settings: known.Settings, has_key: bool) -> None:
    host = settings.domain or "HOST"
    out.result("paas runs")
    if not has_key:
        out.detail("paas ssh-keys:add --admin me < ~/.ssh/id_ed25519.pub     lets the first admin in")
    out.detail("paas images:bootstrap debian:bookworm                    a base image made here, if none is pulled")
    port = "" if settings.ssh_port == 22 else f":{settings.ssh_port}"
    out.detail(f"git remote add paas ssh://paas@{host}{port}/APP && git push paas master")
