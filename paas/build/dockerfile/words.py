"""Words of an instruction: flags, JSON lists, KEY=VALUE pairs, split outside of quotes. Pure.

After BuildKit's `frontend/dockerfile/parser` (`split_command.go`, `line_parsers.go`).
"""

from __future__ import annotations

import json
import re

SPACE = " \t\n\v\f\r\x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""White space as Go's unicode.IsSpace has it; Python's own notion is wider."""
_SPACES = re.compile(f"[{SPACE}]+")
_SEPARATOR = re.compile(r"[\t\v\f\r ]+")


class NotStrings(ValueError):
    """A JSON list with something else than strings in it."""


def split_space(text: str) -> list[str]:
    """Split at runs of white space; empty parts at the ends stay."""
    return _SPACES.split(text)


def split_first(text: str) -> tuple[str, str]:
    """The first word and the rest."""
    word, *rest = _SEPARATOR.split(text.strip(SPACE), maxsplit=1)
    return word, rest[0] if rest else ""


def split_plain(text: str) -> list[str]:
    """Split at white space, whatever is quoted: sources, ports, paths, images."""
    text = text.strip(SPACE)
    return _SEPARATOR.split(text) if text else []


def split_flags(text: str) -> tuple[list[tuple[str, str | None]], str]:
    """Leading `--flag[=value]` words, in order, and the rest.

    Quotes and backslashes (whatever the file's escape character is) hold a word together and are removed; a lone `--`
    ends the flags.
    """
    flags: list[tuple[str, str | None]] = []
    at = _skip_space(text, 0)
    while text.startswith("--", at):
        word, at = _unquoted_word(text, at)
        if word == "--":
            break
        name, equals, value = word[2:].partition("=")
        flags.append((name, value if equals else None))
        at = _skip_space(text, at)
    return flags, text[at:].strip(SPACE)


def _skip_space(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return match.end() if match else at


def _unquoted_word(text: str, at: int) -> tuple[str, int]:
    out, quote = list[str](), ""
    while at < len(text):
        char = text[at]
        if char == "\\":
            out.append(text[at + 1 : at + 2])
            at += 1
        elif quote:
            if char == quote:
                quote = ""
            else:
                out.append(char)
        elif char in "'\"":
            quote = char
        elif char in SPACE:
            break
        else:
            out.append(char)
        at += 1
    return "".join(out), min(at, len(text))


def json_list(text: str) -> list[str] | None:
    """The strings of a JSON list; None when the text is not one, and is then meant for a shell.

    Raises NotStrings.
    """
    text = text.lstrip(SPACE)
    if not text.startswith("["):
        return None
    try:
        # Numbers are refused below; as floats they cost nothing, however many digits they have.
        value = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list):
        return None
    if not all(isinstance(item, str) for item in value):
        raise NotStrings("a JSON list may contain strings only")
    # Half a surrogate pair cannot be written anywhere.
    return [item.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for item in value]


def split_words(text: str, escape: str) -> list[str]:
    """Split at white space outside of quotes; quotes and escapes stay in the words."""
    words, word, quote, started, at = list[str](), list[str](), "", False, 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == escape and quote != "'":
            if at == len(text):
                break  # at the very end it escapes nothing
            word += [char, text[at]]
            at += 1
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote, started = char, True
        elif char in SPACE:
            if word or started:
                words.append("".join(word))
            word, started = [], False
            continue
        word.append(char)
    if word or started:
        words.append("".join(word))
    return words


def key_values(text: str, escape: str) -> tuple[list[tuple[str, str]], bool] | str:
    """`A=1 B="two words"`, or the old form `A the whole rest` (then the flag is set); a text says what is wrong."""
    words = split_words(text, escape)
    if not words:
        return "a name and a value are missing"
    if "=" not in words[0]:
        name, value = split_first(text)
        return ([(name, value)], True) if value else f"{name} has no value"
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            return f"{word} has no '='; quote values that contain spaces"
        if not key:
            return f"{word} has no name before the '='"
        pairs.append((key, value))
    return pairs, False
