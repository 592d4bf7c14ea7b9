"""Variables, patterns, .dockerignore."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.build.dockerfile.expansion import ExpansionError, expand
from paas.build.dockerfile.glob import compile_pattern
from paas.build.dockerfile.ignore import IgnoreFile
from paas.errors import InvalidInput

ENV = {"A": "a", "E": "", "P": "foo/bar.tar.gz"}


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("$A-${A}", "a-a"),
        ("$Ab${A}b", "ab"),
        ("${U:-x}${E:-y}${E-z}", "xy"),
        ("${A:+set}${U:+set}${E+set}", "setset"),
        ("\\$A", "$A"),
        ("'$A'", "$A"),
        ('"$A b"', "a b"),
        ("${P#*/}", "bar.tar.gz"),
        ("${P##*/}", "bar.tar.gz"),
        ("${P%.*}", "foo/bar.tar"),
        ("${P%%.*}", "foo/bar"),
        ("${P/bar/baz}", "foo/baz.tar.gz"),
        ("${P//[/x}", "foo/bar.tar.gz"),
        ("${P//o/0}", "f00/bar.tar.gz"),
        ("${U:-${A}z}", "az"),
        ("$", "$"),
        ("a$1b", "ab"),
    ],
)
def test_expansion(word: str, result: str) -> None:
    assert expand(word, ENV) == result


@pytest.mark.parametrize("word", ["${A", "${}", "${A!}", '"x', "'x", "${U:?gone}", "${A:-" * 40])
def test_words_that_are_wrong(word: str) -> None:
    with pytest.raises(ExpansionError):
        expand(word, ENV)


@given(st.text(max_size=60))
def test_any_word_expands_or_is_refused(word: str) -> None:
    with contextlib.suppress(ExpansionError):
        expand(word, ENV)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.py", "a.py", "d/a.py"),
        ("**/*.py", "d/e/a.py", "a.pyc"),
        ("a?c", "abc", "a/c"),
        ("[a-c]x", "bx", "dx"),
        ("[^a]x", "bx", "ax"),
        ("a\\*", "a*", "ab"),
        ("d/**", "d/x/y", "e/x"),
    ],
)
def test_patterns(pattern: str, yes: str, no: str) -> None:
    assert compile_pattern(pattern).fullmatch(yes)
    assert not compile_pattern(pattern).fullmatch(no)


def test_patterns_that_are_malformed() -> None:
    for pattern in ("[a", "a\\"):
        with pytest.raises(InvalidInput):
            compile_pattern(pattern)


def test_dockerignore() -> None:
    ignore = IgnoreFile.parse(b"# comment\n*.log\n/build\nnode_modules\n!keep.log\ndocs/**\n!docs/index.md\n")
    for path in ("a.log", "build/x/y", "node_modules/p", "docs/other.md"):
        assert ignore.ignored(path), path
    for path in ("keep.log", "sub/a.log", "src/build", "docs/index.md", "x"):
        assert not ignore.ignored(path), path


@given(st.binary(max_size=80), st.text(min_size=1, max_size=20))
def test_any_dockerignore_is_read_or_refused(data: bytes, path: str) -> None:
    with contextlib.suppress(InvalidInput):
        IgnoreFile.parse(data).ignored(path)
