"""`RUN --mount=...`: keys and values of each type. Pure.

After the Dockerfile reference ("RUN --mount") and BuildKit's `instructions/commands_runmount.go`. Values may contain
variables, which the build expands; what can be checked before is checked here.
"""

from __future__ import annotations

import csv
import posixpath
import re

from paas.build.dockerfile.line import Line, did_you_mean

_OTHER_NAMES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_KEYS = {
    "bind": ("target", "source", "from", "readonly", "readwrite"),
    "cache": ("id", "target", "sharing", "from", "source", "mode", "uid", "gid", "readonly", "readwrite"),
    "tmpfs": ("target", "size", "readonly", "readwrite"),
    "secret": ("id", "source", "target", "required", "mode", "uid", "gid", "env", "readonly", "readwrite"),
    "ssh": ("id", "target", "required", "mode", "uid", "gid", "readonly", "readwrite"),
}
_ALL_KEYS = ("type", *dict.fromkeys(key for keys in _KEYS.values() for key in keys), *_OTHER_NAMES)
_SWITCHES = ("readonly", "readwrite", "required")
_NEED_TARGET = ("bind", "cache", "tmpfs")
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
_NUMBER = 1 << 32
_FORMS = {
    "sharing": (re.compile(r"shared|private|locked", re.IGNORECASE), "shared, private or locked"),
    "mode": (re.compile(r"[0-7]{1,11}"), "an octal mode such as 0400"),
    "uid": (re.compile(r"[0-9]{1,10}"), "a number"),
    "gid": (re.compile(r"[0-9]{1,10}"), "a number"),
    "size": (re.compile(r"[0-9]+(\.[0-9]+)? ?([kmgtp]?i?b?)", re.IGNORECASE), "a size such as 64m"),
}


def mount(line: Line, text: str) -> dict[str, str]:
    """The keys of one `--mount`, under one name each.

    `type` and `readonly` ("true" or "false") are always there; `source` of a secret is its `id`. Raises
    DockerfileError for unknown, repeated and missing keys and for values that cannot be.
    """
    given = _pairs(line, text)
    kind = given.pop("type", "bind").lower()
    if kind not in _KEYS:
        hint = did_you_mean(kind, _KEYS) or "Known: " + ", ".join(_KEYS)
        raise line.error(f"--mount=type={kind[:40]} is not known", hint)
    for key in given:
        if key not in _KEYS[kind]:
            hint = f"Known for it: {', '.join(_KEYS[kind])}"
            raise line.error(f"a mount of type {kind} has no key {key}", hint)
    found = {"type": kind, **{key: _value(line, key, value) for key, value in given.items()}}
    _settle_readonly(line, kind, found)
    _check_whole(line, kind, found)
    return found


def _pairs(line: Line, text: str) -> dict[str, str]:
    """Comma-separated `key=value`, quoted as in CSV; the keys that switch something may stand alone."""
    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise line.error(f"--mount={text[:80]} cannot be read: {error}") from None
    if not fields:
        raise line.error("--mount needs key=value pairs", "Example: --mount=type=cache,target=/root/.cache")
    found: dict[str, str] = {}
    for field in fields:
        written, equals, value = field.partition("=")
        key = _OTHER_NAMES.get(written.lower(), written.lower())
        if key not in _ALL_KEYS:
            hint = did_you_mean(key, _ALL_KEYS) or "Known: " + ", ".join(_ALL_KEYS)
            raise line.error(f"--mount has no key {written[:40]!r}", hint)
        if not equals and key not in _SWITCHES:
            raise line.error(f"--mount: {written} needs a value: {written}=...")
        if key in found:
            raise line.error(f"--mount: {key} is given twice")
        found[key] = value if equals else "true"
    return found


def _value(line: Line, key: str, value: str) -> str:
    if key == "from" and re.search(r"\$.", value):
        raise line.error(
            "the from of a mount cannot contain variables",
            "Give it a stage of its own, with the ARG before the first FROM: FROM image:$VERSION AS name",
        )
    if "$" in value and key != "readwrite":
        return value
    if key in _SWITCHES:
        if value not in _TRUE + _FALSE:
            raise line.error(f"--mount: {key}={value[:40]} is not true or false")
        return "true" if value in _TRUE else "false"
    form = _FORMS.get(key)
    fits = form is None or form[0].fullmatch(value)
    if form and (not fits or (key in ("mode", "uid", "gid") and int(value, 8 if key == "mode" else 10) >= _NUMBER)):
        hint = did_you_mean(value, ("shared", "private", "locked")) if key == "sharing" else None
        raise line.error(f"--mount: {key}={value[:40]} is not {form[1]}", hint)
    return value.lower() if key == "sharing" else value


def _settle_readonly(line: Line, kind: str, found: dict[str, str]) -> None:
    """`readwrite` is the opposite of `readonly`; without them it depends on the type."""
    if "readwrite" in found:
        if "readonly" in found:
            raise line.error("--mount is either readonly or readwrite")
        found["readonly"] = "false" if found.pop("readwrite") == "true" else "true"
    found.setdefault("readonly", "false" if kind in ("cache", "tmpfs") else "true")


def _check_whole(line: Line, kind: str, found: dict[str, str]) -> None:
    if kind in _NEED_TARGET and not found.get("target"):
        raise line.error(f"a mount of type {kind} needs a target", f"Example: --mount=type={kind},target=/path")
    if posixpath.normpath("/" + found.get("target", "x")) in ("/", "//"):
        raise line.error("a mount cannot cover the whole image", "Its target is a path below /.")
    if kind == "secret":
        if found.get("source") and found.get("id"):
            raise line.error("a secret has an id or a source, not both")
        if "source" in found:
            found["id"] = found.pop("source")
        if not found.get("id") and not found.get("target"):
            raise line.error("a secret needs an id or a target", "Example: --mount=type=secret,id=token")
