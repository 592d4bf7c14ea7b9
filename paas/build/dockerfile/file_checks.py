"""Build checks of how a Dockerfile is written: letter case, names, comments, old forms. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.errors import Span
from paas.build.dockerfile.lines import LogicalLine
from paas.build.dockerfile.parser import Dockerfile
from paas.build.dockerfile.words import split_first, split_flags, split_plain

Finding = tuple[str, Span, str]
"""A rule, the lines, and what is wrong."""
_RESERVED = ("scratch", "context")


def of_file(dockerfile: Dockerfile) -> Iterator[Finding]:
    yield from _casing(dockerfile)
    yield from _stage_names(dockerfile)
    for line, instruction in zip(dockerfile.lines, _instructions(dockerfile), strict=True):
        keyword = split_first(line.text)[0]
        if line.gap is not None:
            yield "NoEmptyContinuation", Span(line.gap, line.gap), "Empty continuation line"
        if isinstance(instruction, ins.From):
            yield from _from(line, keyword, instruction)
        if isinstance(instruction, ins.Arg):
            yield from _description(line, "ARG", [name for name, _ in instruction.arguments])
        if isinstance(instruction, ins.Maintainer):
            message = "Maintainer instruction is deprecated in favor of using label"
            yield "MaintainerDeprecated", line.span, message
        if isinstance(instruction, ins.Pairs) and instruction.legacy:
            message = f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" format'
            yield "LegacyKeyValueFormat", line.span, message


def _instructions(dockerfile: Dockerfile) -> Iterator[ins.Instruction]:
    yield from dockerfile.global_args
    for stage in dockerfile.stages:
        yield stage.base
        yield from stage.instructions


def _casing(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Keywords are all in upper or all in lower case, as most of the stages' are."""
    lines = dockerfile.lines[len(dockerfile.global_args) :]
    keywords = [split_first(line.text)[0] for line in lines]
    lower = sum(keyword.islower() for keyword in keywords) > sum(keyword.isupper() for keyword in keywords)
    for line, keyword in zip(lines, keywords, strict=True):
        if keyword != (keyword.lower() if lower else keyword.upper()):
            wanted = "lowercase" if lower else "uppercase"
            message = f"Command '{keyword}' should match the case of the command majority ({wanted})"
            yield "ConsistentInstructionCasing", line.span, message


def _stage_names(dockerfile: Dockerfile) -> Iterator[Finding]:
    seen: set[str] = set()
    for stage in dockerfile.stages:
        if stage.name is None:
            continue
        if stage.name in _RESERVED:
            message = f'Stage name should not use the same name as reserved stage "{stage.name}"'
            yield "ReservedStageName", stage.base.span, message
        if stage.name in seen:
            message = f'Duplicate stage name "{stage.name}", stage names should be unique'
            yield "DuplicateStageName", stage.base.span, message
        seen.add(stage.name)


def _from(line: LogicalLine, keyword: str, instruction: ins.From) -> Iterator[Finding]:
    if instruction.alias is None:
        return
    _, word, name = split_plain(split_flags(split_first(line.text)[1])[1])
    if name != name.lower():
        yield "StageNameCasing", line.span, f"Stage name '{name}' should be lowercase"
    # A keyword in mixed case has a warning of its own.
    if (keyword.islower() and not word.islower()) or (keyword.isupper() and not word.isupper()):
        yield "FromAsCasing", line.span, f"'{word}' and '{keyword}' keywords' casing do not match"
    yield from _description(line, "FROM", [instruction.alias])


def _description(line: LogicalLine, keyword: str, names: list[str]) -> Iterator[Finding]:
    """A comment right above an argument or a stage describes it, and begins with its name."""
    if not line.comment or line.comment.split(" ")[0] in names:
        return
    shown = names[0] if len(names) == 1 else "<arg_key>"
    message = f"Comment for {keyword} should follow the format: `# {shown} <description>`"
    yield "InvalidDefinitionDescription", line.span, message
