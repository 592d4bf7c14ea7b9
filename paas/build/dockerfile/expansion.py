"""Variables, quotes and escapes in words.

`$X ${X} ${X:-w} ${X:+w} ${X-w} ${X+w} ${X:?w} ${X?w} ${X#p} ${X##p} ${X%p} ${X%%p} ${X/p/r} ${X//p/r}`, after the
Dockerfile reference ("Environment replacement") and BuildKit's `frontend/dockerfile/shell`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paas.build.dockerfile.errors import ExpansionError
from paas.build.dockerfile.lexer import Lexer, Words
from paas.build.dockerfile.words import split_space

__all__ = ["Expanded", "ExpansionError", "analyse", "expand", "expand_words"]


@dataclass(frozen=True, slots=True)
class Expanded:
    """`words` is the text split at white space that is neither quoted nor escaped."""

    text: str
    words: tuple[str, ...]
    used: frozenset[str]
    """Variables that were looked up and found."""
    missing: frozenset[str]
    """Variables that were looked up and not found."""


def expand(word: str, env: Mapping[str, str], escape: str = "\\", *, keep_quotes: bool = False) -> str:
    """Replace variables, remove quotes and escapes. Raises ExpansionError.

    With `keep_quotes` quotes are ordinary characters, as in here-documents.
    """
    return analyse(word, env, escape, quotes=not keep_quotes).text


def expand_words(word: str, env: Mapping[str, str], escape: str = "\\") -> list[str]:
    """Like `expand`, then split at white space that is neither quoted nor escaped (EXPOSE). Raises ExpansionError."""
    return list(analyse(word, env, escape).words)


def analyse(
    word: str,
    env: Mapping[str, str],
    escape: str = "\\",
    *,
    quotes: bool = True,
    raw_quotes: bool = False,
    raw_escapes: bool = False,
    keep_unset: bool = False,
) -> Expanded:
    """Expand a word, and tell what it used. Raises ExpansionError.

    `quotes=False` makes quotes ordinary; `raw_quotes` and `raw_escapes` leave them in the text; `keep_unset` leaves
    variables without a value as they are written.
    """
    if not any(char in word for char in ("$", "'", '"', escape)):  # most words
        return Expanded(word, tuple(filter(None, split_space(word))), frozenset(), frozenset())
    lexer = Lexer(word, env, escape, quotes, raw_quotes, raw_escapes, keep_unset)
    words = Words()
    text = lexer.run("", raw_escapes, words)
    return Expanded(text, words.all(), frozenset(lexer.used), frozenset(lexer.missing))
