"""The packages that an app declares, by the manifests whose form is known here. Names are lower case, `_` is `-`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from paas.buildpacks.view import View, at

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_SETUP = re.compile(r"install_requires\s*=\s*\[?([^\]]{0,20000})", re.DOTALL)
_QUOTED = re.compile(r"""["']([^"']{1,200})["']""")


def packages(view: View) -> frozenset[str]:
    """Raises InvalidInput, with file and line, for a manifest that cannot be read."""
    found: set[str] = set()
    for path, read in _READERS.items():
        if view.find(path):
            found.update(map(normal, read(view, path)))
    return frozenset(found)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower() if "/" not in name else name.lower()


def _requirements(view: View, path: str) -> list[str]:
    return [name[1] for line in view.text(path).splitlines() if (name := _NAME.match(line))]


def _pyproject(view: View, path: str) -> list[str]:
    value = view.manifest(path)
    listed = [text for key in ("project.dependencies",) for text in _list(at(value, key)) if isinstance(text, str)]
    found = [name[1] for text in listed if (name := _NAME.match(text))]
    return found + list(_keys(at(value, "tool.poetry.dependencies")))


def _setup(view: View, path: str) -> list[str]:
    body = _SETUP.search(view.text(path)[:200_000])
    return [name[1] for text in _QUOTED.findall(body[1]) if (name := _NAME.match(text))] if body else []


def _tables(*keys: str) -> Callable[[View, str], list[str]]:
    def read(view: View, path: str) -> list[str]:
        value = view.manifest(path)
        return [name for key in keys for name in _keys(at(value, key))]

    return read


def _keys(value: Any) -> Iterable[str]:
    return [key for key in value if isinstance(key, str)] if isinstance(value, dict) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_READERS: Mapping[str, Callable[[View, str], list[str]]] = {
    "requirements.txt": _requirements,
    "pyproject.toml": _pyproject,
    "Pipfile": _tables("packages"),
    "setup.py": _setup,
    "package.json": _tables("dependencies", "devDependencies"),
    "composer.json": _tables("require"),
    "Cargo.toml": _tables("dependencies"),
}
MANIFESTS = tuple(_READERS)


def engine(view: View, package: str, name: str) -> tuple[str, str] | None:
    """What a package itself requires of a language (`node`), as the lock file has it, and the file.

    None where no lock file says it, or one says several. Raises InvalidInput with file and line for a broken one.
    """
    for path in _JSON_LOCKS:
        if view.find(path):
            found = at(view.manifest(path), f"packages.node_modules/{package}.engines.{name}")
            return (found, path) if isinstance(found, str) else None
    if view.find(_PNPM_LOCK):
        found = _pnpm_engine(view.text(_PNPM_LOCK), package, name)
        return (found, _PNPM_LOCK) if found else None
    return None


def _pnpm_engine(text: str, package: str, name: str) -> str | None:
    """An entry is `  next@15.0.0:` (in quotes where the name has an @), lines that are indented more, an empty line."""
    entry = re.compile(rf"^  '?/?{re.escape(package)}@[^\n]{{1,200}}:\n((?:    [^\n]*\n)*)", re.MULTILINE)
    engines = re.compile(rf"^    engines: \{{[^\n]*\b{re.escape(name)}: ('[^'\n]*'|[^,'}}\n]+)", re.MULTILINE)
    found = {each[1].strip("' ") for body in entry.findall(text) if (each := engines.search(body))}
    return found.pop() if len(found) == 1 else None


_JSON_LOCKS = ("package-lock.json", "npm-shrinkwrap.json")
_PNPM_LOCK = "pnpm-lock.yaml"
LOCKS = (*_JSON_LOCKS, _PNPM_LOCK)
