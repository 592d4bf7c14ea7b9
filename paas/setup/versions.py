"""Installed versions: a virtualenv each, side by side below /opt/paas; `current` points at the one that is used.

/opt/paas/0.1.0-3f2a9c81/          bin/python, bin/paas, lib/...; `installed` is written when all of it is there
/opt/paas/current -> 0.1.0-3f2a9c81
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.errors import InvalidInput, SystemFailure
from paas.setup.host import CURRENT, OPT, Host, passed_on
from paas.system import run as system
from paas.system.files import ensure_directory, remove_tree

_PARTS = ("pyproject.toml", "setup.py", "README.md", "paas", "hooks", "nginx-templates", "buildpacks", "scripts")
"""What of the project's directory makes a version; README.md is the package's description."""
_NOTE = "installed"
_WHEEL = re.compile(r"paas-(?P<version>[A-Za-z0-9.+!]+)-.+\.whl")
_PIP = ("--disable-pip-version-check", "--no-cache-dir")
_KEPT = 3


@dataclass(frozen=True, slots=True)
class Source:
    """What is installed: a wheel, or a directory that holds the project and nothing else."""

    path: Path
    version: str
    """As the package says, and a mark of its content: two states of a development have one version."""
    origin: str
    """What `--from` named, for the next upgrade."""


@contextmanager
def opened(origin: str) -> Iterator[Source]:
    """A wheel, a directory, DIRECTORY@REF of a git repository, or URL@REF. Raises InvalidInput, SystemFailure."""
    with tempfile.TemporaryDirectory(prefix="paas-source-") as scratch:
        path = Path(origin)
        if origin.endswith(".whl"):
            yield _wheel(path, origin)
            return
        place = Path(scratch, "project")
        if (path / "pyproject.toml").is_file():
            _copy(path, place)
            origin = str(path.resolve())
        else:
            repository, _, ref = origin.rpartition("@")
            if not repository:
                raise InvalidInput(f"{origin} is no wheel and no directory with a pyproject.toml")
            _check_out(repository, ref, place)
        yield _project(place, origin)


def _wheel(path: Path, origin: str) -> Source:
    match = _WHEEL.fullmatch(path.name)
    if match is None or not path.is_file():
        raise InvalidInput(f"{origin} is not a wheel of paas (paas-VERSION-py3-none-any.whl)")
    mark = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return Source(path.resolve(), f"{match['version']}-{mark}", str(path.resolve()))


def _copy(source: Path, place: Path) -> None:
    place.mkdir()
    for name in _PARTS:
        part = source / name
        if part.is_dir():
            shutil.copytree(part, place / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif part.is_file():
            shutil.copy2(part, place / name)


def _check_out(repository: str, ref: str, place: Path) -> None:
    if ref.startswith("-") or repository.startswith("-"):
        raise InvalidInput(f"{repository}@{ref} is not a repository and a ref")
    safe = ["git", "-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null"]
    whole = place.with_name("clone")
    system.run(
        [*safe, "clone", "--quiet", "--no-checkout", repository, str(whole)], env=passed_on() | _QUIET, timeout=600
    )
    found = system.run([*safe, "-C", str(whole), "rev-parse", "--verify", f"{ref}^{{commit}}"], check=False)
    if found.status != 0:
        found = system.run([*safe, "-C", str(whole), "rev-parse", "--verify", f"origin/{ref}^{{commit}}"], check=False)
    if found.status != 0:
        raise InvalidInput(f"{repository} has no {ref}")
    system.run([*safe, "-C", str(whole), "checkout", "--quiet", "--detach", found.text.strip()])
    if not (whole / "pyproject.toml").is_file():
        raise InvalidInput(f"{repository}@{ref} has no pyproject.toml")
    _copy(whole, place)


_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "/bin/false"}


def _project(place: Path, origin: str) -> Source:
    try:
        text = (place / "paas" / "__init__.py").read_text()
    except OSError:
        raise InvalidInput(f"{origin} does not hold paas") from None
    match = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if match is None:
        raise InvalidInput(f"{origin}: paas/__init__.py says no version")
    digest = hashlib.sha256()
    for file in sorted(place.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(place)}\0{file.stat().st_mode & 0o111}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return Source(place, f"{match[1]}-{digest.hexdigest()[:8]}", origin)


class Versions:
    """Those of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def is_installed(self, version: str) -> bool:
        return self._host.is_there(f"{OPT}/{version}/{_NOTE}")

    @property
    def current(self) -> str | None:
        """The version in use."""
        target = self._host.points(CURRENT)
        return Path(target).name if target is not None else None

    def origin(self, version: str) -> str | None:
        """What it was installed from."""
        try:
            note = json.loads(self._host.text(f"{OPT}/{version}/{_NOTE}") or "")
        except ValueError:
            return None
        return str(note["origin"])

    def install(self, source: Source) -> None:
        """Make the virtualenv. What a run that was interrupted left of it is removed first. Raises SystemFailure."""
        place = f"{OPT}/{source.version}"
        remove_tree(self._host.path(place))
        ensure_directory(self._host.path(OPT))
        self._host.run(["/usr/bin/python3", "-m", "venv", place], timeout=300)
        with self._seen(source) as package:
            self._host.run(
                [f"{place}/bin/pip", "install", "--quiet", "--no-input", *_PIP, package],
                env=passed_on(),
                timeout=1200,
            )
        self._host.run([f"{place}/bin/python", "-c", "import paas.engine.engine, paas.ssh.door"], timeout=120)
        self._host.write(f"{place}/{_NOTE}", json.dumps({"origin": source.origin}) + "\n")

    @contextmanager
    def _seen(self, source: Source) -> Iterator[str]:
        """The path by which pip, which runs in the host's root, reaches the source."""
        if self._host.root == Path("/"):
            yield str(source.path)
            return
        place = self._host.path("/tmp/paas-source") / source.path.name
        remove_tree(place.parent)
        place.parent.mkdir(parents=True)
        if source.path.is_dir():
            shutil.copytree(source.path, place)
        else:
            shutil.copy2(source.path, place)
        try:
            yield f"/tmp/paas-source/{source.path.name}"
        finally:
            remove_tree(place.parent)

    def use(self, version: str) -> None:
        """From the next start on it is this one. Raises SystemFailure when it is not whole."""
        if not self.is_installed(version):
            raise SystemFailure(f"{OPT}/{version} is not whole")
        self._host.point(CURRENT, version)

    def ask(self, version: str, code: str) -> str:
        """What a line of Python prints in a version."""
        return self._host.run([f"{OPT}/{version}/bin/python", "-c", code]).text.strip()

    def prune(self, *keep: str) -> list[str]:
        """Remove all but these, the current one and the newest of the others; returns what went."""
        opt = self._host.path(OPT)
        others = sorted(
            (entry for entry in opt.iterdir() if entry.is_dir() and not entry.is_symlink()),
            key=lambda entry: entry.stat().st_mtime,
            reverse=True,
        )
        stay = {self.current, *keep, *(entry.name for entry in others[:_KEPT])}
        gone = [entry for entry in others if entry.name not in stay]
        for entry in gone:
            remove_tree(entry)
        return [entry.name for entry in gone]
