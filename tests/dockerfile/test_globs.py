"""Path patterns and .dockerignore."""

from __future__ import annotations

import contextlib
import posixpath
import re
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paas.build.dockerfile import glob
from paas.build.dockerfile.glob import compile_pattern
from paas.build.dockerfile.ignore import IgnoreFile
from paas.errors import InvalidInput


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a/b", "a/b", "a/b/c"),
        ("*.py", "a.py", "d/a.py"),
        ("*", "a", "a/b"),
        ("a*", "a", "ba"),
        ("*/*", "a/b", "a"),
        ("**", "a/b/c", None),
        ("**/*.py", "d/e/a.py", "a.pyc"),
        ("**/a", "a", "ba"),
        ("**/a/**", "x/a/y", "a"),
        ("d/**", "d/x/y", "d"),
        ("a/**/b", "a/b", "a/xb"),
        ("a/**/b", "a/x/y/b", "ab"),
        ("a**b", "a/x/b", "axb"),
        ("a**b", "ab", "a/xb"),
        ("a**", "abc/d", "b"),
        ("**.txt", "d/a.txt", "a.txtx"),
        ("**?.txt", "d/a.txt", "da.txt"),
        ("***.py", "d/a.py", "d/a.px"),
        ("a?c", "abc", "a/c"),
        ("[a-c]x", "bx", "dx"),
        ("[^a]x", "bx", "ax"),
        ("[!a]x", "!x", "bx"),
        ("a[/]b", "a/b", "ab"),
        ("[\\]\\-]", "]", "\\"),
        ("[a-\\]]x", None, None),
        ("a]", "a]", "a"),
        ("a\\*", "a*", "ab"),
        ("a\\\\b", "a\\b", "ab"),
        ("a+b(c)|^$.", "a+b(c)|^$.", "aab(c)"),
        ("é?", "éé", "é"),
    ],
)
def test_patterns(pattern: str, yes: str | None, no: str | None) -> None:
    if yes is no is None:
        with pytest.raises(InvalidInput):
            compile_pattern(pattern)
        return
    assert yes is None or compile_pattern(pattern).fullmatch(yes)
    assert no is None or not compile_pattern(pattern).fullmatch(no)


@pytest.mark.parametrize("pattern", ["[", "[a", "a\\", "[]a]", "[^]", "[-a]", "[a-]", "[b-a]", "[a\\", "x" * 5000])
def test_patterns_that_are_malformed(pattern: str) -> None:
    with pytest.raises(InvalidInput):
        compile_pattern(pattern)


HOSTILE = [
    ("a*" * 30 + "b", "a" * 3000),
    ("**/" * 30 + "x", "x/" * 1500 + "a"),
    ("**/*a" * 30 + "**/b", "a/" * 1500 + "a"),
    ("?*" * 100 + "b", "b" + "a" * 2000),
    ("[a-z]*" * 50 + "b", "ab" * 1000 + "c"),
]


@pytest.mark.parametrize(("pattern", "path"), HOSTILE)
def test_matching_is_linear(pattern: str, path: str) -> None:
    """Lines of Python that are run, counted: the same for each character, however the pattern is made."""
    compiled = compile_pattern(pattern)
    lines = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count if frame.f_code.co_filename == glob.__file__ else None

    before = sys.gettrace()
    sys.settrace(count)
    try:
        assert not compiled.fullmatch(path)
    finally:
        sys.settrace(before)
    assert 2 * len(path) < lines < 200 * len(path) + 20 * len(pattern) + 1000


