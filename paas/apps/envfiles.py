"""Config vars as text that other tools read and write: .env files, shell lines, JSON, tar archives."""

from __future__ import annotations

import io
import json
import shlex
import tarfile
from collections.abc import Callable, Mapping

from dotenv.parser import parse_stream

from paas.errors import InvalidInput
from paas.names import EnvKey, env_value, shown


def envfile(values: Mapping[str, str]) -> str:
    """Lines as python-dotenv, Ruby's and Node's dotenv and docker compose read them."""
    return "".join(f"{key}={_quoted(value)}\n" for key, value in values.items())


def parse_envfile(text: str) -> dict[str, str]:
    """The reverse. Raises InvalidInput with the number of the line, never with what stands there."""
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            raise InvalidInput(f"Line {binding.original.line} is not of the form KEY=VALUE")
        if binding.key is not None and binding.value is not None:
            values[EnvKey(binding.key)] = env_value(binding.key, binding.value)
    return values


def parse_json(text: str) -> dict[str, str]:
    """An object of strings and numbers. Raises InvalidInput, without showing any of it."""
    try:
        found = json.loads(text)
    except ValueError as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidInput(f"The input is not JSON{where}") from None
    if not isinstance(found, dict):
        raise InvalidInput("The input is not a JSON object", hint='Example: {"DEBUG": "1"}')
    values: dict[str, str] = {}
    for key, value in found.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InvalidInput(f"{shown(key)} is neither a string nor a number")
        values[EnvKey(key)] = env_value(key, str(value))
    return values


def bundle(values: Mapping[str, str]) -> bytes:
    """A tar with a file for each config var, as buildpacks take them."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for key, value in values.items():
            data = value.encode("utf-8", "surrogateescape")
            entry = tarfile.TarInfo(key)
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def _exports(values: Mapping[str, str]) -> str:
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in values.items())


def _joined(words: list[str]) -> str:
    return " ".join(words) + "\n" if words else ""


def _pretty(values: Mapping[str, str]) -> str:
    width = max((len(key) for key in values), default=0) + 2
    return "".join(f"{key + ':':{width}}{value}\n" for key, value in values.items())


FORMATS: dict[str, Callable[[Mapping[str, str]], str]] = {
    "exports": _exports,
    "envfile": envfile,
    "shell": lambda values: _joined([f"{key}={shlex.quote(value)}" for key, value in values.items()]),
    "json": lambda values: json.dumps(dict(values), ensure_ascii=False) + "\n",
    "json-list": lambda values: (
        json.dumps([{"name": key, "value": value} for key, value in values.items()], ensure_ascii=False) + "\n"
    ),
    "pretty": _pretty,
    "docker-args": lambda values: _joined([f"--env={key}={shlex.quote(value)}" for key, value in values.items()]),
    "docker-args-keys": lambda values: _joined([f"--env={key}" for key in values]),
    "pack-keys": lambda values: _joined([f"--env {key}" for key in values]),
}
"""What config:export writes, by the name of the format."""

PARSERS: dict[str, Callable[[str], dict[str, str]]] = {"envfile": parse_envfile, "json": parse_json}
"""What config:import reads."""


def _quoted(value: str) -> str:
    if not any(character in value for character in "'\\\n\r"):
        return f"'{value}'"
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(character, escape)
    return f'"{value}"'
