"""What containers are made of, handed from one part of this package to the next."""

from __future__ import annotations

from dataclasses import dataclass

from paas.containers.ports import HostPorts
from paas.containers.volumes import Volumes
from paas.image.store import ImageStore
from paas.network.network import Network
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import SandboxPool
from paas.settings import Settings
from paas.state.database import Database


@dataclass(frozen=True, slots=True)
class Parts:
    """What containers are made of."""

    settings: Settings
    db: Database
    images: ImageStore
    runtime: Runtime
    sandboxes: SandboxPool
    network: Network
    ports: HostPorts
    volumes: Volumes
    resolv_conf: str
