"""From what was asked and an image to the runtime's spec."""

from __future__ import annotations

from paas.containers.model import Options
from paas.errors import CannotExecute, InvalidInput, NoSuchCommand, SystemFailure
from paas.model import DEFAULT_PATH, Image, ImageConfig
from paas.runtime.spec import Allowance, ContainerSpec
from paas.settings import Settings

_NOT_FOUND = ("not found in $path", "no such file or directory")
_CANNOT = ("permission denied", "exec format error", "is a directory")


def arguments(options: Options, config: ImageConfig) -> tuple[str, ...]:
    """The entrypoint, then the command; another entrypoint takes the image's command away. Raises InvalidInput."""
    if options.entrypoint is None:
        found = (config.entrypoint or ()) + (options.command or config.cmd or ())
    else:
        found = ((options.entrypoint,) if options.entrypoint else ()) + options.command
    if not found:
        raise InvalidInput("The image says no command to run", hint="Give one after the image's name.")
    return found


def spec_of(id: str, options: Options, image: Image, settings: Settings, resolv_conf: str) -> ContainerSpec:
    """Raises InvalidInput when there is nothing to run."""
    config = image.config
    hostname = options.hostname or id[:12]
    return ContainerSpec(
        id=id,
        layers=tuple(layer.number for layer in image.layers),
        args=arguments(options, config),
        env={"PATH": DEFAULT_PATH, "HOSTNAME": hostname, **config.env, **options.env},
        cwd=options.workdir or config.workdir or "/",
        user=config.user if options.user is None else options.user,
        hostname=hostname,
        terminal=options.terminal,
        stdin=options.stdin,
        keep_stdin=options.terminal or options.detached,
        init=options.init,
        read_only=options.read_only,
        volatile=options.remove,
        capabilities=options.capabilities,
        mounts=options.mounts,
        allowance=Allowance(memory=options.memory, cpus=options.cpus),
        pids=settings.app_pids,
        stop_signal=config.stop_signal or "SIGTERM",
        resolv_conf=resolv_conf,
        network=options.network,
    )


def refusal(error: SystemFailure, command: str) -> Exception:
    """What the runtime said about a command that cannot be run, with the exit status a shell would give."""
    said = error.message.lower()
    if any(words in said for words in _NOT_FOUND):
        return NoSuchCommand(f"The image has no command {command}", hint="Name a program of the image, or its path.")
    if any(words in said for words in _CANNOT):
        return CannotExecute(f"{command} cannot be executed: {error.message.rpartition(':')[2].strip()}")
    return error
