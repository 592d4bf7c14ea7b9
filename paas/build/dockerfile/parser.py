"""A whole Dockerfile: from its bytes to stages of typed instructions."""

from __future__ import annotations

from dataclasses import dataclass

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.errors import DockerfileError, Span
from paas.build.dockerfile.grammar import instruction, trigger
from paas.build.dockerfile.line import did_you_mean
from paas.build.dockerfile.lines import LogicalLine, Text, decode, logical_lines
from paas.build.dockerfile.words import split_first


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """`global_args` are the ARGs before the first FROM; `lines` are those of all instructions, as written."""

    text: Text
    global_args: tuple[ins.Arg, ...]
    stages: tuple[ins.Stage, ...]
    lines: tuple[LogicalLine, ...]

    def error(self, span: Span, message: str, hint: str | None = None) -> DockerfileError:
        return self.text.error(span, message, hint)

    def similar_stage(self, name: str) -> str | None:
        """ "Did you mean", for a name that is none of the stages'."""
        return did_you_mean(name.lower(), [stage.name for stage in self.stages if stage.name])


def parse(data: bytes, filename: str = "Dockerfile") -> Dockerfile:
    """Parse a whole Dockerfile. Raises DockerfileError, which shows the line.

    Stages may share a name: later references mean the last one before them.
    """
    text = decode(data, filename)
    lines = tuple(logical_lines(text))
    global_args: list[ins.Arg] = []
    stages: list[ins.Stage] = []
    base: ins.From | None = None
    body: list[ins.Instruction] = []
    for line in lines:
        found = instruction(text, line)
        if isinstance(found, ins.From):
            if base is not None:
                stages.append(ins.Stage(len(stages), base, tuple(body)))
            base, body = found, []
        elif base is not None:
            body.append(found)
        elif isinstance(found, ins.Arg):
            global_args.append(found)
        else:
            word = split_first(line.text)[0].upper()
            raise text.error(line.span, f"{word} stands before the first FROM", "Only ARG may.")
    if base is None:
        hint = "Begin with a line such as: FROM debian:bookworm"
        raise text.error(Span(1, 1), "the file has no FROM", hint)
    stages.append(ins.Stage(len(stages), base, tuple(body)))
    return Dockerfile(text, tuple(global_args), tuple(stages), lines)


def parse_trigger(trigger_text: str) -> ins.Instruction:
    """An ONBUILD trigger that an image carries, with its here-documents. Raises DockerfileError."""
    text = Text("ONBUILD", tuple(trigger_text.split("\n")), "\\")
    lines = logical_lines(text)
    if len(lines) != 1:
        raise text.error(Span(1, 1), "a trigger is one instruction")
    return trigger(text, lines[0])
