"""Words of an instruction: flags, JSON lists, KEY=VALUE pairs, split outside of quotes. Pure."""

from __future__ import annotations

import json
import re

_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(.*))?", re.DOTALL)


def split_flags(text: str) -> tuple[list[tuple[str, str | None]], str]:
    """Leading `--flag[=value]` words, in order, and the rest."""
    flags: list[tuple[str, str | None]] = []
    rest = text.lstrip()
    while rest.startswith("--"):
        word, _, remaining = rest.partition(" ") if " " in rest else (rest, "", "")
        if word == "--":
            return flags, remaining.lstrip()
        match = _FLAG.fullmatch(word)
        if not match:
            break
        flags.append((match[1], match[2]))
        rest = remaining.lstrip()
    return flags, rest


def json_list(text: str) -> list[str] | None:
    """The strings of a JSON list; None when the text is not one, and is then meant for a shell."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return value


def split_words(text: str, escape: str) -> list[str]:
    """Split at white space outside of quotes; quotes and escapes stay in the words."""
    words, word, quote, position = list[str](), "", "", 0
    started = False
    while position < len(text):
        char = text[position]
        if char == escape and quote != "'" and position + 1 < len(text):
            word += text[position : position + 2]
            position += 2
            started = True
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace():
            if started:
                words.append(word)
            word, started = "", False
            position += 1
            continue
        word += char
        started = True
        position += 1
    if started:
        words.append(word)
    return words


def key_values(text: str, escape: str) -> list[tuple[str, str]] | str:
    """`A=1 B="two words"`, or the old form `A the whole rest`; a text says what is wrong."""
    words = split_words(text, escape)
    if not words:
        return "a name and a value are missing"
    if "=" not in words[0]:
        name, _, value = text.strip().partition(" ") if " " in text.strip() else text.strip().partition("\t")
        return [(name, value.strip())] if value.strip() else f"{name} has no value"
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            return f"{word} has no '='; quote values that contain spaces"
        if not key:
            return f"{word} has no name before the '='"
        pairs.append((key, value))
    return pairs