@pytest.mark.parametrize(
    ("lines", "left_out", "kept"),
    [
        ("a", "a,a/b,a/b/c", "b,x/a,ab"),
        ("/a", "a,a/b", "x/a"),
        ("a/", "a,a/b", "x/a"),
        ("./a//b/../c", "a/c,a/c/d", "a,a/b"),
        ("  a  ", "a", "b"),
        ("a b", "a b", "a,b"),
        ("*.log", "a.log,a.log/x", "x/a.log"),
        ("*/a", "x/a,x/a/y", "a,x/y/a"),
        ("**/a", "a,x/a,x/y/a,a/b", "xa"),
        ("a/**", "a/b,a/b/c", "a,b"),
        ("a\n!a/b", "a,a/c", "a/b,b"),
        ("!a\na", "a,a/b", "b"),
        ("*\n!a", "b", "a,a/b"),
        ("a\n!a/b\na/b/c", "a,a/b/c", "a/b,a/b/d"),
        ("**\n!**/*.py", "a,a/b", "a.py,x/a.py"),
        ("docs/**\n!docs/index.md", "docs/other.md", "docs,docs/index.md"),
        ("# a\n#a\n\n \t\n", "", "a,#"),
        (" #a", "#a", "a"),
        ("\\#a", "#a", "a"),
        ("\\!a", "!a", "a"),
        ("! a\n", "", "a"),
        ("!!a\n", "", "a,!a"),
        (".", "", "a,."),
        ("/", "", "a"),
        ("..", "", "a"),
        ("../a", "", "a"),
        ("//a", "a", "b"),
        ("a\r\nb\r\n", "a,b", "c"),
        ("\ufeffa", "a", "b"),
        ("*", "a,a/b,.a", "."),
        (".git*", ".git/x,.gitignore", "git"),
        ("a\x0bb", "a\x0bb", "a,b"),
    ],
)
def test_dockerignore(lines: str, left_out: str, kept: str) -> None:
    ignore = IgnoreFile.parse(lines.encode())
    assert [path for path in left_out.split(",") if not ignore.ignored(path)] == ([""] if not left_out else [])
    assert not [path for path in kept.split(",") if ignore.ignored(path)]


@pytest.mark.parametrize(("data", "line"), [(b"a\n[b", 2), (b"\n\n!", 3), (b"a\\", 1), (b"! ", 1)])
def test_a_malformed_dockerignore_names_the_line(data: bytes, line: int) -> None:
    with pytest.raises(InvalidInput, match=f".dockerignore:{line}: "):
        IgnoreFile.parse(data)


def test_bytes_that_are_no_text_are_names_too() -> None:
    assert IgnoreFile.parse(b"\xff*").ignored(b"\xffa".decode("utf-8", "surrogateescape"))


def reference(lines: list[str], path: str) -> bool:
    """moby/patternmatcher, as plainly as can be; for patterns without brackets and backslashes."""
    result = False
    parents = [path[:at] for at in range(1, len(path)) if path[at] == "/"]
    for line in lines:
        line = line.strip()
        if not line or line[0] == "#":
            continue
        negated = line[0] == "!"
        pattern = posixpath.normpath("/./" + line[negated:]) if line[negated:].startswith("/") else line[negated:]
        pattern = posixpath.normpath(pattern).removeprefix("/") or "/"
        if result != negated:
            continue
        if any(matches(pattern, each) for each in (path, *parents)):
            result = not negated
    return result


def matches(pattern: str, path: str) -> bool:
    if pattern.startswith("**") and not set("*?") & set(pattern[2:]):
        return path.endswith(pattern[2:]) or "/" + path == pattern[2:]
    expression, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("**/", at) else 2
            expression += "(.*/)?" if at < len(pattern) else ".*"
        else:
            expression += {"*": "[^/]*", "?": "[^/]"}.get(pattern[at], pattern[at])
            at += 1
    return re.fullmatch(expression, path) is not None


PATTERN = st.lists(st.sampled_from(["a", "b", "/", "*", "**/", "?", "/**"]), min_size=1, max_size=5).map("".join)
PATH = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(st.tuples(st.sampled_from(["", "!"]), PATTERN).map("".join), max_size=4), PATH)
@example(["a**b"], "a/b")
@example(["**/*a", "!**/a/b"], "a/b")
def test_dockerignore_is_as_the_reference(lines: list[str], path: str) -> None:
    assert IgnoreFile.parse("\n".join(lines).encode()).ignored(path) == reference(lines, path)


@given(st.binary(max_size=80), st.text(min_size=1, max_size=20))
def test_any_dockerignore_is_read_or_refused(data: bytes, path: str) -> None:
    with contextlib.suppress(InvalidInput):
        IgnoreFile.parse(data).ignored(path)


@given(st.text("ab/*?[]^-!\\", max_size=12), st.text("ab/", max_size=8))
def test_a_pattern_covers_what_it_matches_and_what_is_below(pattern: str, path: str) -> None:
    with contextlib.suppress(InvalidInput):
        compiled = compile_pattern(pattern)
        if compiled.fullmatch(path):
            assert compiled.covers(path) and compiled.covers(f"{path}/x")


@given(st.text(st.characters(exclude_characters="*?[\\"), max_size=20))
def test_a_plain_pattern_matches_itself_only(text: str) -> None:
    assert compile_pattern(text).fullmatch(text)
    assert not compile_pattern(text).fullmatch(text + "x")
