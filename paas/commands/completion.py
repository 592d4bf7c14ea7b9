"""completion and complete — commands, flags and names for the shells of users."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from paas.apps.access import ALL_APPS
from paas.commands.catalog import CATALOG, command
from paas.commands.context import Context
from paas.commands.declare import COMMON, Argument, Command, Flag
from paas.errors import InvalidInput
from paas.names import shown
from paas.state import people, releases
from paas.state.apps import App

_VALUES = {"--format": ("plain", "json")}
_HOST = re.compile(r"[A-Za-z0-9_.@:\[\]-]+")
_BASH = r"""# bash completion of {name}: source <({name} completion bash), or keep it in a file that bash reads
_{function}_complete() {{
    local line=${{COMP_LINE:0:COMP_POINT}} words word
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${{words[-1]}}
    local IFS=$'\n'
    COMPREPLY=($({ask} 2>/dev/null </dev/null))
    # bash takes : and = for the ends of words: what stands before the last of them is not to be written again
    local before=${{word%"${{word##*[:=]}}"}}
    if [[ -n $before && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${{COMPREPLY[@]#"$before"}}")
    fi
}}
complete -o nosort -o default -F _{function}_complete {name}
"""
_ZSH = r"""#compdef {name}
# zsh completion of {name}: source <({name} completion zsh) after compinit
_{function}_complete() {{
    local -a words_ found
    words_=("${{(@)words[1,CURRENT]}}")
    found=("${{(@f)$({ask_zsh} 2>/dev/null </dev/null)}}")
    compadd -Q -- "${{(@)found:#}}"
}}
compdef _{function}_complete {name}
"""


def _shell(text: str) -> str:
    if text not in ("bash", "zsh"):
        raise InvalidInput(f"{shown(text)} is not a shell that completion is made for", hint="Known: bash, zsh")
    return text


def _host(text: str) -> str:
    if not _HOST.fullmatch(text) or text.startswith("-"):
        raise InvalidInput(f"{shown(text)} is not a host, or a name from ~/.ssh/config")
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", text):
        raise InvalidInput(f"{shown(text)} is not the name of a command")
    return text


@command(
    "completion",
    Flag("--ssh", "complete over ssh, by this host or alias: for `alias paas='ssh HOST'`", "HOST", parse=_host),
    Flag("--name", "what the command is called there (default: paas)", "NAME", parse=_name),
    Argument("shell", _shell),
    needs="anyone",
    examples=(
        "completion bash > /etc/bash_completion.d/paas",
        "completion bash --ssh dokku@example.com --name dokku",
        "completion zsh --ssh my-host",
    ),
)
def completion(ctx: Context, shell: str, ssh: str | None, name: str | None) -> None:
    """Print a script that completes commands, flags and the names of apps in bash or zsh."""
    called = name or "paas"
    far = f"ssh -o BatchMode=yes -o ConnectTimeout=2 {shlex.quote(ssh)} --" if ssh else shlex.quote(called)
    after, after_zsh = '"${words[@]:1}"', '"${(@)words_[2,-1]}"'
    if ssh:  # the far side splits the words as a shell does
        after, after_zsh = '"$(printf \'%q \' "${words[@]:1}")"', '"${(j: :)${(@qq)words_[2,-1]}}"'
    script = _BASH if shell == "bash" else _ZSH
    ctx.out.raw(
        script.format(
            name=called,
            function=called.replace("-", "_"),
            ask=f"{far} complete -- {after}",
            ask_zsh=f"{far} complete -- {after_zsh}",
        ).encode()
    )


@command("complete", Argument("word", rest=True, optional=True), needs="anyone", examples=("complete -- apps:",))
def complete(ctx: Context, word: list[str]) -> None:
    """Print what may stand in place of the last word, a line each; for the scripts of `completion`."""
    words = [each for each in word if each != "--"] if word[:1] == ["--"] else list(word)
    last = words[-1] if words else ""
    for candidate in dict.fromkeys(_candidates(ctx, words)):
        if candidate.startswith(last):
            ctx.out.line(candidate)


def _candidates(ctx: Context, words: list[str]) -> Iterable[str]:
    before = list(words[:-1])
    while before and before[0].startswith("--"):
        if before.pop(0) == "--app":
            if not before:
                return _apps(ctx)
            before.pop(0)
    last = words[-1] if words else ""
    if not before:
        if last.startswith("-"):
            return [*COMMON, "--help", "--version"]
        return [*(each.name for each in CATALOG), *CATALOG.aliases]
    name = before[0]
    if not CATALOG.known(name):
        return []
    found = CATALOG.find(name)
    if last.startswith("-"):
        return [*(flag.name for flag in found.flags), *COMMON, "--help"]
    return _arguments(ctx, found, before[1:])


def _arguments(ctx: Context, found: Command, before: list[str]) -> Iterable[str]:
    """What may be the next word after those `before`."""
    flags = {flag.name: flag for flag in found.flags} | {flag.short: flag for flag in found.flags if flag.short}
    positional: list[str] = []
    queue = list(before)
    while queue:
        word = queue.pop(0)
        flag = flags.get(word)
        takes_one = word == "--app" or (flag is not None and bool(flag.value))
        if takes_one and not queue:
            return _apps(ctx) if word == "--app" else _VALUES.get(word, ())
        if takes_one:
            queue.pop(0)
        elif not word.startswith("-"):
            positional.append(word)
    if not found.arguments:
        return []
    argument = found.arguments[min(len(positional), len(found.arguments) - 1)]
    if argument.names_app and not positional and "--global" not in before:
        return _apps(ctx)
    named = positional[0] if positional and found.arguments[0].names_app else ""
    return _values(ctx, found, argument, len(positional), ctx.platform.apps.find(named) if named else None)


def _apps(ctx: Context) -> list[str]:
    return [str(app.name) for app in ctx.platform.apps.list()]


def _values(ctx: Context, found: Command, argument: Argument, number: int, app: App | None) -> Iterable[str]:
    if argument.name == "app-key-value" and number <= 1:
        return [item.key for item in ctx.platform.properties.of(found.noun)]
    if argument.name.startswith("process") and app is not None:
        release = releases.current(ctx.platform.db, app)
        kinds = [str(process.type) for process in release.processes] if release else []
        return [f"{kind}=" for kind in kinds] if argument.name == "process=count" else kinds
    if argument.name == "shell":
        return ["bash", "zsh"]
    if argument.name == "word" and found.name == "help":
        return [each.name for each in CATALOG]
    if argument.name == "on":
        return [ALL_APPS, *_apps(ctx)]
    if argument.name == "role":
        return ["view", "deploy", "admin", "create"]
    if argument.name in ("user", "name-or-fingerprint") and ctx.grants.admin:
        return people.users(ctx.platform.db)
    return []
