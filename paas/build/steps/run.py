"""RUN: a command in a container on top of the layers so far; what it changes is the new layer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from paas.build import keys
from paas.build.dockerfile import instructions as ins
from paas.build.layering import Done, Layering
from paas.build.options import PROXIES, BuildOptions
from paas.build.stage import Stage
from paas.build.steps.mounts import From, Mounted, StepMounts
from paas.errors import Cancelled, Conflict, DiskFull, InvalidInput
from paas.image.layers import LayerDraft
from paas.model import DEFAULT_PATH
from paas.output import Hangup, human_bytes
from paas.runtime.spec import ContainerSpec, SecretFile, new_id
from paas.runtime.steps import Bench, Deadline, Ended
from paas.system.disk import left_on, refuse_when_spent
from paas.system.occupied import Bounds, occupied

_SCRIPT = "/dev/paas-script"
_CA_FILE = "/dev/paas-ca.crt"
"""On a file system that each container has of its own: no trace of it stays in a layer."""
_CA_VARIABLES = (
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
)
_DISTRUST = (
    b"CERTIFICATE_VERIFY_FAILED",  # Python
    b"SELF_SIGNED_CERT_IN_CHAIN",  # node
    b"UNABLE_TO_GET_ISSUER_CERT",
    b"self-signed certificate in certificate chain",  # OpenSSL: curl, ruby, php
    b"unable to get local issuer certificate",
    b"certificate signed by unknown authority",  # Go
    b"server certificate verification failed",  # git with GnuTLS
    b"UnknownIssuer",  # rustls: cargo, uv
)
"""What tools say where a proxy puts its own certificates in place of others'."""
HOST_CA = Path("/etc/ssl/certs/ca-certificates.crt")
_COUNTING = 30.0
"""Seconds that adding up a step's files may take."""


