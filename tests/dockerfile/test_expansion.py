"""Variables, quotes and escapes in words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.build.dockerfile.expansion import ExpansionError, analyse, expand, expand_words
from paas.build.dockerfile.shell_patterns import ShellPattern

ENV = {
    "A": "a",
    "E": "",
    "P": "foo/bar.tar.gz",
    "S": "two words",
    "X": "xxyy",
    "STARS": "a***yy*",
    "MARKS": "???y",
    "SIGNS": "()[]{}^$.*?|\\x",
    "PATHS": "/tmp/tmp/bar.txt",
    "한": "글",
    "LINES": "one\ntwo",
}


@pytest.mark.parametrize(
    ("word", "result"),
    [
        # names
        ("$A-${A}", "a-a"),
        ("$Ab${A}b", "ab"),
        ("$A.b", "a.b"),
        ("a$U", "a"),
        ("${한}$한", "글글"),
        # no names, and the shell's special parameters, which no build has
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("$.x", "$.x"),
        ("a$1b$12c", "abc"),
        ("$$", ""),
        ("$@$*$#$?$-$!", ""),
        ("${@}${1}", ""),
        # quotes
        ("'$A'", "$A"),
        ('"$A b"', "a b"),
        ("\"'$A'\"", "'a'"),
        ("'a\"b'", 'a"b'),
        ("'a\\'", "a\\"),
        ("a'b'\"c\"", "abc"),
        ("''", ""),
        # escapes
        ("\\$A", "$A"),
        ("\\\\$A", "\\a"),
        ("a\\ b", "a b"),
        ("\\'", "'"),
        ("\\n", "n"),
        ("a\\", "a"),
        ('"\\$A \\" \\\\ \\n"', '$A " \\ \\n'),
        # ${}: defaults and alternatives
        ("${U:-x}${E:-y}${E-z}", "xy"),
        ("${A:+set}${U:+set}${E+set}${E:+set}", "setset"),
        ("${A?x}${A:?x}${E?x}", "aa"),
        ("${U:-${A}z}", "az"),
        ("${U:-'}'}", "}"),
        ('${U:-"a}b"}', "a}b"),
        ("${U:-\\}}", "}"),
        ("${U:-'$A'}", "$A"),
        ("${U-}", ""),
        # prefixes and suffixes
        ("${P#*/}", "bar.tar.gz"),
        ("${P##*/}", "bar.tar.gz"),
        ("${P%.*}", "foo/bar.tar"),
        ("${P%%.*}", "foo/bar"),
        ("${X#*x*y}", "y"),
        ("${X##*x}", "yy"),
        ("${X#*}", "xxyy"),
        ("${X##*}", ""),
        ("${X%%*}", ""),
        ("${X#$U}${X#}${X%}", "xxyy" * 3),
        ("${X#$X}", ""),
        ("${X%y*}", "xxy"),
        ("${X%%y*}", "xx"),
        ("${X#?}${X%??}", "xyyxx"),
        ("${U#x}", ""),
        ("${STARS%%\\**\\*}", "a"),
        ("${MARKS#?\\?}", "?y"),
        ("${SIGNS#()[]{\\}^$.\\*\\?|\\\\}", "x"),
        ("${LINES%%?two}", "one"),
        # whether the longest is meant is known after expansion only
        ("${X#${U:-#*x}}", "yy"),
        # substitutions
        ("${P/bar/baz}", "foo/baz.tar.gz"),
        ("${P//[/x}", "foo/bar.tar.gz"),
        ("${P//o/0}", "f00/bar.tar.gz"),
        ("${P/o*a/_}", "f_r.gz"),
        ("${PATHS//\\/tmp/}", "/bar.txt"),
        ("${PATHS//\\//\\/}", "\\/tmp\\/tmp\\/bar.txt"),
        ("${PATHS/$U/ww}", "ww/tmp/tmp/bar.txt"),
        ("${X//$U/-}", "-x-x-y-y-"),
        ("${X//*/-}", "-"),
        ("${X///}", "xxyy"),
        ("${U//a/b}", ""),
        ("${X/x/$A}", "axyy"),
    ],
)
def test_expansion(word: str, result: str) -> None:
    assert expand(word, ENV) == result


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("${A", "'}' is missing"),
        ("${", "'}' is missing"),
        ("${}", "followed by a name"),
        ("${{A}}", "followed by a name"),
        ("${:x}", "followed by a name"),
        ("${A!}", "'!' is not known"),
        ("${A=b}", "'=' is not known"),
        ("${A:=b}", "':=' is not known"),
        ("${A:", "'}' is missing"),
        ("${A:-b", "'}' is missing"),
        ("${X/a}", "'/' is missing"),
        ("${X//ww}", "'/' is missing"),
        ("${X/a/b", "'}' is missing"),
        ("${X#\\x}", "escapes 'x'"),
        ('"x', "double quote"),
        ("'x", "single quote"),
        ("a'", "single quote"),
        ("${U:-'a}", "single quote"),
        ("${U:?gone $A}", "U: gone a"),
        ("${U?}", "U: is not allowed to be unset"),
        ("${E:?}", "E: is not allowed to be empty"),
        ("${A:-" * 40, "too deeply"),
    ],
)
def test_words_that_are_wrong(word: str, reason: str) -> None:
    with pytest.raises(ExpansionError, match=reason):
        expand(word, ENV)


@pytest.mark.parametrize(
    ("word", "result"),
    [("`$A\\", "$A\\"), ('"`""', '"'), ("a`", "a"), ("'`'", "`"), ("\\$A", "\\a")],
)
def test_the_other_escape_character(word: str, result: str) -> None:
    assert expand(word, ENV, "`") == result


@pytest.mark.parametrize(
    ("text", "result"),
    [("'$A' \"$A\"", "'a' \"a\""), ("it's", "it's"), ("\\$A \\n", "$A n"), ("${U:-'x'}", "'x'")],
)
def test_texts_of_here_documents_keep_quotes(text: str, result: str) -> None:
    assert expand(text, ENV, keep_quotes=True) == result


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("80 443", ["80", "443"]),
        ("$S", ["two", "words"]),
        ('"$S"', ["two words"]),
        ("a$S.b", ["atwo", "words.b"]),
        ("two\\ words", ["two words"]),
        ("'a b'c d", ["a bc", "d"]),
        (" \t $E '' ", []),
        ("${U:-a b}", ["a", "b"]),
        ("${U:-'a b'}", ["a", "b"]),
        ("a\x1cb", ["a\x1cb"]),
        ("a\u00a0b", ["a", "b"]),
    ],
)
def test_words(word: str, words: list[str]) -> None:
    assert expand_words(word, ENV) == words


def test_what_was_looked_up() -> None:
    found = analyse("$A ${U:-$E} '$P' ${V+$W}", ENV)
    assert found.used == {"A", "E"}
    assert found.missing == {"U", "V", "W"}


def test_variables_without_a_value_can_be_left_alone() -> None:
    word = "$U ${U} ${U:-a} ${U/a/b} $A"
    assert analyse(word, ENV, keep_unset=True).text == "$U ${U} ${U:-a} ${U/a/b} a"


def test_a_result_cannot_grow_without_end() -> None:
    long = {"A": "a" * 100_000}
    for word in ("$A" * 20, "${A//a/" + "b" * 1000 + "}", "${A//$B/" + "b" * 1000 + "}"):
        with pytest.raises(ExpansionError, match="longer than"):
            expand(word, long)
    with pytest.raises(ExpansionError, match="limit"):
        expand("${A#" + "?" * 2000 + "}", long)


@pytest.mark.parametrize("word", ["${X%%*a*a*a*a*a*b}", "${X##*a*a*a*a*a*b}", "${X//a*a*a*a*a*a*b/x}", "${X//?*?*?b/}"])
def test_no_pattern_backtracks_without_end(word: str) -> None:
    """Each would take longer than the universe lasts, was it tried in every way."""
    value = "a" * 20_000
    assert expand(word, {"X": value}) == value


@given(st.text("ab*?\\/}[", max_size=12))
def test_no_part_of_a_pattern_repeats(pattern: str) -> None:
    """The work is bounded by the form of what is searched for: characters, one after the other."""
    with contextlib.suppress(ExpansionError):
        for chunk in ShellPattern.parse(pattern).chunks:
            assert all(char is None or len(char) == 1 for char in chunk)


def naive(pattern: str, text: str) -> bool:
    """Whether a pattern is for a whole text, tried in every way."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


