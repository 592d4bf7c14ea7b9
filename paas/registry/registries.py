"""The registries that this machine pulls from and pushes to."""

from __future__ import annotations

import threading
from collections.abc import Callable

from paas import errors
from paas.errors import Denied, DiskFull, InvalidInput, NotFound, PaasError, SystemFailure
from paas.image.lease import Lease
from paas.image.reference import DOCKER_HUB, parse
from paas.image.store import ImageStore
from paas.model import Image, Layer
from paas.names import shown
from paas.paths import Paths
from paas.registry.auth import Authorizer
from paas.registry.client import Repository
from paas.registry.credentials import Credentials, Login
from paas.registry.endpoints import Endpoints
from paas.registry.partials import Partials
from paas.registry.pull import Pulled, Puller
from paas.registry.push import Pushed, Pusher
from paas.registry.search import Hit, search
from paas.registry.transport import Say, Transport
from paas.settings import Settings

Cancelled = Callable[[], bool]


class Registries:
    def __init__(self, settings: Settings, paths: Paths, store: ImageStore) -> None:
        self.credentials = Credentials(paths.registry_logins)
        self._store = store
        self._endpoints = Endpoints(settings, self.credentials)
        self._partials = Partials(paths.downloads)
        self._puller = Puller(store, self._endpoints, self._partials, settings.image_limit)
        self._pusher = Pusher(store, self._endpoints, paths.scratch)
        self._settings = settings
        self._paths = paths
        self._lock = threading.Lock()
        self._of_apps: dict[int, Credentials] = {}

    def pull(self, name: str, say: Say, cancelled: Cancelled, lease: Lease | None = None) -> Pulled:
        """Pull NAME[:TAG|@DIGEST] and tag it so; kept for as long as `lease` is held, and the tag stands.

        Raises Unreachable, Denied, NotFound, Conflict, InvalidInput, SystemFailure, Cancelled; then nothing is kept.
        """
        reference = parse(name)
        if lease is not None:
            return self._puller.pull(reference, say, lease, cancelled)
        with self._store.lease() as own:
            return self._puller.pull(reference, say, own, cancelled)

    def fetch_again(self, layer: Layer, cancelled: Cancelled) -> str | None:
        """Get a layer whose directory is damaged from a registry that has it. None when it is whole again, else why
        it is not. Raises errors.Cancelled, DiskFull."""
        reason: str | None = "no registry is known to have it"
        for blob in self._store.origins.places(layer):
            try:
                self._puller.fetch_again(layer, blob, cancelled)
                return None
            except (errors.Cancelled, DiskFull):
                raise
            except PaasError as error:
                reason = f"{blob.registry}: {error.message}"
        return reason

    def forget_interrupted(self) -> int:
        """Remove what interrupted pulls have left for the next ones; returns how many bytes that were."""
        return self._partials.clear()

    def push(self, name: str, say: Say, cancelled: Cancelled) -> Pushed:
        """Push the image that has this tag here. Raises NotFound, InvalidInput; else as `pull`."""
        reference = parse(name)
        if reference.digest:
            raise InvalidInput("An image is pushed under a tag; its digest follows from what it is")
        image = self._store.tagged(str(reference))
        if image is None:
            raise NotFound(
                f"There is no image {reference}", hint=f"Give one this name first: paas tag IMAGE {reference}"
            )
        return self._pusher.push(reference, image, say, cancelled)

    def push_image(self, name: str, image: Image, app: int, say: Say, cancelled: Cancelled) -> Pushed:
        """Push an image under a name that it does not have here, with an app's own logins. Raises as `push`."""
        endpoints = Endpoints(self._settings, self.logins(app))
        return Pusher(self._store, endpoints, self._paths.scratch).push(parse(name), image, say, cancelled)

    def logins(self, app: int | None) -> Credentials:
        """The logins for all, or an app's own with those below them."""
        if app is None:
            return self.credentials
        with self._lock:
            return self._of_apps.setdefault(app, Credentials(self._paths.logins_of(app), self.credentials))

    def is_newer(self, name: str, cancelled: Cancelled) -> bool:
        """Whether a tag that came from its registry is something else there by now. Raises as `pull`."""
        if parse(name).digest:
            return False
        origin, tagged = self._store.origins.get(name), self._store.tagged(name)
        if origin is None or tagged is None or origin[0] != tagged.id:
            return False
        return self._puller.digest(parse(name), cancelled) != origin[1]

    def is_known(self, registry: str) -> bool:
        """Whether an administrator has named it, by a login or in the settings."""
        return self._endpoints.is_named(registry) or self.credentials.get(registry) is not None

    def search(self, registry: str, term: str, limit: int, cancelled: Cancelled) -> list[Hit]:
        """Images of a registry for a term. Raises Conflict where there is no search; else as `pull`."""
        with Transport(cancelled) as transport:
            return search(self._endpoints, self.credentials, registry, term, limit, transport)

    def log_in(self, registry: str, login: Login, cancelled: Cancelled, app: int | None = None) -> None:
        """Keep a login that the registry accepts. Raises Denied, Unreachable, Cancelled."""
        with Transport(cancelled) as transport:
            endpoint = self._endpoints.find(registry, transport)
            authorizer = Authorizer(transport, endpoint.host, login, insecure=endpoint.insecure)
            status = Repository(transport, f"{endpoint.url}/v2", endpoint.host, "", authorizer).ping()
        if status in (401, 403):
            raise Denied(f"{registry} refuses the login of {shown(login.user)}")
        if status != 200:
            raise SystemFailure(f"{registry} answers with status {status}", hint="Is this a registry?")
        self.logins(app).set(registry, login)

    def log_out(self, registry: str, app: int | None = None) -> bool:
        """Whether there was a login."""
        return self.logins(app).remove(registry)


def registry_name(text: str | None) -> str:
    """What a user calls a registry: HOST[:PORT], with or without https:// and a path; docker.io for nothing.

    Raises InvalidInput.
    """
    if not text:
        return DOCKER_HUB
    host = (text.partition("://")[2] or text).partition("/")[0]
    if host in ("index.docker.io", "registry-1.docker.io", DOCKER_HUB):
        return DOCKER_HUB
    named = parse(f"{host}/x").registry
    if named != host:
        raise InvalidInput(f"{shown(text)} is not a registry", hint="Example: registry.example.com:5000")
    return named
