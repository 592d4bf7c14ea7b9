"""One logical line while its instruction is parsed: keyword, flags, and the rest."""

from __future__ import annotations

from collections.abc import Iterable

from paas.build.dockerfile.errors import DockerfileError
from paas.build.dockerfile.lines import LogicalLine, Text
from paas.build.dockerfile.words import SPACE, NotStrings, json_list, split_first, split_flags
from paas.names import nearest

_DISPLAY = 200


class Line:
    def __init__(self, text: Text, line: LogicalLine) -> None:
        word, self.rest = split_first(line.text)
        self.text = text
        self.span = line.span
        self.heredocs = line.heredocs
        self.keyword = word.upper()
        shown = " ".join(line.text.split())
        self.source = shown if len(shown) <= _DISPLAY else shown[: _DISPLAY - 1] + "…"
        self._flags: dict[str, list[str | None]] = {}

    def error(self, message: str, hint: str | None = None) -> DockerfileError:
        return self.text.error(self.span, message, hint)

    def take_flags(self, *known: str, repeatable: tuple[str, ...] = ()) -> None:
        """Split leading flags off; unknown ones, and single ones given twice, are refused.

        Every instruction takes its flags off, also those that have none: `CMD --help` is refused, as in BuildKit.
        """
        found, self.rest = split_flags(self.rest)
        known += repeatable
        for name, value in found:
            if name not in known:
                message = f"{self.keyword} has no flag --{name[:40]}"
                raise self.error(message, did_you_mean(name, known, "--{}") or _known_flags(known))
            if name in self._flags and name not in repeatable:
                raise self.error(f"--{name} is given twice")
            self._flags.setdefault(name, []).append(value)

    def flag(self, name: str) -> str:
        """The value of a flag; empty where it is not given."""
        return "".join(self.flags(name))

    def flags(self, name: str) -> tuple[str, ...]:
        values = self._flags.get(name, [])
        if None in values:
            raise self.error(f"--{name} needs a value: --{name}=...")
        return tuple(value for value in values if value is not None)

    def switch(self, name: str) -> bool | None:
        """Whether a flag is on; None where it is not given."""
        if name not in self._flags:
            return None
        value = self._flags[name][0]
        if value is not None and value.lower() not in ("true", "false"):
            raise self.error(f"--{name} is true or false")
        return value is None or value.lower() == "true"

    def need(self, what: str) -> str:
        """The rest, which may not be empty."""
        if not self.rest:
            raise self.error(f"{self.keyword} needs {what}")
        return self.rest

    def json(self, rest: str) -> list[str] | None:
        """The strings of a JSON list, None for what is not one."""
        try:
            return json_list(rest.strip(SPACE))
        except NotStrings as error:
            raise self.error(str(error), 'Example: ["a", "b"]') from None


def did_you_mean(word: str, known: Iterable[str], form: str = "{}") -> str | None:
    """A hint that names what looks like `word`."""
    close = nearest(word, known)
    return f"Did you mean {form.format(close[0])}?" if close else None


def _known_flags(known: tuple[str, ...]) -> str:
    return "Known: " + (", ".join(f"--{name}" for name in sorted(known)) or "none")
