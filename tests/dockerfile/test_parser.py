"""Text to typed instructions, and errors that show the line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.durations import seconds
from paas.build.dockerfile.errors import DockerfileError
from paas.build.dockerfile.parser import parse
from paas.build.plan import find_stage, needed
from paas.errors import PaasError


def only(text: str) -> ins.Instruction:
    return parse(f"FROM scratch\n{text}".encode()).stages[0].instructions[0]


def test_continuations_comments_and_case() -> None:
    parsed = parse(b"\xef\xbb\xbf# a comment\r\nfrom debian AS Base\r\nrun one \\\r\n # inside\r\n\r\n  two\r\n")
    stage = parsed.stages[0]
    assert (stage.base.image, stage.name) == ("debian", "base")
    run = stage.instructions[0]
    assert isinstance(run, ins.Run) and run.command.words[0].split() == ["one", "two"]
    assert (run.span.first, run.span.last) == (3, 6)


def test_the_escape_directive() -> None:
    run = parse(b"# escape=`\nFROM x\nRUN a `\n b\n").stages[0].instructions[0]
    assert isinstance(run, ins.Run) and run.command.words[0].split() == ["a", "b"]


def test_forms_of_commands() -> None:
    exec_form, shell_form, broken = only('CMD ["a", "b c"]'), only("CMD a b"), only("CMD ['a']")
    assert isinstance(exec_form, ins.Cmd) and exec_form.command == ins.CommandForm(("a", "b c"), for_shell=False)
    assert isinstance(shell_form, ins.Cmd) and shell_form.command == ins.CommandForm(("a b",), for_shell=True)
    assert isinstance(broken, ins.Cmd) and broken.command.for_shell


def test_env_in_both_forms() -> None:
    new, old = only("ENV A=1 B='x y' C=z\\ z"), only("ENV A one two")
    assert isinstance(new, ins.Env) and new.pairs == (("A", "1"), ("B", "'x y'"), ("C", "z\\ z"))
    assert isinstance(old, ins.Env) and old.pairs == (("A", "one two"),)


def test_heredocs() -> None:
    copy = only("COPY <<a <<-'b' /x/\n\tone\na\n\ttwo\n\tb\n")
    assert isinstance(copy, ins.Copy)
    assert copy.heredocs == (ins.Heredoc("a", "\tone\n", True), ins.Heredoc("b", "two\n", False))
    assert (copy.sources, copy.destination) == ((), "/x/")


def test_healthcheck_and_durations() -> None:
    check = only("HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f http://x")
    assert isinstance(check, ins.Healthcheck)
    assert (check.check.interval, check.check.retries) == (90.0, 2)
    assert check.check.test == ("CMD-SHELL", "curl -f http://x")
    assert (seconds("500ms"), seconds("x"), seconds("1h1m1.5s")) == (0.5, None, 3661.5)


@pytest.mark.parametrize(
    ("text", "line", "words", "hint"),
    [
        ("FROM x\nRNU y", 2, "not an instruction", "RUN"),
        ("RUN y", 1, "before the first FROM", "ARG"),
        ("", 1, "no FROM", "FROM debian"),
        ("FROM x\nCOPY a", 2, "at least one source", None),
        ("FROM x\nRUN --mont=type=cache y", 2, "no flag --mont", "--mount"),
        ("FROM x\nRUN <<EOF\ny", 2, "has no end", "EOF"),
        ("FROM x\nENV A", 2, "no value", None),
        ("FROM x\nONBUILD FROM y", 2, "cannot trigger", None),
        ("FROM x y", 1, "AS", None),
        ("FROM x\nSHELL bash", 2, "JSON", "SHELL"),
        ("FROM x\nHEALTHCHECK --interval=soon CMD y", 2, "not a duration", "30s"),
        ("FROM x\nRUN \0", 2, "NUL", None),
    ],
)
def test_errors_show_the_line(text: str, line: int, words: str, hint: str | None) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(text.encode())
    assert caught.value.span.first == line
    assert words in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


def test_too_long_and_not_text() -> None:
    with pytest.raises(DockerfileError, match="limit"):
        parse(b"FROM x\n" + b"#" * (1 << 21))
    with pytest.raises(DockerfileError, match="UTF-8"):
        parse(b"FROM x\nRUN \xff\n")


def test_only_needed_stages_are_built() -> None:
    text = b"FROM a AS one\nFROM b AS two\nFROM one AS three\nCOPY --from=two /x /y\nFROM c\nCOPY --from=three / /\n"
    parsed = parse(text + b"FROM d AS unused\n")
    assert [stage.name for stage in needed(parsed, 3)] == ["one", "two", "three", None]
    assert [stage.name for stage in needed(parsed, 4)] == ["unused"]
    assert find_stage(parse(b"FROM a AS x\nFROM b AS X\nFROM x"), "x", 2) == 1
    assert (find_stage(parsed, "TWO", 3), find_stage(parsed, "1", 3), find_stage(parsed, "three", 2)) == (1, 1, None)


@given(st.text(max_size=200))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with contextlib.suppress(PaasError):
        parse(("FROM x\n" + text).encode("utf-8", "surrogatepass"))


@given(
    st.lists(
        st.sampled_from(
            ["RUN", "COPY", "ENV", "<<EOF", "\\\n", "\n", "EOF", '["', '"]', "=", "$", "--from=", " a", "#"]
        )
    )
)
def test_any_heap_of_parts_parses_or_is_refused(parts: list[str]) -> None:
    with contextlib.suppress(PaasError):
        parse(("FROM x\n" + "".join(parts)).encode())
