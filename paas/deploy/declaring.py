"""paas.yml against what is set on an app: the settings after it, and what differs. The file wins but for config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from paas.apps.claims import Claims
from paas.apps.nodes import Node
from paas.apps.paasyml import FILE, PaasYml
from paas.apps.properties import Properties
from paas.apps.storage import Storage
from paas.errors import Denied, InvalidInput, PaasError
from paas.model import AppSettings, Mount, PortMap, Who
from paas.state.apps import App
from paas.state.networks import ATTACHMENTS


class Declaring:
    def __init__(self, properties: Properties, storage: Storage, claims: Claims) -> None:
        self._properties = properties
        self._storage = storage
        self._claims = claims

    def settings(self, app: App, settings: AppSettings, said: PaasYml, who: Who) -> AppSettings:
        """What is set, once the file holds. Raises InvalidInput; Denied for what this pusher may not have."""
        if said.domains is not None:
            self._claims.check_hostnames(app, said.domains, who)
            settings = replace(settings, domains=said.domains)
        if said.ports is not None:
            self._claims.check_ports(app, said.ports, who)
            settings = replace(settings, ports=_sorted(said.ports))
        if said.scale:
            settings = replace(settings, scale={**settings.scale, **said.scale})
        if said.storage is not None:
            settings = replace(settings, mounts=self._mounts(said.storage, settings.mounts, who))
        if said.settings:
            rows = {self._row(noun, key, node): node.scalar() for (noun, key), node in said.settings.items()}
            merged = {**settings.properties, **rows}
            settings = replace(settings, properties={row: text for row, text in merged.items() if text})
        return settings

    def _mounts(self, nodes: Sequence[Node], present: Sequence[Mount], who: Who) -> tuple[Mount, ...]:
        found: list[Mount] = []
        trusted = Who(who.name, admin=True)
        for node in nodes:
            try:
                mount = self._storage.parse(node.text(), trusted)
                if mount not in present:  # what is mounted already was allowed to whoever mounted it
                    mount = self._storage.parse(node.text(), who)
                self._storage.prepare(mount)
            except PaasError as error:
                kind = Denied if isinstance(error, Denied) else InvalidInput
                raise kind(f"{node.file}:{node.line}: {node.path}: {error.message}", hint=error.hint) from None
            if any(mount.target == other.target for other in found):
                raise node.error(f"something is mounted on {mount.target} already")
            found.append(mount)
        return tuple(sorted(found, key=lambda mount: mount.target))

    def _row(self, noun: str, key: str, node: Node) -> str:
        try:
            item = self._properties.check(noun, key, node.scalar())
        except InvalidInput as error:
            raise node.refuse(error) from None
        if not item.released or item.row in ATTACHMENTS:  # a push must not lead to where other apps are
            raise node.error("cannot be set by a push", f"Set it by command: {noun}:set APP {key} ...")
        return item.row


def differences(before: AppSettings, after: AppSettings) -> Iterator[str]:
    """What changes, a line for each thing: `scale web 1 -> 2`. Config vars are not among them."""
    for kind in sorted({*before.scale, *after.scale}):
        if (old := before.scale.get(kind, 0)) != (new := after.scale.get(kind, 0)):
            yield f"scale {kind} {old} -> {new}"
    for what, then, now in (
        ("domains", _domains(before), _domains(after)),
        ("ports", _words(before.ports), _words(after.ports)),
        ("storage", _words(before.mounts), _words(after.mounts)),
    ):
        if then != now:
            yield f"{what} {then} -> {now}"
    for row in sorted({*before.properties, *after.properties}):
        if (was := before.properties.get(row)) != (is_now := after.properties.get(row)):
            yield f"{row} {was or '(default)'} -> {is_now or '(default)'}"


def heading(line: str) -> str:
    return f"{FILE}: {line}"


def _sorted(maps: Sequence[PortMap]) -> tuple[PortMap, ...]:
    """In the order in which they are kept, so that the same ones are no difference."""
    return tuple(sorted(maps, key=lambda port: (port.host, port.scheme)))


def _domains(settings: AppSettings) -> str:
    if settings.domains is None:
        return "(below the global domains)"
    return " ".join(settings.domains) or "(none)"


def _words(values: Sequence[object]) -> str:
    return " ".join(map(str, values)) or "(none)"
