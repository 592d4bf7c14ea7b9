"""What a repository has run around its deploy: predeploy, the release task, postdeploy. Each fails the deploy.

A script runs under `/bin/sh -c`, after the image's entrypoint, as the commands of a Procfile do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from paas.build.options import BuildLimits
from paas.build.steps.run import DiskGuard
from paas.deploy.builds import Build
from paas.deploy.oneoff import OneOff
from paas.deploy.piped import Piped
from paas.errors import Cancelled, DeployFailed
from paas.image.store import ImageStore
from paas.model import HistoryEntry, Image, Release
from paas.names import brief
from paas.paths import Paths
from paas.runtime.cgroups import Limits
from paas.runtime.rootfs import begin_upper
from paas.runtime.spec import new_id
from paas.runtime.steps import Deadline, Ended, Steps
from paas.schedulers.boot import AppContainers, command_of, environment_of
from paas.state.database import now


def script(text: str) -> tuple[str, ...]:
    """A script of app.json as words; it ends at the first command that fails."""
    return ("/bin/sh", "-c", f"set -e; {text}")


class Tasks:
    def __init__(
        self, images: ImageStore, paths: Paths, steps: Steps, containers: AppContainers, oneoff: OneOff
    ) -> None:
        self._images = images
        self._paths = paths
        self._steps = steps
        self._containers = containers
        self._oneoff = oneoff

    def predeploy(self, release: Release, image: Image, text: str, limits: BuildLimits, build: Build) -> Image:
        """Run a script in the built image; returns the image with what the script has changed on disk.

        It runs within the limits of a build, with the app's config vars and storage; what it writes to storage stays
        there. The image is kept for as long as the build's lease is.
        """
        build.out.heading(f"Executing predeploy task: {brief(text)}")
        id = new_id()
        args = command_of(image, script(text))
        env = environment_of(image, release, "predeploy", None)
        spec = replace(self._containers.spec(id, release, image, "predeploy", args, env), init=False)
        with self._images.draft() as draft:
            begin_upper(draft.upper, self._paths.layers, [layer.number for layer in image.layers])
            deadline, disk = Deadline(limits.timeout), DiskGuard(self._paths.layers, limits.disk)

            def stopped() -> bool:
                deadline.check()
                disk.check(draft.upper)
                return build.cancelled()

            group = self._steps.build(Limits(limits.memory, limits.cpus or None, limits.pids))
            _begin(release, "predeploy", id, build)
            with group, group.bench() as bench, Piped(build.out.raw) as piped:
                ended = bench.run(spec, draft.directory, piped.stdio[1], stopped)
            _end(release, "predeploy", id, build)
            _judge("predeploy", text, ended, build)
            if not any(draft.upper.iterdir()):
                return image
            identity = hashlib.sha256(f"predeploy {image.id} {id}".encode()).hexdigest()
            layer = self._images.keep(draft, f"sha256:{identity}", None, build.lease)
        self._images.settle()
        entry = HistoryEntry(created=now(), created_by=f"predeploy: {brief(text)}")
        return self._images.add_image(
            image.config,
            (*image.layers, layer),
            (*image.history, entry),
            entry.created,
            image.architecture,
            lease=build.lease,
        )

    def run(self, release: Release, image: Image, name: str, command: Sequence[str], build: Build) -> None:
        """Run a command in a container of its own, which leaves nothing behind but what it did to storage.

        Raises DeployFailed when it fails, Cancelled.
        """
        container = ""

        def begun(id: str) -> None:
            nonlocal container
            container = id
            _begin(release, name, id, build)

        text = " ".join(command[2:]) if tuple(command[:2]) == ("/bin/sh", "-c") else " ".join(command)
        text = text.removeprefix("set -e; ")
        build.out.heading(f"Executing {name} task in ephemeral container: {brief(text)}")
        status = self._oneoff.run(release, image, name, command, build.out.raw, build.cancelled, begun=begun)
        _end(release, name, container, build)
        _judge(name, text, Ended(status), build)


def _begin(release: Release, name: str, id: str, build: Build) -> None:
    build.out.result(f"Start of {release.app} {name} task ({id[:11]}) output")


def _end(release: Release, name: str, id: str, build: Build) -> None:
    build.out.result(f"End of {release.app} {name} task ({id[:11]}) output")


def _judge(name: str, text: str, ended: Ended, build: Build) -> None:
    if build.cancelled():
        raise Cancelled(f"The {name} task was cancelled")
    if ended.exit_code != 0:
        why = "ran out of memory" if ended.oom and ended.exit_code == 137 else f"ended with status {ended.exit_code}"
        raise DeployFailed(
            f"Execution of {name} task failed: {brief(text)}",
            hint=f"It {why}; its output stands above. The previous release, if any, keeps serving.",
        )