@given(st.text("ab*?", max_size=6), st.text("ab", max_size=8))
def test_patterns_match_as_if_tried_in_every_way(pattern: str, text: str) -> None:
    parsed = ShellPattern.parse(pattern)
    ends = [end for end in range(len(text) + 1) if naive(pattern, text[:end])]
    assert parsed.prefix(text, longest=False) == (ends[0] if ends else None)
    assert parsed.prefix(text, longest=True) == (ends[-1] if ends else None)
    lengths = [length for length in range(len(text) + 1) if naive(pattern, text[len(text) - length :])]
    assert parsed.suffix(text, longest=False) == (lengths[0] if lengths else None)
    assert parsed.suffix(text, longest=True) == (lengths[-1] if lengths else None)
    places = [
        (at, end) for at in range(len(text) + 1) for end in range(at, len(text) + 1) if naive(pattern, text[at:end])
    ]
    at, end = max((p for p in places if p[0] == places[0][0]), key=lambda p: p[1]) if places else (0, 0)
    replaced = text[:at] + "<>" + text[end:] if places else text
    assert parsed.replaced(text, "<>", every=False, longest=100) == replaced


@given(st.text(st.characters(exclude_characters="$'\"\\")))
def test_a_plain_word_stays_as_it_is(word: str) -> None:
    assert expand(word, ENV) == word


@given(st.text())
def test_what_is_in_single_quotes_stays_as_it_is(text: str) -> None:
    text = text.replace("'", "")
    assert expand(f"'{text}'", ENV) == text


@given(st.text())
def test_escaped_characters_stay_as_they_are(text: str) -> None:
    assert expand("".join(f"\\{char}" for char in text), ENV) == text


@given(st.text("${}:-+?#%/*'\"\\ AXU1@`\n", max_size=60), st.sampled_from("\\`"), st.booleans())
def test_any_word_expands_or_is_refused(word: str, escape: str, keep_quotes: bool) -> None:
    with contextlib.suppress(ExpansionError):
        expand(word, ENV, escape, keep_quotes=keep_quotes)
        expand_words(word, ENV, escape)


@given(st.text("${}:-'\"\\ AU\t", max_size=30))
def test_words_are_the_text_without_its_white_space(word: str) -> None:
    with contextlib.suppress(ExpansionError):
        found = analyse(word, ENV)
        assert "".join("".join(found.words).split()) == "".join(found.text.split())
