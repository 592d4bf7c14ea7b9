"""RUN: a command in a container on top of the layers so far; what it changes is the new layer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from paas.build import keys
from paas.build.dockerfile import instructions as ins
from paas.build.layering import Layering
from paas.build.stage import Stage
from paas.build.steps.copy import Copied
from paas.errors import Cancelled, Conflict, InvalidInput
from paas.image.layers import LayerDraft
from paas.model import DEFAULT_PATH
from paas.output import Hangup, Output, human_bytes
from paas.runtime.runtime import Runtime, Status
from paas.runtime.sandbox import SandboxPool
from paas.runtime.spec import ContainerSpec, new_id
from paas.settings import Settings


class Runner:
    """Runs build steps."""

    def __init__(
        self, settings: Settings, layering: Layering, runtime: Runtime, sandboxes: SandboxPool, resolv_conf: str
    ) -> None:
        self._settings = settings
        self._layering = layering
        self._runtime = runtime
        self._sandboxes = sandboxes
        self._resolv_conf = resolv_conf

    def run(self, instruction: ins.Run, stage: Stage, out: Output, cancelled: Callable[[], bool]) -> Copied:
        """Carry out RUN. Raises DockerfileError when the command fails or passes a limit, and Cancelled."""
        if instruction.mounts:
            raise stage.error(instruction.span, "RUN --mount is not supported yet", "Copy what the step needs instead.")
        if instruction.network != "default" or instruction.security != "sandbox":
            raise stage.error(instruction.span, "RUN --network and --security are not supported yet")
        arguments = _arguments(instruction, stage)
        environment = {"PATH": DEFAULT_PATH, **stage.variables}
        key = keys.digest("run", stage.chain, arguments, environment, stage.config.user, stage.config.workdir)
        known = self._layering.cached(key)
        if known is not None:
            return Copied(known, cached=True)
        spec = ContainerSpec(
            id=new_id(),
            layers=tuple(layer.number for layer in stage.layers),
            args=arguments,
            env=environment,
            cwd=stage.config.workdir or "/",
            user=stage.config.user,
            hostname="build",
            no_new_privileges=False,
            memory=self._settings.build_memory,
            pids=self._settings.build_pids,
            resolv_conf=self._resolv_conf,
        )

        def make(draft: LayerDraft) -> None:
            self._check(instruction, stage, self._step(spec, draft, instruction, stage, out, cancelled), cancelled)

        # What a command leaves behind cannot be told from its inputs: every run has an identity of its own.
        return Copied(self._layering.add(key, keys.digest(key, spec.id), make), cached=False)

    def _step(
        self,
        spec: ContainerSpec,
        draft: LayerDraft,
        instruction: ins.Run,
        stage: Stage,
        out: Output,
        cancelled: Callable[[], bool],
    ) -> Status:
        sandbox = self._sandboxes.take()
        try:
            with _Streamed(out) as output:
                return self._runtime.run_step(
                    spec,
                    sandbox,
                    draft.directory,
                    output,
                    timeout=self._settings.build_timeout,
                    cancelled=cancelled,
                )
        except Conflict as error:
            raise stage.error(instruction.span, error.message, "The limit is the setting build_timeout.") from None
        except InvalidInput as error:
            raise stage.error(instruction.span, error.message, error.hint) from None
        finally:
            self._sandboxes.release(sandbox)

    def _check(self, instruction: ins.Run, stage: Stage, status: Status, cancelled: Callable[[], bool]) -> None:
        if cancelled():
            raise Cancelled("The build was cancelled")
        if status.exit_code == 0:
            return
        if status.oom:
            limit = human_bytes(self._settings.build_memory)
            raise stage.error(
                instruction.span,
                f"the command was killed, most likely for want of memory (the limit is {limit})",
                "Raise the setting build_memory, or let the step use less.",
            )
        raise stage.error(instruction.span, f"the command ended with status {status.exit_code}")


class _Streamed:
    """A pipe whose content is passed on to the output as it comes, whatever the reader there does."""

    def __init__(self, out: Output) -> None:
        self._out = out

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
        gone = False
        while data := os.read(self._read, 65536):
            try:
                if not gone:
                    self._out.raw(data)
            except Hangup:
                gone = True  # go on reading: the step must not block until it is cancelled


def _arguments(instruction: ins.Run, stage: Stage) -> tuple[str, ...]:
    if not instruction.command.for_shell:
        return instruction.command.words
    text = instruction.command.words[0]
    if len(instruction.heredocs) == 1 and text.lstrip("0123456789").startswith("<<") and len(text.split()) == 1:
        body = instruction.heredocs[0].content
        return _script(body) if body.startswith("#!") else (*stage.shell, body)
    for document in instruction.heredocs:
        text += f"\n{document.content}{document.name}"
    return (*stage.shell, text)


def _script(body: str) -> tuple[str, ...]:
    """A here-document with an interpreter line: written to a file and run."""
    line = (
        'file=$(mktemp) && printf %s "$1" >"$file" && chmod 700 "$file" && "$file"; '
        'status=$?; rm -f "$file"; exit $status'
    )
    return ("/bin/sh", "-c", line, "sh", body)
