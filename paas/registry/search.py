"""Finding images in registries: by Docker's own search (v1), or in the catalog of the distribution API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin

from paas.errors import Conflict, PaasError
from paas.image.foreign import json_object
from paas.image.reference import DOCKER_HUB
from paas.registry.auth import Authorizer
from paas.registry.client import Repository
from paas.registry.credentials import Credentials
from paas.registry.endpoints import Endpoint, Endpoints
from paas.registry.transport import Transport, origin

_HUB = "https://index.docker.io"
"""Docker Hub answers searches there."""
_LIMIT = 4 << 20
_PAGE = 1000
_MOST_PAGES = 50
_NAME = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*")
_NEXT = re.compile(r"<([^>]*)>\s*;\s*rel=\"?next\"?")


@dataclass(frozen=True, slots=True)
class Hit:
    """`name` is what `pull` takes. A catalog knows names alone."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False


def search(
    endpoints: Endpoints, credentials: Credentials, registry: str, term: str, limit: int, transport: Transport
) -> list[Hit]:
    """Up to `limit` images of a registry for a term. Raises Conflict for one that offers no search; else as `pull`."""
    endpoint = Endpoint(_HUB, DOCKER_HUB, False) if registry == DOCKER_HUB else endpoints.find(registry, transport)
    hits = _by_index(endpoint, term, limit, transport)
    if hits is None and registry != DOCKER_HUB:
        hits = _by_catalog(endpoint, credentials, term, limit, transport)
    if hits is None:
        raise Conflict(
            f"{registry} offers no search: neither /v1/search nor /v2/_catalog",
            hint=f"If you know a name: paas pull {registry}/NAME",
        )
    return hits


def _by_index(endpoint: Endpoint, term: str, limit: int, transport: Transport) -> list[Hit] | None:
    """GET /v1/search?q=TERM&n=LIMIT; None where there is no such thing."""
    url = f"{endpoint.url}/v1/search?{urlencode({'q': term, 'n': limit})}"
    answer = transport.fetch("GET", url, {}, limit=_LIMIT, patience=None if endpoint.host == DOCKER_HUB else ())
    if answer.status != 200:
        return None
    try:
        results = json_object(answer.data, "search").get("results")
    except PaasError:
        return None  # a page for people
    if not isinstance(results, list):
        return None
    found = [_hit(endpoint, entry) for entry in results if isinstance(entry, dict)]
    return [hit for hit in found if hit is not None][:limit]


def _hit(endpoint: Endpoint, entry: Mapping[str, Any]) -> Hit | None:
    name, description, stars = entry.get("name"), entry.get("description"), entry.get("star_count")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return None
    return Hit(
        name if endpoint.host == DOCKER_HUB else f"{endpoint.host}/{name}",
        description if isinstance(description, str) else "",
        stars if isinstance(stars, int) else 0,
        entry.get("is_official") is True,
    )


def _by_catalog(
    endpoint: Endpoint, credentials: Credentials, term: str, limit: int, transport: Transport
) -> list[Hit] | None:
    """The repositories whose name has the term in it; None where the registry does not list them."""
    authorizer = Authorizer(transport, endpoint.host, credentials.get(endpoint.host), insecure=endpoint.insecure)
    registry = Repository(transport, f"{endpoint.url}/v2", endpoint.host, "_catalog", authorizer)
    authorizer.want("registry:catalog:*")
    url = f"{endpoint.url}/v2/_catalog?n={_PAGE}"
    found: list[Hit] = []
    for _ in range(_MOST_PAGES):
        answer = registry.get(url, limit=_LIMIT)
        if answer.status in (404, 405):
            return None
        if answer.status != 200:
            raise registry.failure(answer.status, answer.headers, "catalog")
        names = json_object(answer.data, "catalog").get("repositories")
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str) and term in name and _NAME.fullmatch(name):
                found.append(Hit(f"{endpoint.host}/{name}"))
        following = _NEXT.search(answer.headers.get("Link", ""))
        if len(found) >= limit or following is None:
            break
        url = urljoin(url, following[1])
        if origin(url) != origin(endpoint.url):
            break
    return found[:limit]
