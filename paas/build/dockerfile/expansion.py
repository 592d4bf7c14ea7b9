"""Variables in words: `$X ${X} ${X:-w} ${X:+w} ${X-w} ${X+w} ${X:?w} ${X#p} ${X##p} ${X%p} ${X%%p} ${X/p/r} ${X//p/r}`.

After the Dockerfile reference ("Environment replacement") and BuildKit's `frontend/dockerfile/shell`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from paas.errors import BuildFailed

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]")
_DEEPEST = 32


class ExpansionError(BuildFailed):
    """What is wrong with a word; the caller knows the line."""


def expand(word: str, env: Mapping[str, str], escape: str = "\\", *, keep_quotes: bool = False) -> str:
    """Replace variables and, unless `keep_quotes`, remove quotes and escapes. Raises ExpansionError."""
    expander = _Expander(word, env, escape, keep_quotes)
    return expander.run("")


def expand_words(word: str, env: Mapping[str, str], escape: str = "\\") -> list[str]:
    """Like `expand`, but what came from an unquoted variable is split at white space (EXPOSE, VOLUME)."""
    return expand(word, env, escape).split()


class _Expander:
    def __init__(self, text: str, env: Mapping[str, str], escape: str, keep_quotes: bool, depth: int = 0) -> None:
        self._text = text
        self._env = env
        self._escape = escape
        self._keep = keep_quotes
        self._at = 0
        self._depth = depth
        if depth > _DEEPEST:
            raise ExpansionError("variables are nested too deeply")

    def run(self, stop: str) -> str:
        """Up to an unquoted `stop` character (consumed), or the end."""
        out = list[str]()
        while self._at < len(self._text):
            char = self._text[self._at]
            if stop and char == stop:
                self._at += 1
                return "".join(out)
            if char == "'" and not stop:
                out.append(self._single_quoted())
            elif char == '"':
                out.append(self._double_quoted())
            elif char == "$":
                out.append(self._variable())
            elif char == self._escape:
                out.append(self._escaped())
            else:
                out.append(char)
                self._at += 1
        if stop:
            raise ExpansionError(f"'{stop}' is missing at the end of {self._text!r}")
        return "".join(out)

    def _escaped(self) -> str:
        pair = self._text[self._at : self._at + 2]
        self._at += 2
        return pair if self._keep or len(pair) == 1 else pair[1]

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise ExpansionError(f"a single quote is not closed in {self._text!r}")
        quoted = self._text[self._at : end + 1]
        self._at = end + 1
        return quoted if self._keep else quoted[1:-1]

    def _double_quoted(self) -> str:
        out = ['"'] if self._keep else []
        self._at += 1
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return "".join(out) + ('"' if self._keep else "")
            if char == "$":
                out.append(self._variable())
            elif char == self._escape and self._text[self._at + 1 : self._at + 2] in ('"', "$", self._escape):
                out.append(self._escaped())
            else:
                out.append(char)
                self._at += 1
        raise ExpansionError(f"a double quote is not closed in {self._text!r}")

    def _variable(self) -> str:
        self._at += 1
        if self._text[self._at : self._at + 1] == "{":
            return self._braced()
        match = _NAME.match(self._text, self._at)
        if not match:
            return "$"
        self._at = match.end()
        return self._env.get(match[0], "")

    def _braced(self) -> str:
        self._at += 1
        match = _NAME.match(self._text, self._at)
        if not match:
            raise ExpansionError(f"'${{' is not followed by a name in {self._text!r}")
        name, value = match[0], self._env.get(match[0])
        self._at = match.end()
        operator = self._operator()
        if operator == "}":
            return value or ""
        operand = self._operand()
        return self._apply(name, value, operator, operand)

    def _operator(self) -> str:
        for operator in (":-", ":+", ":?", "##", "%%", "//", "#", "%", "/", "-", "+", "?", "}"):
            if self._text.startswith(operator, self._at):
                self._at += len(operator)
                return operator
        raise ExpansionError(f"'}}' or an operator is missing after the name in {self._text!r}")

    def _operand(self) -> str:
        """The text up to the closing brace, variables in it replaced."""
        inner = _Expander(self._text, self._env, self._escape, False, self._depth + 1)
        inner._at = self._at
        found = inner.run("}")
        self._at = inner._at
        return found

    def _apply(self, name: str, value: str | None, operator: str, operand: str) -> str:
        present = bool(value) if operator.startswith(":") else value is not None
        match operator.removeprefix(":"):
            case "-":
                return value or "" if present else operand
            case "+":
                return operand if present else ""
            case "?":
                if not present:
                    raise ExpansionError(f"{name}: {operand or 'is not set'}")
                return value or ""
            case "#" | "##":
                return _trim_start(value or "", operand, longest=operator == "##")
            case "%" | "%%":
                return _trim_end(value or "", operand, longest=operator == "%%")
            case _:
                pattern, _, replacement = operand.partition("/")
                return _substitute(value or "", pattern, replacement, every=operator == "//")


def _regex(pattern: str, *, longest: bool) -> str:
    """A shell pattern (`*`, `?`, `\\x`) as a regular expression."""
    out, position = list[str](), 0
    while position < len(pattern):
        char = pattern[position]
        if char == "*":
            out.append(".*" if longest else ".*?")
        elif char == "?":
            out.append(".")
        elif char == "\\" and position + 1 < len(pattern):
            position += 1
            out.append(re.escape(pattern[position]))
        else:
            out.append(re.escape(char))
        position += 1
    return "".join(out)


def _trim_start(value: str, pattern: str, *, longest: bool) -> str:
    found = re.match(_regex(pattern, longest=longest), value, re.DOTALL)
    return value[found.end() :] if found else value


def _trim_end(value: str, pattern: str, *, longest: bool) -> str:
    ends = range(len(value) + 1) if longest else range(len(value), -1, -1)
    expression = re.compile(_regex(pattern, longest=True), re.DOTALL)
    for start in ends:
        if expression.fullmatch(value, start):
            return value[:start]
    return value


def _substitute(value: str, pattern: str, replacement: str, *, every: bool) -> str:
    if not pattern:
        return value
    return re.sub(_regex(pattern, longest=True), lambda _: replacement, value, count=0 if every else 1, flags=re.DOTALL)
