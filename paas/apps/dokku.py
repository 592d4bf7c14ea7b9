"""Reading a Dokku host's files: /home/dokku and /var/lib/dokku, of this machine, of a copy or of a tar.

What is read is Dokku 0.38's layout, and older ones where they differ: config vars in APP/ENV, options in
APP/DOCKER_OPTIONS_*, the scale in APP/DOKKU_SCALE. Nothing is trusted: it comes from another machine.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from paas.errors import InvalidInput
from paas.names import EnvKey, env_value
from paas.system.inroot import open_in_root, read_in_root

HOME, LIBRARY = "home/dokku", "var/lib/dokku"
_LIMIT = 2 << 20
_MOUNT = re.compile(r"(?:-v|--volume)[ =](\S+)")
_NO_APPS = {"tls"}


@dataclass(frozen=True, slots=True)
class DokkuApp:
    """What is known of an app there. Texts are as they stand in the files; whoever sets them checks them."""

    name: str
    config: dict[str, str] = field(default_factory=dict, repr=False)
    domains: tuple[str, ...] | None = None
    """None: those below the global domains."""
    ports: tuple[str, ...] = ()
    scale: dict[str, str] = field(default_factory=dict)
    mounts: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()
    deploy_options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()
    properties: dict[tuple[str, str], str] = field(default_factory=dict)
    """(noun, key) -> text."""
    certificate: tuple[bytes, bytes] | None = field(default=None, repr=False)
    """Chain and key, PEM."""
    branch: str = ""
    """The one that deploys; '' when none is named."""
    has_repository: bool = False
    notes: tuple[str, ...] = ()
    """What could not be read."""


class DokkuHost:
    """`root` is a descriptor of the directory that home/dokku and var/lib/dokku lie in."""

    def __init__(self, root: int) -> None:
        self._root = root

    def app_names(self) -> list[str]:
        """Raises InvalidInput when this is no Dokku host."""
        names = self._list(HOME)
        if names is None:
            raise InvalidInput(
                f"There is no {HOME} here", hint="Name the directory that home/dokku and var/lib/dokku lie in."
            )
        return [
            name
            for name in names
            if not name.startswith(".") and name not in _NO_APPS and self._read(f"{HOME}/{name}/HEAD") is not None
        ]

    def global_config(self) -> dict[str, str]:
        return self._config("--global", f"{HOME}/ENV", [])

    def global_domains(self) -> list[str]:
        return self._lines(f"{HOME}/VHOST") or self._lines(f"{HOME}/HOSTNAME")

    def people(self) -> list[tuple[str, str]]:
        """(name, public key) of those who may push there."""
        found = []
        for line in self._lines(f"{HOME}/.ssh/authorized_keys"):
            match = re.search(r'NAME=\\?"([^"\\]+)\\?"', line)
            key = re.search(r"\s((?:ssh|ecdsa)-\S+ [A-Za-z0-9+/=]+)", line)
            if match and key:
                found.append((match[1], key[1]))
        return found

    def app(self, name: str) -> DokkuApp:
        notes: list[str] = []
        home = f"{HOME}/{name}"
        config = self._config(name, f"{home}/ENV", notes)
        no_vhost = config.pop("NO_VHOST", "") == "1"
        for key in [key for key in config if key.startswith("DOKKU_") or key == "GIT_REV"]:
            del config[key]  # knobs of Dokku's own, not the app's
        deploy = self._options(name, home, "DEPLOY", "deploy")
        mounts = [match[1] for option in deploy if (match := _MOUNT.match(option))]
        run = self._options(name, home, "RUN", "run")
        branch = self._property("git", name, "deploy-branch")
        vhosts = f"{home}/VHOST"
        return DokkuApp(
            name=name,
            config=config,
            domains=() if no_vhost else tuple(self._lines(vhosts)) if self._read(vhosts) is not None else None,
            ports=tuple(self._property_lines("ports", name, "map")),
            scale=self._scale(name, home),
            mounts=tuple(mounts),
            build_options=tuple(self._options(name, home, "BUILD", "build")),
            deploy_options=tuple(option for option in deploy if not _MOUNT.match(option)),
            run_options=tuple(option for option in run if not _MOUNT.match(option)),
            properties=dict(self._properties(name)),
            certificate=self._certificate(home),
            branch=branch or "",
            has_repository=self._list(f"{home}/objects") is not None,
            notes=tuple(notes),
        )

    def branches(self, name: str) -> dict[str, str]:
        """Branch -> commit."""
        found = {}
        for line in self._lines(f"{HOME}/{name}/packed-refs"):
            if match := re.fullmatch(r"([0-9a-f]{40}) refs/heads/(\S+)", line):
                found[match[2]] = match[1]
        for branch in self._list(f"{HOME}/{name}/refs/heads") or []:
            text = "".join(self._lines(f"{HOME}/{name}/refs/heads/{branch}"))
            if re.fullmatch(r"[0-9a-f]{40}", text):
                found[branch] = text
        return found

    def objects(self, name: str) -> Iterator[tuple[str, int]]:
        """Files of the repository's object database: path below `objects`, an open descriptor that is closed after."""
        for directory in self._list(f"{HOME}/{name}/objects") or []:
            if not re.fullmatch(r"[0-9a-f]{2}|pack", directory):
                continue
            for file in self._list(f"{HOME}/{name}/objects/{directory}") or []:
                pattern = r"pack-[0-9a-f]{40}\.(pack|idx)" if directory == "pack" else r"[0-9a-f]{38}"
                if not re.fullmatch(pattern, file):
                    continue
                path = f"{HOME}/{name}/objects/{directory}/{file}"
                opened = open_in_root(self._root, path, os.O_RDONLY | os.O_NONBLOCK)
                try:
                    if stat.S_ISREG(os.fstat(opened).st_mode):
                        yield f"{directory}/{file}", opened
                finally:
                    os.close(opened)

    # -- files ----------------------------------------------------------------------------------------------------

    def _read(self, path: str) -> bytes | None:
        return read_in_root(self._root, path, _LIMIT)

    def _lines(self, path: str) -> list[str]:
        text = (self._read(path) or b"").decode("utf-8", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def _list(self, path: str) -> list[str] | None:
        try:
            opened = open_in_root(self._root, path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return None
        try:
            with os.scandir(opened) as entries:
                return sorted(entry.name for entry in entries)
        finally:
            os.close(opened)

    def _property(self, plugin: str, app: str, key: str) -> str | None:
        lines = self._property_lines(plugin, app, key)
        return lines[0] if lines else None

    def _property_lines(self, plugin: str, app: str, key: str) -> list[str]:
        return self._lines(f"{LIBRARY}/config/{plugin}/{app}/{key}")

    def _properties(self, app: str) -> Iterator[tuple[tuple[str, str], str]]:
        """All that are set on an app with one line each; (plugin, key) -> value."""
        for plugin in self._list(f"{LIBRARY}/config") or []:
            for key in self._list(f"{LIBRARY}/config/{plugin}/{app}") or []:
                lines = self._property_lines(plugin, app, key)
                if len(lines) == 1:
                    limit = re.fullmatch(r"_default_\.(limit|reserve)\.([a-z-]+)", key)
                    name = f"{limit[1]}-{limit[2]}" if plugin == "resource" and limit else key
                    yield (plugin.removesuffix("-vhosts"), name), lines[0]

    def _config(self, app: str, old: str, notes: list[str]) -> dict[str, str]:
        """Lines `export KEY='value'`, quoted for a shell; a value may go over several lines."""
        data = self._read(f"{LIBRARY}/config/config/{app}/ENV") or self._read(f"{LIBRARY}/config/{app}/ENV")
        text = (data or self._read(old) or b"").decode("utf-8", "replace")
        try:
            words = shlex.split(text)
        except ValueError:
            notes.append("its config vars are not quoted as Dokku does it")
            return {}
        values: dict[str, str] = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                continue  # `export`
            try:
                values[EnvKey(key)] = env_value(key, value)
            except InvalidInput as error:
                notes.append(error.message)
        return values

    def _scale(self, app: str, home: str) -> dict[str, str]:
        lines = self._property_lines("ps", app, "scale") or self._lines(f"{home}/DOKKU_SCALE")
        return {match[1]: match[2] for line in lines if (match := re.fullmatch(r"([a-z0-9-]+)[=:]\s*(\d{1,3})", line))}

    def _options(self, app: str, home: str, old: str, phase: str) -> list[str]:
        found = self._lines(f"{home}/DOCKER_OPTIONS_{old}")
        for key in self._list(f"{LIBRARY}/config/docker-options/{app}") or []:
            if key.split(".")[-1] == phase:
                found += self._property_lines("docker-options", app, key)
        return list(dict.fromkeys(found))

    def _certificate(self, home: str) -> tuple[bytes, bytes] | None:
        chain, key = self._read(f"{home}/tls/server.crt"), self._read(f"{home}/tls/server.key")
        return (chain, key) if chain and key else None
