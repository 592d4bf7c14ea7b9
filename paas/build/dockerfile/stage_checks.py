"""Build checks of what a Dockerfile's stages do: variables, images, instructions that come to nothing. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.errors import Span
from paas.build.dockerfile.file_checks import Finding
from paas.build.dockerfile.from_checks import expanded, global_values, meant
from paas.build.dockerfile.parser import Dockerfile

_SCANNERS = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")
"""Arguments that BuildKit reads and no stage sees."""
_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NO_SECRET = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
_URL = re.compile(r"(?:https?|git|ssh|s3)://|git@")


@dataclass(slots=True)
class _State:
    """What is known of a stage after some of its instructions; a stage based on it begins with a copy."""

    variables: dict[str, str] = field(default_factory=dict)
    """Values are those of the file alone; what an image sets is empty here."""
    declared: set[str] = field(default_factory=set)
    """Arguments, also those without a value."""
    all_known: bool = True
    """Whether the base's variables are known: else nothing can be said to be undefined."""
    workdir: bool = False
    shell: bool = False

    def copy(self) -> _State:
        return _State(dict(self.variables), set(self.declared), self.all_known, self.workdir, self.shell)


def of_stages(
    dockerfile: Dockerfile,
    arguments: Mapping[str, str],
    ignored: Callable[[str], bool] | None,
    image_variables: Callable[[str], Iterable[str] | None],
) -> Iterator[Finding]:
    outer, _ = global_values(dockerfile, arguments)
    finished: dict[str, _State] = {}
    for stage in dockerfile.stages:
        image = expanded(dockerfile, stage.base.image, outer).text
        state = finished[image.lower()].copy() if image.lower() in finished else _begin(image, image_variables)
        last: dict[type[ins.Instruction], Span] = {}
        for instruction in stage.instructions:
            keyword = instruction.source.split(" ", 1)[0]
            if isinstance(instruction, ins.Cmd | ins.Entrypoint | ins.Healthcheck):
                yield from _command(instruction, keyword, state, last)
            yield from _undefined(dockerfile, instruction, state)
            yield from _secrets(instruction, keyword)
            yield from _others(dockerfile, instruction, state, ignored)
            _carry_out(dockerfile, instruction, state, arguments, outer)
        if stage.name is not None:
            finished[stage.name] = state


def _begin(image: str, image_variables: Callable[[str], Iterable[str] | None]) -> _State:
    names = () if image == "scratch" else image_variables(image)
    variables = dict.fromkeys(names or (), "")
    return _State({"PATH": "", **variables}, all_known=names is not None)


def _command(
    instruction: ins.Cmd | ins.Entrypoint | ins.Healthcheck,
    keyword: str,
    state: _State,
    last: dict[type[ins.Instruction], Span],
) -> Iterator[Finding]:
    if type(instruction) in last:
        message = (
            f"Multiple {keyword} instructions should not be used in the same stage "
            "because only the last one will be used"
        )
        yield "MultipleInstructionsDisallowed", last[type(instruction)], message
    last[type(instruction)] = instruction.span
    if not isinstance(instruction, ins.Healthcheck) and instruction.command.for_shell and not state.shell:
        message = f"JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
        yield "JSONArgsRecommended", instruction.span, message


def _undefined(dockerfile: Dockerfile, instruction: ins.Instruction, state: _State) -> Iterator[Finding]:
    if not state.all_known:
        return
    missing: set[str] = set()
    for word, is_body in _expanded_words(instruction):
        missing |= expanded(dockerfile, word, state.variables, is_body=is_body).missing
    for name in sorted(missing - state.declared - set(_SCANNERS)):
        message = f"Usage of undefined variable '${name}'{meant(name, state.variables, '${}')}"
        yield "UndefinedVar", instruction.span, message


def _expanded_words(instruction: ins.Instruction) -> Iterator[tuple[str, bool]]:
    """Words that the build expands; True for a here-document's text."""
    match instruction:
        case ins.Copy():
            words = (*instruction.sources, instruction.destination, instruction.chown, instruction.chmod)
            yield from ((word, False) for word in (*words, *instruction.exclude))
            yield from ((document.content, True) for document in instruction.heredocs if document.expand)
        case ins.Pairs():
            yield from ((word, False) for pair in instruction.pairs for word in pair)
        case ins.Workdir() | ins.User() | ins.Stopsignal():
            yield instruction.value, False
        case ins.Volume():
            yield from ((path, False) for path in instruction.paths)


def _secrets(instruction: ins.Instruction, keyword: str) -> Iterator[Finding]:
    names: list[str] = []
    if isinstance(instruction, ins.Arg):
        names = [name for name, _ in instruction.arguments]
    elif isinstance(instruction, ins.Env):
        names = [name for name, _ in instruction.pairs]
    for name in names:
        if _SECRET.search(name) and not _NO_SECRET.search(name):
            message = f'Do not use ARG or ENV instructions for sensitive data ({keyword.upper()} "{name}")'
            yield "SecretsUsedInArgOrEnv", instruction.span, message


def _others(
    dockerfile: Dockerfile, instruction: ins.Instruction, state: _State, ignored: Callable[[str], bool] | None
) -> Iterator[Finding]:
    match instruction:
        case ins.Workdir() if not state.workdir:
            if not expanded(dockerfile, instruction.value, state.variables).text.startswith("/"):
                message = (
                    f'Relative workdir "{instruction.value}" can have unexpected results if the base image changes'
                )
                yield "WorkdirRelativePath", instruction.span, message
        case ins.Expose():
            for word in instruction.ports:
                for port in expanded(dockerfile, word, state.variables).words:
                    yield from _port(port, word if "$" in word else port, instruction.span)
        case ins.Copy() if ignored is not None and not instruction.from_stage:
            what = "Add" if isinstance(instruction, ins.Add) else "Copy"
            for source in instruction.sources:
                if isinstance(instruction, ins.Add) and _URL.match(source):
                    continue
                path = posixpath.normpath("/" + expanded(dockerfile, source, state.variables).text).lstrip("/")
                if path and ignored(path):
                    message = f'Attempting to {what} file "{source}" that is excluded by .dockerignore'
                    yield "CopyIgnoredFile", instruction.span, message


def _port(port: str, shown: str, span: Span) -> Iterator[Finding]:
    protocol = port.rpartition(":")[2].partition("/")[2]
    if protocol != protocol.lower():
        yield "ExposeProtoCasing", span, f"Defined protocol '{shown}' in EXPOSE instruction should be lowercase"
    if ":" in port:
        message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{shown}'"
        yield "ExposeInvalidFormat", span, message


def _carry_out(
    dockerfile: Dockerfile,
    instruction: ins.Instruction,
    state: _State,
    arguments: Mapping[str, str],
    outer: Mapping[str, str],
) -> None:
    match instruction:
        case ins.Env():
            values = {
                expanded(dockerfile, name, state.variables).text: expanded(dockerfile, value, state.variables).text
                for name, value in instruction.pairs
            }
            state.variables.update(values)
        case ins.Arg():
            for name, default in instruction.arguments:
                state.declared.add(name)
                value = arguments.get(name)
                if value is None:
                    own = default is not None
                    value = expanded(dockerfile, default or "", state.variables).text if own else outer.get(name)
                if value is not None:
                    state.variables.setdefault(name, value)  # ENV wins over ARG
        case ins.Workdir():
            state.workdir = True
        case ins.Shell():
            state.shell = True
