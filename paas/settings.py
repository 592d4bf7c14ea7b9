"""The machine's settings: declared once, read from `settings.yml` and `PAAS_*` variables, refused when wrong."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paas.errors import InvalidInput
from paas.names import Hostname

DEFAULT_FILE = Path("/etc/paas/settings.yml")

_MAY_BE_ZERO = ("ssh_address", "ssh_back_off", "ssh_never_back_off")
_HOST_PORT = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"


def _setting(default: object, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of the machine. In the file they stand under these names; `PAAS_HTTP_PORT` sets `http_port`."""

    data_dir: Path = _setting(Path("/var/lib/paas"), "what must survive a restart of the machine")
    run_dir: Path = _setting(Path("/run/paas"), "sockets, mounts and pins; gone after a restart of the machine")
    user: str = _setting("paas", "the unprivileged account of the SSH front door and of git")
    domain: str = _setting("", "domain under which apps get a hostname when no global domain was set")
    ssh_address: str = _setting("0.0.0.0", "address the SSH front door listens on")
    ssh_port: int = _setting(2222, "port the SSH front door listens on")
    http_port: int = _setting(80, "port apps are served on")
    https_port: int = _setting(443, "port apps with a certificate are served on")
    proxy_ports: str = _setting("18000-18999", "range of local ports that successive nginx processes listen on")
    instance_network: str = _setting("10.86.0.0/16", "addresses given to containers")
    service_network: str = _setting("10.87.0.0/16", "virtual addresses, one for each process type of an app")
    nft_table: str = _setting("paas", "name of the nftables table")
    link_prefix: str = _setting("paas", "first letters of the names of network links (at most 6)")
    cgroup: str = _setting("paas", "cgroup, below the root, that holds all containers")
    uid_base: int = _setting(0x10000000, "first host uid of the ranges given to containers, 65536 each")
    app_memory: int = _setting(512 << 20, "memory limit of an app's container, in bytes")
    app_pids: int = _setting(512, "limit of processes and threads in an app's container")
    app_disk: int = _setting(2 << 30, "bytes an app's container may write besides storage (0: any amount)")
    app_inodes: int = _setting(200_000, "files and directories it may make there (0: any number)")
    container_connections: int = _setting(8192, "connections a container may have begun and not ended")
    containers_memory: int = _setting(0, "bytes for all containers and builds together (0: seven eighths of all)")
    build_memory: int = _setting(1 << 30, "memory limit of a build, in bytes")
    build_pids: int = _setting(2048, "limit of processes and threads in a build")
    build_timeout: int = _setting(1800, "seconds after which a build is ended")
    build_concurrency: int = _setting(2, "builds at once; others wait for their turn")
    build_cache: int = _setting(10 << 30, "bytes of layers that only the build cache needs, before the oldest go")
    check_timeout: int = _setting(60, "seconds a new instance has to become healthy")
    boot_concurrency: int = _setting(4, "containers started at once after a restart of the machine")
    drain_timeout: int = _setting(60, "seconds an old instance has to finish its connections before SIGTERM")
    hold_timeout: int = _setting(10, "seconds requests wait for a lone instance that is restarted; 0: not at all")
    nginx_limit: int = _setting(16, "replaced nginx processes that may live on for their open connections")
    stop_timeout: int = _setting(30, "seconds from SIGTERM to SIGKILL")
    registry_mirrors: str = _setting("", "URLs, separated by commas, that are asked before docker.io")
    insecure_registries: str = _setting("", "HOST[:PORT] of registries that may be spoken to without TLS, with commas")
    image_limit: int = _setting(32 << 30, "largest content of an image that is pulled or loaded, in bytes")
    push_limit: int = _setting(1 << 30, "largest push accepted, in bytes")
    ssh_connections: int = _setting(256, "SSH connections at once of those who have proved a key")
    ssh_connections_per_address: int = _setting(64, "the same, of one address (of IPv6, one /64)")
    ssh_logins: int = _setting(128, "SSH connections at once that have not proved a key yet")
    ssh_logins_per_address: int = _setting(24, "the same, of one address")
    ssh_login_grace: int = _setting(15, "seconds from connecting to having proved a key")
    ssh_key_tries: int = _setting(6, "keys that one SSH connection may try")
    ssh_sessions: int = _setting(16, "commands at once over one SSH connection")
    ssh_sessions_per_user: int = _setting(64, "commands at once of one user, over all SSH connections")
    ssh_dead_after: int = _setting(60, "seconds in which nothing of what was sent is taken, before SSH gives up")
    ssh_back_off: int = _setting(60, "longest time an address that fails to log in is held off, in seconds; 0: never")
    ssh_never_back_off: str = _setting("127.0.0.0/8,::1/128", "networks, with commas, that are never held off")
    ssh_memory: int = _setting(1 << 30, "memory that the SSH front door, and each git of a push, may take, in bytes")
    ready_sandboxes: int = _setting(4, "network and user namespaces kept ready for the next containers")

    def __post_init__(self) -> None:
        for name in ("ssh_port", "http_port", "https_port"):
            if not 1 <= getattr(self, name) <= 65535:
                raise InvalidInput(f"Setting {name}: {getattr(self, name)} is not a port (1 to 65535)")
        if self.boot_concurrency < 1:
            raise InvalidInput("Setting boot_concurrency: at least one container has to be started at once")
        for name in ("instance_network", "service_network"):
            try:
                ipaddress.IPv4Network(getattr(self, name))
            except ValueError as error:
                raise InvalidInput(f"Setting {name}: {error}") from None
        if self.domain:
            Hostname(self.domain)
        for name in ("nft_table", "cgroup", "user"):
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", getattr(self, name)):
                raise InvalidInput(f"Setting {name}: {getattr(self, name)!r} is not a plain lower-case name")
        if not re.fullmatch(r"[a-z][a-z0-9]{0,5}", self.link_prefix):
            raise InvalidInput("Setting link_prefix: at most 6 lower-case letters and digits")
        for url in self.mirrors:
            if not re.fullmatch(rf"https?://{_HOST_PORT}", url):
                raise InvalidInput(f"Setting registry_mirrors: {url!r} is not a URL such as https://mirror.example.com")
        for host in self.insecure:
            if not re.fullmatch(_HOST_PORT, host):
                raise InvalidInput(f"Setting insecure_registries: {host!r} is not HOST or HOST:PORT")
        for name in (name for name in self.__slots__ if name.startswith("ssh_") and name not in _MAY_BE_ZERO):
            if not getattr(self, name):
                raise InvalidInput(f"Setting {name} has to be more than 0")
        try:
            self.never_backed_off  # noqa: B018  raises
        except ValueError as error:
            raise InvalidInput(f"Setting ssh_never_back_off: {error}") from None
        low, high = self.proxy_port_range
        if not 1024 <= low < high <= 65535:
            raise InvalidInput(f"Setting proxy_ports: {self.proxy_ports!r} is not a range such as 18000-18999")

    @property
    def proxy_port_range(self) -> tuple[int, int]:
        low, _, high = self.proxy_ports.partition("-")
        return (int(low), int(high)) if low.isdigit() and high.isdigit() else (0, 0)

    @property
    def mirrors(self) -> tuple[str, ...]:
        return tuple(url.rstrip("/") for url in _words(self.registry_mirrors))

    @property
    def insecure(self) -> tuple[str, ...]:
        return _words(self.insecure_registries)

    @property
    def never_backed_off(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(ipaddress.ip_network(word) for word in _words(self.ssh_never_back_off))

    @property
    def socket(self) -> Path:
        """The engine's unix socket, in a directory of its own so that its access rights can be set before it exists."""
        return self.run_dir / "engine" / "socket"


def load(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings: defaults, then the YAML file (PAAS_SETTINGS or /etc/paas/settings.yml), then PAAS_* variables."""
    values: dict[str, object] = {}
    path = file or Path(environ.get("PAAS_SETTINGS", DEFAULT_FILE))
    if path.exists():
        values.update(_read(path))
    known = {f.name: f for f in dataclasses.fields(Settings)}
    for name in known:
        if (text := environ.get(f"PAAS_{name.upper()}")) is not None:
            values[name] = text
    for name in values:
        if name not in known:
            raise InvalidInput(f"{path}: unknown setting {name!r}", hint="Known settings: " + ", ".join(known))
    return Settings(**{name: _convert(name, value, known[name].default) for name, value in values.items()})


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _read(path: Path) -> dict[str, object]:
    import yaml  # here, because most processes have no settings file to read

    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InvalidInput(f"{path}: expected lines of the form 'setting: value'")
    return content


def _convert(name: str, value: object, default: object) -> Any:
    if isinstance(default, int):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)
        raise InvalidInput(f"Setting {name}: {value!r} is not a whole number")
    if not isinstance(value, str):
        raise InvalidInput(f"Setting {name}: {value!r} is not text")
    if isinstance(default, Path):
        if not value.startswith("/"):
            raise InvalidInput(f"Setting {name}: {value!r} is not an absolute path")
        return Path(value)
    return value