class DiskGuard:
    """Ends a build that fills the disk: more than its limit, or nearly all there is, of bytes or of inodes."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._used = 0
        self.begin()

    def add(self, size: int) -> None:
        """A step is done; its layer has so many bytes."""
        self._used += size

    def begin(self) -> None:
        self._free = left_on(self._directory).bytes

    def check(self, upper: Path) -> None:
        """Raises DiskFull, Conflict."""
        free = refuse_when_spent(self._directory)
        left = self._limit - self._used
        # What others write counts in the quick look; only when that says too much the files are added up.
        if self._free - free.bytes > left:
            found = occupied(str(upper), Bounds(bytes=left, seconds=_COUNTING))
            if found.bytes > left or found.too_deep:
                raise Conflict(
                    f"The build wrote more than {human_bytes(self._limit)} to the disk",
                    hint="Allow more: builder:set APP disk 20g",
                )


@dataclass(frozen=True, slots=True)
class StepLimits:
    deadline: Deadline
    disk: DiskGuard
    cancelled: Callable[[], bool]


class Runner:
    """Runs the RUN steps of one stage."""

    def __init__(
        self,
        options: BuildOptions,
        layering: Layering,
        mounts: StepMounts,
        bench: Bench,
        limits: StepLimits,
        resolv_conf: str,
    ) -> None:
        self._options = options
        self._layering = layering
        self._mounts = mounts
        self._bench = bench
        self._limits = limits
        self._resolv_conf = resolv_conf

    def run(self, instruction: ins.Run, stage: Stage, output: Callable[[bytes], None], find: From) -> Done:
        """Carry out RUN. Raises DockerfileError when the command fails or passes a limit, and Cancelled."""
        try:
            return self._run(instruction, stage, output, find)
        except (InvalidInput, Conflict, DiskFull) as error:
            raise stage.error(instruction.span, error.message, error.hint) from None

    def _run(self, instruction: ins.Run, stage: Stage, output: Callable[[bytes], None], find: From) -> Done:
        _refuse_privileges(instruction)
        arguments, script = _arguments(instruction, stage)
        mounted = self._mounts.of(instruction, stage, find)
        environment = {"PATH": DEFAULT_PATH, **stage.variables}
        inputs: list[object] = [
            arguments,
            script and script.hex(),
            environment,
            stage.config.user,
            stage.config.workdir,
        ]
        if mounted.inputs or instruction.network != "default":
            inputs += [mounted.inputs, instruction.network]
        if self._is_own(instruction):
            inputs.append(["scope", self._options.scope])
        key = keys.digest("run", stage.chain, inputs)
        known = self._layering.cached(key)
        if known is not None:
            return known

        id = new_id()

        def make(draft: LayerDraft) -> None:
            with ExitStack() as undo:
                caches, sockets = undo.enter_context(self._mounts.in_place(mounted, self._limits.cancelled))
                spec = ContainerSpec(
                    id=id,
                    layers=tuple(layer.number for layer in stage.layers),
                    args=arguments,
                    env={**self._ambient(), **environment, **mounted.environment},
                    cwd=stage.config.workdir or "/",
                    user=stage.config.user,
                    hostname=self._options.arguments.get("BUILDKIT_SANDBOX_HOSTNAME", "build"),
                    no_new_privileges=False,
                    resolv_conf=self._resolv_conf,
                    network="none" if instruction.network == "none" else "own",
                    mounts=tuple(caches),
                    layers_mounts=tuple(mounted.layers),
                    memory_mounts=tuple(mounted.memory),
                    secret_files=(*mounted.secrets, *([SecretFile(_SCRIPT, script, 0o755)] if script else [])),
                    host_files={**sockets, **({_CA_FILE: HOST_CA} if self._options.trust_host_ca else {})},
                )
                ended, distrust = self._step(spec, draft, mounted, output)
                self._judge(ended, draft.upper, distrust=distrust)

        # What a command leaves behind cannot be told from its inputs: every run has an identity of its own.
        done = self._layering.add(stage.layers, key, keys.digest(key, id), make)
        self._limits.disk.add(sum(layer.size for layer in done.layers))
        return done

    def _is_own(self, instruction: ins.Run) -> bool:
        """Whether what the step comes to depends on more than its key tells: caches, secrets, proxies, limits.

        Such a layer is for its own app alone. Another's owner could otherwise fill the cache that all use with what
        they like, or get at what was fetched with a secret, by writing the same line.
        """
        given = self._options.arguments
        names = {"BUILDKIT_SANDBOX_HOSTNAME", *PROXIES, *map(str.lower, PROXIES)}
        mounts = any(words["type"] in ("cache", "secret", "ssh") for words in instruction.mounts)
        return mounts or not self._options.is_plain or not names.isdisjoint(given)

    def _ambient(self) -> dict[str, str]:
        """What the machine adds to a step's variables: the Dockerfile's own win, and no image has it."""
        given = self._options.arguments
        found = dict(self._options.proxies)
        found |= {name: given[name] for proxy in PROXIES for name in (proxy, proxy.lower()) if name in given}
        if self._options.trust_host_ca:
            found |= dict.fromkeys(_CA_VARIABLES, _CA_FILE)
        return found

    def _step(
        self, spec: ContainerSpec, draft: LayerDraft, mounted: Mounted, output: Callable[[bytes], None]
    ) -> tuple[Ended, bool]:
        """How it ended, and whether its output speaks of certificates that it does not trust."""
        limits = self._limits
        limits.disk.begin()

        def stopped() -> bool:
            limits.deadline.check()
            limits.disk.check(draft.upper)
            return limits.cancelled()

        secrets = [data for data in self._options.secrets.values() if len(data) >= _Streamed.SHORTEST]
        streamed = _Streamed(output, secrets if mounted.secrets or mounted.environment else [])
        with streamed as stream:
            ended = self._bench.run(spec, draft.directory, stream, stopped)
        return ended, streamed.distrust

    def _judge(self, ended: Ended, upper: Path, *, distrust: bool) -> None:
        if self._limits.cancelled():
            raise Cancelled("The build was cancelled")
        if ended.exit_code == 0:
            return
        self._limits.disk.check(upper)  # else it would be told of what the full disk has led to
        if ended.oom:
            limit = human_bytes(self._options.limits.memory)
            raise Conflict(
                f"the command was killed, most likely for want of memory (the limit is {limit})",
                hint="Raise it, builder:set APP memory 2g, or let the step use less.",
            )
        if ended.crowded:
            raise Conflict(
                f"the command needed more than {self._options.limits.pids} processes and threads",
                hint="Allow more, builder:set APP processes 4096, or let the step start fewer.",
            )
        hint = None
        if distrust and not self._options.trust_host_ca:
            hint = "It met a certificate it does not trust. Where this host does: builder:set APP trust-host-ca true"
        raise Conflict(f"the command ended with status {ended.exit_code}", hint=hint)


class _Streamed:
    """A pipe whose content is passed on as it comes. Secrets that a step was given are blacked out in it."""

    SHORTEST = 6
    """Bytes of the shortest secret that is looked for; a shorter one would black out too much else."""

    def __init__(self, output: Callable[[bytes], None], secrets: list[bytes]) -> None:
        self._output = output
        self.distrust = False
        """Whether a tool has said that it does not trust a certificate."""
        lines = {line.strip() for secret in secrets for line in secret.splitlines()}
        self._secrets = sorted((line for line in lines if len(line) >= self.SHORTEST), key=len, reverse=True)

    def __enter__(self) -> int:
        self._read, self._write = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._pass_on, name="build output", daemon=True)
        self._thread.start()
        return self._write

    def __exit__(self, *details: object) -> None:
        os.close(self._write)
        self._thread.join()
        os.close(self._read)

    def _pass_on(self) -> None:
        held, gone = b"", False
        keep = max((len(secret) for secret in self._secrets), default=1) - 1
        while data := os.read(self._read, 65536):
            held += data
            self.distrust = self.distrust or any(words in held for words in _DISTRUST)
            for secret in self._secrets:
                held = held.replace(secret, b"*****")
            # The beginning of a secret may stand at the end; a line that is complete need not wait.
            cut = len(held) if held.endswith(b"\n") or not keep else max(0, len(held) - keep)
            gone = gone or not self._passed(held[:cut])
            held = held[cut:]
        if held and not gone:
            self._passed(held)

    def _passed(self, data: bytes) -> bool:
        """False when the reader is gone: the rest is read all the same, a step must not block on its output."""
        try:
            self._output(data)
        except Hangup:
            return False
        return True


def _refuse_privileges(instruction: ins.Run) -> None:
    if instruction.network == "host":
        raise InvalidInput(
            "RUN --network=host is not allowed: a build may not reach the host's own services",
            hint="The default network reaches the internet; leave the flag out.",
        )
    if instruction.security != "sandbox":
        raise InvalidInput(f"RUN --security={instruction.security} is not allowed", hint="Leave the flag out.")


def _arguments(instruction: ins.Run, stage: Stage) -> tuple[tuple[str, ...], bytes | None]:
    """The command line, and the script that it runs, for a here-document with an interpreter line."""
    if not instruction.command.for_shell:
        return instruction.command.words, None
    text = instruction.command.words[0]
    if len(instruction.heredocs) == 1 and text.lstrip("0123456789").startswith("<<") and len(text.split()) == 1:
        body = instruction.heredocs[0].content
        return ((_SCRIPT,), body.encode()) if body.startswith("#!") else ((*stage.shell, body), None)
    for document in instruction.heredocs:
        text += f"\n{document.content}{document.name}"
    return (*stage.shell, text), None
