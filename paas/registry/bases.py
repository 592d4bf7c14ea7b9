"""Base images of builds: from the store, and from registries what is not there."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection

from paas.errors import Cancelled, Denied, NotFound, PaasError
from paas.image.lease import Lease
from paas.image.reference import DOCKER_HUB, parse
from paas.image.store import ImageStore
from paas.model import Image
from paas.registry.registries import Registries
from paas.registry.transport import Say, Unreachable
from paas.system.locks import NamedLocks


class RegistryImages:
    """Two stages, or two builds, that miss the same image pull it once."""

    def __init__(self, store: ImageStore, registries: Registries) -> None:
        self._store = store
        self._registries = registries
        self._locks = NamedLocks()

    def find(
        self,
        name: str,
        *,
        lease: Lease,
        say: Say,
        cancelled: Callable[[], bool],
        refresh: bool,
        trusted: bool,
        allowed: Collection[str] = (),
    ) -> Image:
        """The image, leased; pulled when it is missing, or `refresh` and there is a newer one.

        Not `trusted`: only from public addresses, and from registries that this machine has a login for or that its
        settings name; by id only those `allowed`. Raises NotFound with what can be done, InvalidInput,
        Denied, Cancelled.
        """
        with self._locks.hold(name, "pull", cancelled=cancelled):
            try:
                image = self._store.find(name, None if trusted else allowed)
            except NotFound as missing:
                return self._pull_missing(name, missing, lease, say, cancelled, trusted)
            lease.add(*image.layers)
            if refresh and self._registries.is_newer(name, cancelled):
                image = self._registries.pull(name, say, cancelled, lease).image
            return image

    def _pull_missing(
        self,
        name: str,
        missing: NotFound,
        lease: Lease,
        say: Say,
        cancelled: Callable[[], bool],
        trusted: bool,
    ) -> Image:
        try:
            if not trusted:
                self._check(parse(name).registry)
            return self._registries.pull(name, say, cancelled, lease).image
        except Cancelled:
            raise
        except Denied as error:
            raise Denied(f"{missing.message}: {error.message}", hint=error.hint or missing.hint) from None
        except Unreachable as error:
            raise NotFound(f"{missing.message}, and no registry: {error.message}", hint=missing.hint) from None
        except PaasError as error:
            raise NotFound(f"{missing.message}: {error.message}", hint=missing.hint or error.hint) from None

    def _check(self, registry: str) -> None:
        """Raises Denied for a registry that may be a service of this machine or of its network."""
        if registry == DOCKER_HUB or self._registries.is_known(registry):
            return
        host, _, port = registry.partition(":")
        try:
            found = socket.getaddrinfo(host, int(port or 443), type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            raise Unreachable(f"The name {host} cannot be resolved") from None
        if not all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global for *_, address in found):
            raise Denied(
                f"{registry} is on a private network, and apps' builds may pull from public registries only",
                hint=f"An administrator can allow it on the host: paas login {registry}",
            )
