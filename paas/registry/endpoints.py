"""Where a registry is spoken to: its address, with TLS or without, and mirrors of docker.io."""

from __future__ import annotations

from dataclasses import dataclass

from paas.image.reference import DOCKER_HUB, ImageReference
from paas.registry.auth import Authorizer
from paas.registry.client import Repository
from paas.registry.credentials import Credentials
from paas.registry.transport import BadCertificate, Transport, Unreachable, is_loopback
from paas.settings import Settings

_DOCKER_HUB_HOST = "registry-1.docker.io"
_SMALL = 1 << 20


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url` has no path; `insecure` ones may be without TLS."""

    url: str
    host: str
    insecure: bool


class Endpoints:
    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials

    def mirrors(self) -> list[Endpoint]:
        """Of docker.io, in the order in which they are asked."""
        return [Endpoint(url, url.partition("://")[2], url.startswith("http://")) for url in self._settings.mirrors]

    def find(self, registry: str, transport: Transport) -> Endpoint:
        """A registry that answers. Raises Unreachable."""
        if registry == DOCKER_HUB:
            found = Endpoint(f"https://{_DOCKER_HUB_HOST}", DOCKER_HUB, False)
            ask(found, transport)
            return found
        if not self.is_insecure(registry):
            found = Endpoint(f"https://{registry}", registry, False)
            ask(found, transport)
            return found
        try:
            found = Endpoint(f"https://{registry}", registry, True)
            ask(found, transport)
        except Unreachable as error:
            if isinstance(error, BadCertificate) and not error.plain:
                raise
            found = Endpoint(f"http://{registry}", registry, True)
            ask(found, transport)
        return found

    def is_insecure(self, registry: str) -> bool:
        """Whether a registry may be spoken to without TLS."""
        return is_loopback(registry.partition(":")[0]) or self.is_named(registry)

    def is_named(self, registry: str) -> bool:
        """Whether the settings name it as insecure."""
        return bool({registry, registry.partition(":")[0]} & set(self._settings.insecure))

    def repository(self, endpoint: Endpoint, reference: ImageReference, transport: Transport) -> Repository:
        login = self._credentials.get(endpoint.host)
        authorizer = Authorizer(transport, endpoint.host, login, insecure=endpoint.insecure)
        return Repository(transport, f"{endpoint.url}/v2", endpoint.host, repository_name(reference), authorizer)


def repository_name(reference: ImageReference) -> str:
    """As the registry knows it: docker.io's own images lie below `library/`."""
    official = reference.registry == DOCKER_HUB and "/" not in reference.name
    return f"library/{reference.name}" if official else reference.name


def ask(endpoint: Endpoint, transport: Transport) -> None:
    """Raises Unreachable unless it answers, in whatever way: whether it lets us in shows later."""
    transport.fetch("GET", f"{endpoint.url}/v2/", {}, limit=_SMALL, patience=())
