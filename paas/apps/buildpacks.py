"""The buildpacks that are set for apps, in order."""

from __future__ import annotations

import json
import re

from paas.apps.properties import Property
from paas.errors import Conflict, InvalidInput, NotFound
from paas.names import EnvKey, shown
from paas.source import remotes
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database

_ROW = "buildpacks:list"
_SHORT = re.compile(r"(?:(?:heroku(?:-community)?)/)?([a-z0-9][a-z0-9-]{0,30})")
_HEROKU = re.compile(
    r"https://github\.com/heroku/heroku-buildpack-([a-z]+)(?:\.git)?(?:#.*)?"
    r"|https://(?:buildpack-registry|codon-buildpacks)\.s3\.amazonaws\.com/buildpacks/heroku(?:-community)?/([a-z]+)\.tgz"
)
_FOLDER = re.compile(r"\.paas/buildpacks/[a-z][a-z0-9-]{0,30}")
_ADDRESS = re.compile(r"(https?|git|ssh)://[^\s@]+(@[^\s@]+)?|git@[\w.-]+:[^\s]+")
MOST = 50
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}(:[a-z0-9]{2,10})?(=[A-Za-z0-9.+:~-]{1,100})?")

_FETCHED = "buildpacks:fetched"


def _names(text: str) -> list[str]:
    """Names of config vars, between commas or spaces. Raises InvalidInput."""
    return [EnvKey(word) for word in text.replace(",", " ").split()]


PROPERTIES = [
    Property(
        "buildpacks",
        "stack",
        "the image that buildpacks build on where no language's version needs another (debian:bookworm)",
    ),
    Property("buildpacks", "build-env", "config vars that builds may see; none stays in the image", _names),
]


def debian_package(text: str) -> str:
    """A Debian package, perhaps with an architecture or a version. Raises InvalidInput."""
    if not _PACKAGE.fullmatch(text):
        raise InvalidInput(f"{shown(text)} is not a Debian package", hint="Name it as Debian does: libpq5")
    return text


def address(text: str) -> str:
    """The name of a buildpack that comes with the program (heroku/NAME is the same), a folder of the app's own below
    .paas/buildpacks, or the address of a git repository. Raises InvalidInput."""
    if short := _SHORT.fullmatch(text) or _HEROKU.fullmatch(text):
        return str(short[short.lastindex or 1])
    if _FOLDER.fullmatch(text):
        return text
    if not _ADDRESS.fullmatch(text) or not text.isprintable() or len(text) > 1000:
        raise InvalidInput(
            f"{shown(text)} is not a buildpack",
            hint="Examples: python, .paas/buildpacks/ours, https://example.com/buildpack.git#v1",
        )
    if remotes.parse_remote(text.partition("#")[0]).login is not None:
        raise InvalidInput(
            "The address of a buildpack holds no login: whoever sees the app sees it",
            hint="git:auth HOST USER keeps one; name the buildpack without it.",
        )
    return text


def listed(db: Database, app: App) -> list[str]:
    return list(json.loads(apps.property(db, app.id, _ROW) or "[]"))


def add(db: Database, app: App, pack: str, index: int | None) -> list[str]:
    """Insert at a place from 1, by default at the end. Raises Conflict when it is there."""
    with db.transaction():
        packs, found = listed(db, app), address(pack)
        if found in packs:
            raise Conflict(f"{app.name} has the buildpack {found} already")
        packs.insert(len(packs) if index is None else index - 1, found)
        return _store(db, app, packs)


def replace(db: Database, app: App, pack: str, index: int | None) -> list[str]:
    """Put one in the place of another, by default the first; beyond the last it is added."""
    with db.transaction():
        packs, found = listed(db, app), address(pack)
        at = (index or 1) - 1
        if found in packs and packs.index(found) != at:
            raise Conflict(f"{app.name} has the buildpack {found} already, at {packs.index(found) + 1}")
        packs[at : at + 1] = [found]
        return _store(db, app, packs)


def replace_all(db: Database, app: App, given: list[str]) -> list[str]:
    return _store(db, app, list(dict.fromkeys(address(pack) for pack in given)))


def remove(db: Database, app: App, pack: str | None, index: int | None) -> list[str]:
    """By its address or its place. Raises NotFound."""
    with db.transaction():
        packs = listed(db, app)
        if index is not None:
            found = packs[index - 1] if index <= len(packs) else None
        else:
            found = address(pack) if pack and address(pack) in packs else None
        if found is None:
            raise NotFound(f"{app.name} has no such buildpack", hint=f"buildpacks:list {app.name} shows those it has.")
        packs.remove(found)
        return _store(db, app, packs)


def is_address(pack: str) -> bool:
    """Whether it is a repository's."""
    return ":" in pack


def fetched(db: Database, app: App) -> dict[str, list[str]]:
    """Address -> the commit that was fetched, and the digest of what is kept of it."""
    return dict(json.loads(apps.property(db, app.id, _FETCHED) or "{}"))


def set_fetched(db: Database, app: App, pack: str, commit: str, digest: str) -> None:
    apps.set_property(db, app.id, _FETCHED, json.dumps({**fetched(db, app), pack: [commit, digest]}))


def _store(db: Database, app: App, packs: list[str]) -> list[str]:
    if len(packs) > MOST:
        raise InvalidInput(f"An app has at most {MOST} buildpacks")
    apps.set_property(db, app.id, _ROW, json.dumps(packs) if packs else None)
    apps.set_property(db, app.id, _FETCHED, None)
    return packs
