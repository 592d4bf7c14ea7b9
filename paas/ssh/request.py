"""What a client asks for with `ssh HOST ...`: a command of the engine, or one of git's two services. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from paas.errors import InvalidInput, UsageError
from paas.names import AppName

Service = Literal["git-receive-pack", "git-upload-pack"]
_SERVICES: dict[str, Service] = {"git-receive-pack": "git-receive-pack", "git-upload-pack": "git-upload-pack"}
_ARCHIVE = "git-upload-archive"


@dataclass(frozen=True, slots=True)
class Command:
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GitRequest:
    service: Service
    app: AppName


def parse(text: str) -> Command | GitRequest:
    """Split as a shell would, with nothing expanded. Raises UsageError, and InvalidInput for what is no app name."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"The command cannot be read: {str(error).lower()}", hint="Check its quotes.") from None
    if words[:1] == ["git"] and len(words) > 1 and f"git-{words[1]}" in (*_SERVICES, _ARCHIVE):
        words = [f"git-{words[1]}", *words[2:]]  # the form that git's manual allows servers to be asked in
    if not words:
        return Command(("help",))
    if words[0] == _ARCHIVE:
        raise UsageError("git archive --remote is not offered", hint="Clone the app instead.")
    service = _SERVICES.get(words[0])
    if service is None:
        return Command(tuple(words))
    if len(words) != 2:
        raise UsageError(f"{service} takes one app", hint="The remote is paas@HOST:APP")
    return GitRequest(service, _app(words[1]))


def _app(path: str) -> AppName:
    name = path.removeprefix("/").removesuffix("/").removesuffix(".git")
    try:
        return AppName(name)
    except InvalidInput as error:
        raise InvalidInput(error.message, hint="The remote is paas@HOST:APP, such as paas@example.com:wiki") from None
