"""From the file's text to logical lines: directives, comments, continuations, here-documents."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.errors import DockerfileError
from paas.build.dockerfile.lines import LogicalLine, decode, logical_lines


def lines(text: str | bytes) -> list[LogicalLine]:
    return logical_lines(decode(text.encode() if isinstance(text, str) else text, "Dockerfile"))


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("A b", ["A b"]),
        ("A b\nC d\n", ["A b", "C d"]),
        ("  A b  \n\n\t C\td", ["A b", "C\td"]),
        ("A b\\\nc", ["A bc"]),
        ("A b \\\n  c \\ \t\n d", ["A b   c  d"]),
        ("A b\\\r\n c\r\n", ["A b c"]),
        ("A \\\n# comment \\\n  # another\n\n b", ["A  b"]),
        ("A \\\n#\\\nb", ["A b"]),
        ("A b \\\n", ["A b"]),
        ("A b \\", ["A b"]),
        ("A b \\\\\nC", ["A b \\\\", "C"]),
        ("\\\nA b", ["A b"]),
        ("A\\\nB c", ["AB c"]),
        ("A b\\ c", ["A b\\ c"]),
        ("# comment\nA # no comment", ["A # no comment"]),
        ("\ufeffA b", ["A b"]),
        ("\ufeff# escape=`\nA `\nb", ["A b"]),
        ("", []),
        ("\n# only a comment\n  \n", []),
    ],
)
def test_continuations_and_comments(text: str, joined: list[str]) -> None:
    assert [line.text for line in lines(text)] == joined


@pytest.mark.parametrize(
    ("top", "escape"),
    [
        ("# escape=`", "`"),
        ("#escape = `  ", "`"),
        ("  # EsCaPe=`", "`"),
        ("# syntax=docker/dockerfile:1\n# check=skip=all\n# escape=`", "`"),
        ("# escape=\\", "\\"),
        ("# escape=`\r", "`"),
        ("# escape=", "\\"),
        ("\n# escape=`", "\\"),
        ("# comment\n# escape=`", "\\"),
        ("# other=1\n# escape=`", "\\"),
        ("#!/bin/docker\n# escape=`", "\\"),
        ("FROM x\n# escape=`", "\\"),
    ],
)
def test_the_escape_directive(top: str, escape: str) -> None:
    assert decode(top.encode(), "Dockerfile").escape == escape


@pytest.mark.parametrize(
    ("top", "line", "reason"),
    [
        ("# escape=x", 1, "escape character is"),
        ("# syntax=a\n# escape=``", 2, "escape character is"),
        ("# escape=`\n# ESCAPE=`", 2, "escape stands here twice"),
        ("# check=skip=all\n# check=error=true", 2, "check stands here twice"),
    ],
)
def test_directives_that_are_wrong(top: str, line: int, reason: str) -> None:
    with pytest.raises(DockerfileError, match=reason) as caught:
        decode(top.encode(), "Dockerfile")
    assert caught.value.span.first == line


def test_the_check_directive_may_stand_below_an_interpreter_line() -> None:
    found = decode(b"#!/usr/bin/env docker\n# check=skip=all\n", "Dockerfile").check
    assert found is not None and (found.value, found.span.first) == ("skip=all", 2)


def test_spans_gaps_and_comments_above() -> None:
    text = "# one\n# two\nA b \\\n\n# in\n\n c\n# three\n\nD\n# check=x\nE <<F\n"
    found = lines("# escape=\\\n" + text)
    assert [(line.span.first, line.span.last, line.gap, line.comment) for line in found] == [
        (4, 8, 5, "two"),
        (11, 11, None, ""),
        (13, 13, None, "check=x"),
    ]
    assert lines("# escape=\\\nA")[0].comment == ""  # a directive is no comment


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("RUN <<E\n a\nb\nE", [("E", " a\nb\n", True)]),
        ("RUN <<E\nE", [("E", "", True)]),
        ("RUN <<-E\n\ta\n\t\tb\n\tE", [("E", "a\nb\n", True)]),
        ("RUN <<'E'\na\nE", [("E", "a\n", False)]),
        ('RUN <<"E"\na\nE', [("E", "a\n", False)]),
        ('RUN <<-"E"\n\ta\nE', [("E", "a\n", False)]),
        ("RUN <<E'F'\na\nEF", [("EF", "a\n", False)]),
        ('RUN <<"E F"\na\nE F', [("E F", "a\n", False)]),
        ("RUN <<eo\\'f\na\neo'f", [("eo'f", "a\n", True)]),
        ("RUN <<'e'o\\'f\na\neo'f", [("eo'f", "a\n", False)]),
        ("RUN <<$X\na\n$X", [("$X", "a\n", True)]),
        ("RUN 3<<E cat\na\nE", [("E", "a\n", True)]),
        ("RUN cat <<A - <<B > f\n1\nA\n2\nB", [("A", "1\n", True), ("B", "2\n", True)]),
        ("run --mount=type=tmpfs,target=/x <<E\na\nE", [("E", "a\n", True)]),
        ("COPY <<a <<b /x/\n1\na\n2\nb", [("a", "1\n", True), ("b", "2\n", True)]),
        ("ADD <<a /x\n# no comment \\\n\n<<b\na", [("a", "# no comment \\\n\n<<b\n", True)]),
        ("ONBUILD RUN <<E\na\nE", [("E", "a\n", True)]),
        ("RUN <<E \\\n && b\na\nE", [("E", "a\n", True)]),
        ("RUN <<E\r\na\r\nE\r", [("E", "a\r\n", True)]),
        # what opens none
        ("RUN cat<<E", []),
        ("RUN << E", []),
        ("RUN <<", []),
        ("RUN <<<E", []),
        ("RUN a <<<E <b", []),
        ("RUN '<<E'", []),
        ('RUN "a <<E"', []),
        ("RUN \\<<E", []),
        ("RUN echo $((1<<2))", []),
        ("RUN it's <<E", []),
        ('RUN ["<<E"]', []),
        ('COPY ["<<E", "/"]', []),
        ("CMD <<E", []),
        ("ENV <<E=1", []),
    ],
)
def test_heredocs(text: str, documents: list[tuple[str, str, bool]]) -> None:
    found = lines(text + "\nLAST")
    assert [line.heredocs for line in found] == [tuple(ins.Heredoc(*document) for document in documents), ()]
    assert found[0].span.last == found[1].span.first - 1


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("RUN <<EOF\na", "a line EOF after"),
        ("RUN <<EOF\na\neof\nb", "Did you mean line 3"),
        ("RUN <<EOF\na\n  EOF\n", "Did you mean line 3"),
        ("RUN <<A <<B\na\nA\nc", "a line B after"),
        ("RUN <<-EOF\n  EOF", "Did you mean line 2"),
    ],
)
def test_heredocs_without_an_end(text: str, hint: str) -> None:
    with pytest.raises(DockerfileError, match="has no end") as caught:
        lines(text)
    assert caught.value.span.first == 1
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [(b"A\nRUN \xff\n", 2, "UTF-8"), (b"A\n\nB \0", 3, "NUL"), (b"#" * (1 << 21), 1, "limit")],
)
def test_what_is_no_text(data: bytes, line: int, reason: str) -> None:
    with pytest.raises(DockerfileError, match=reason) as caught:
        lines(data)
    assert caught.value.span.first == line


@given(st.lists(st.text("ab$'\"\\# \t=<", min_size=1, max_size=10).map(lambda text: f"X {text}."), max_size=5))
def test_lines_that_nothing_continues_stay_apart(texts: list[str]) -> None:
    found = lines("\n".join(texts))
    assert [line.text for line in found] == [text.strip() for text in texts]
    assert [line.span.first for line in found] == list(range(1, len(texts) + 1))


@given(st.text("ab \t#\\\n`", max_size=40))
def test_every_line_belongs_to_one_instruction_at_most(text: str) -> None:
    spans = [line.span for line in lines(text)]
    assert all(span.first <= span.last for span in spans)
    assert all(one.last < other.first for one, other in itertools.pairwise(spans))


@given(st.text("ab'\"$\\ \n", max_size=30), st.booleans())
def test_the_text_of_a_heredoc_is_kept(body: str, chomp: bool) -> None:
    marker = "<<-'END'" if chomp else "<<'END'"
    assert lines(f"RUN {marker}\n{body}\nEND")[0].heredocs == (ins.Heredoc("END", f"{body}\n", False),)
