"""The lexer that expands a word; `expansion` says what for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from paas.build.dockerfile.errors import ExpansionError
from paas.build.dockerfile.shell_patterns import ShellPattern
from paas.build.dockerfile.words import SPACE, split_space

_DEEPEST = 32
_LONGEST = 1 << 20
"""Characters of a result: `ENV A=$A$A`, repeated, doubles it each time."""
_SPECIAL = "@*#?-$!"
"""The shell's special parameters: names of one character, which no build defines."""


class Words:
    """Collects the words of a result."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._parts: list[str] = []

    def add(self, text: str) -> None:
        """Text whose white space ends words."""
        first, *others = split_space(text)
        self._parts.append(first)
        for part in others:
            self._flush()
            self._parts.append(part)

    def add_whole(self, text: str) -> None:
        self._parts.append(text)

    def all(self) -> tuple[str, ...]:
        self._flush()
        return tuple(self._words)

    def _flush(self) -> None:
        if word := "".join(self._parts):
            self._words.append(word)
        self._parts.clear()


class Lexer:
    def __init__(
        self,
        text: str,
        env: Mapping[str, str],
        escape: str,
        quotes: bool,
        raw_quotes: bool,
        raw_escapes: bool,
        keep_unset: bool,
    ) -> None:
        self._text = text
        self._env = env
        self._escape = escape
        self._raw_quotes = raw_quotes
        self._raw_escapes = raw_escapes
        self._keep_unset = keep_unset
        self._quote_marks = "'\"" if quotes else ""
        # Neither of these can fail to match, and neither has more than one way to match.
        self._plain = re.compile("[^" + re.escape("$}/" + escape + self._quote_marks) + "]*")
        self._plain_quoted = re.compile("[^" + re.escape('$"' + escape) + "]*")
        self._at = 0
        self._depth = 0
        self.used: set[str] = set()
        self.missing: set[str] = set()

    def run(self, stop: str, raw_escapes: bool, words: Words | None = None) -> str:
        """Up to an unquoted `stop` character (consumed), or the end."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpansionError("variables are nested too deeply")
        outer, self._raw_escapes = self._raw_escapes, raw_escapes
        words = words or Words()
        out, length = list[str](), 0
        while True:
            if self._at >= len(self._text):
                if stop:
                    raise ExpansionError(f"'{stop}' is missing at the end of {self._shown()}")
                break
            char = self._text[self._at]
            if char == stop:
                self._at += 1
                break
            part = self._part(char, words)
            length += len(part)
            if length > _LONGEST:
                raise ExpansionError(f"the word becomes longer than {_LONGEST} characters")
            out.append(part)
        self._depth -= 1
        self._raw_escapes = outer
        return "".join(out)

    def _part(self, char: str, words: Words) -> str:
        if char == "$":
            part = self._variable()
            words.add(part)
        elif char == self._escape:
            self._at += 1
            part = self._next()
            # One at the very end escapes nothing, and is dropped.
            part = char + part if self._raw_escapes else part
            words.add_whole(part)
        elif char in self._quote_marks:
            part = self._single_quoted() if char == "'" else self._double_quoted()
            words.add_whole(part)
        else:
            match = self._plain.match(self._text, self._at + 1)
            end = match.end() if match else self._at + 1
            part, self._at = self._text[self._at : end], end
            words.add(part)
        return part

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise ExpansionError(f"a single quote is not closed in {self._shown()}")
        quoted, self._at = self._text[self._at : end + 1], end + 1
        return quoted if self._raw_quotes else quoted[1:-1]

    def _double_quoted(self) -> str:
        mark = '"' if self._raw_quotes else ""
        out = [mark]
        self._at += 1
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return "".join([*out, mark])
            if char == "$":
                out.append(self._variable())
            elif char == self._escape:
                out.append(self._escaped_in_quotes())
            else:
                match = self._plain_quoted.match(self._text, self._at)
                end = match.end() if match else self._at + 1
                out.append(self._text[self._at : end])
                self._at = end
        raise ExpansionError(f"a double quote is not closed in {self._shown()}")

    def _escaped_in_quotes(self) -> str:
        """Between double quotes only `"`, `$` and the escape character itself can be escaped."""
        self._at += 1
        kept = self._escape if self._raw_escapes else ""
        if self._peek() in ('"', "$", self._escape):
            return kept + self._next()
        return kept + self._escape

    def _variable(self) -> str:
        self._at += 1
        if self._peek() == "{":
            self._at += 1
            return self._braced()
        name = self._name()
        if not name:
            return "$"
        value = self._value(name)
        return value if value is not None else f"${name}" if self._keep_unset else ""

    def _braced(self) -> str:
        if self._peek() in ("{", "}", ":"):
            raise ExpansionError(f"'${{' is not followed by a name in {self._shown()}")
        name = self._name()
        operator = self._next()
        if operator == "}":
            value = self._value(name)
            return value if value is not None else f"${{{name}}}" if self._keep_unset else ""
        if operator == "/":
            return self._replaced(name)
        colon = operator == ":"
        if colon:
            operator = self._next()
        written = f":{operator}" if colon else operator
        if not operator:
            raise ExpansionError(f"'}}' is missing in {self._shown()}")
        if operator not in "-+?#%":
            raise ExpansionError(f"the modifier '{written}' is not known in {self._shown()}")
        operand = self.run("}", operator in "#%")
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}{written}{operand}}}"
        return _apply(name, value, operator, operand, empty_is_unset=colon)

    def _replaced(self, name: str) -> str:
        every = self._peek() == "/"
        self._at += every
        pattern, replacement = self.run("/", True), self.run("}", True)
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        return ShellPattern.parse(pattern).replaced(value or "", replacement, every=every, longest=_LONGEST)

    def _name(self) -> str:
        """Letters, digits and `_`; or digits; or one special character; empty where none of them stands."""
        start, char = self._at, self._peek()
        if char and char in _SPECIAL:
            self._at += 1
        elif char.isdecimal():
            while self._peek().isdecimal():
                self._at += 1
        else:
            while (char := self._peek()).isalpha() or char.isdecimal() or char == "_":
                self._at += 1
        return self._text[start : self._at]

    def _value(self, name: str) -> str | None:
        value = self._env.get(name)
        (self.missing if value is None else self.used).add(name)
        return value

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        self._at += len(char)
        return char

    def _shown(self) -> str:
        text = self._text.strip(SPACE)
        return repr(text if len(text) <= 80 else text[:79] + "…")


def _apply(name: str, value: str | None, operator: str, operand: str, *, empty_is_unset: bool) -> str:
    present = value is not None and not (empty_is_unset and value == "")
    known = value or ""
    match operator:
        case "-":
            return known if present else operand
        case "+":
            return operand if present else ""
        case "?":
            if not present:
                state = "unset" if value is None else "empty"
                raise ExpansionError(f"{name}: {operand or f'is not allowed to be {state}'}")
            return known
    # Whether the longest match is meant is told by what the operand expands to, as in BuildKit.
    longest = operand.startswith(operator)
    pattern = ShellPattern.parse(operand[longest:])
    if operator == "#":
        return known[pattern.prefix(known, longest=longest) or 0 :]
    return known[: len(known) - (pattern.suffix(known, longest=longest) or 0)]
