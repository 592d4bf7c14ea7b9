"""Where everything lies below `data_dir` and `run_dir`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PROJECT = PACKAGE.parent
TEMPLATES = PROJECT / "nginx-templates"
HOOKS = PROJECT / "hooks"
BUILDPACKS = PROJECT / "buildpacks"


@dataclass(frozen=True, slots=True)
class Paths:
    """`data` survives a restart of the machine, `run` does not."""

    data: Path
    run: Path

    @property
    def database(self) -> Path:
        return self.data / "paas.db"

    @property
    def backups(self) -> Path:
        """Copies of the database."""
        return self.data / "backups"

    @property
    def reserve(self) -> Path:
        """Space kept for the database of a full disk."""
        return self.data / "reserve"

    @property
    def set_aside(self) -> Path:
        """What a restored database knows nothing of; whoever restored it decides."""
        return self.data / "set-aside"

    @property
    def layers(self) -> Path:
        """One directory for each layer, named by its number, laid out as an overlayfs layer."""
        return self.data / "layers"

    @property
    def containers(self) -> Path:
        """For each container its writable layer and log."""
        return self.data / "containers"

    @property
    def repos(self) -> Path:
        """Bare git repositories, `APP.git`, owned by the front door's account."""
        return self.data / "repos"

    @property
    def storage(self) -> Path:
        """Volumes of apps."""
        return self.data / "storage"

    @property
    def caches(self) -> Path:
        """Cache mounts of builds."""
        return self.data / "caches"

    @property
    def contexts(self) -> Path:
        """What is remembered of directories that were built from."""
        return self.data / "contexts"

    @property
    def builds(self) -> Path:
        """The output of each build, named by its id."""
        return self.data / "builds"

    @property
    def scratch(self) -> Path:
        """What a build unpacks or fetches; emptied at each start."""
        return self.data / "scratch"

    @property
    def downloads(self) -> Path:
        """Parts of blobs whose download was interrupted."""
        return self.data / "downloads"

    @property
    def registry_logins(self) -> Path:
        """Names and passwords for image registries."""
        return self.data / "registries.json"

    def logins_of(self, app: int) -> Path:
        """Names and passwords for image registries that an app has of its own."""
        return self.data / f"registries-app{app}.json"

    @property
    def accounts(self) -> Path:
        """What git and ssh prove this machine with to other servers."""
        return self.data / "accounts"

    @property
    def nginx(self) -> Path:
        return self.data / "nginx"

    @property
    def certificates(self) -> Path:
        """For each app, by its id, the certificate it is served with. Only root may look into it."""
        return self.data / "certs"

    @property
    def maintenance(self) -> Path:
        """For each app, by its id, the page it shows in maintenance."""
        return self.nginx / "maintenance"

    @property
    def ssh(self) -> Path:
        """Host keys of the SSH front door."""
        return self.data / "ssh"

    @property
    def log(self) -> Path:
        return self.data / "log"

    @property
    def sandboxes(self) -> Path:
        """Pinned user and network namespaces."""
        return self.run / "sandboxes"

    @property
    def code(self) -> Path:
        """The program, mounted here for the unprivileged account."""
        return self.run / "code"

    @property
    def bundles(self) -> Path:
        """For each container its OCI bundle: config.json, mounted root, pid file."""
        return self.run / "bundles"
