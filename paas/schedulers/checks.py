"""Whether a new instance is healthy: probed from the first millisecond with short back-off, never a fixed sleep."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from paas.errors import Cancelled, DeployFailed
from paas.model import Instance
from paas.output import Output
from paas.runtime.logs import tail
from paas.runtime.probe import Probe, listening_ports
from paas.runtime.runtime import Runtime

WORKER_UPTIME = 1.0
"""Seconds a process without a port must stay up; nothing but time can show that it did not fail at once."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1
_LINES_SHOWN = 20


class Checks:
    def __init__(self, runtime: Runtime, timeout: float) -> None:
        self._runtime = runtime
        self._timeout = timeout

    def wait_healthy(self, instances: Sequence[Instance], out: Output, cancelled: Callable[[], bool]) -> None:
        """Return when all are healthy. Raises DeployFailed, after showing the last output of the one that is not."""
        probes = {i.id: Probe(i.address, i.port) for i in instances if i.port is not None}
        try:
            self._wait(list(instances), probes, out, cancelled)
        finally:
            for probe in probes.values():
                probe.close()

    def _wait(
        self, waiting: list[Instance], probes: dict[str, Probe], out: Output, cancelled: Callable[[], bool]
    ) -> None:
        started = time.monotonic()
        pause = _FIRST_PAUSE
        while True:
            waiting = [i for i in waiting if not self._healthy(i, probes.get(i.id), started, out)]
            if not waiting:
                return
            if cancelled():
                raise Cancelled("Cancelled; the previous release keeps serving")
            if time.monotonic() - started > self._timeout:
                raise self._late(waiting[0], out)
            time.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_PAUSE)

    def _healthy(self, instance: Instance, probe: Probe | None, started: float, out: Output) -> bool:
        if probe is not None and probe.ask(self._runtime.pid(instance.id)):
            return True
        status = self._runtime.status(instance.id)
        if not status.running:
            self._show_output(instance, out)
            why = "ran out of memory" if status.oom else f"ended with status {status.exit_code}"
            raise DeployFailed(
                f"{instance.name} {why} before it was ready",
                hint="Its last output stands above. The previous release, if any, keeps serving.",
            )
        return probe is None and time.monotonic() - started >= WORKER_UPTIME

    def _late(self, instance: Instance, out: Output) -> DeployFailed:
        self._show_output(instance, out)
        others = sorted(listening_ports(self._runtime.pid(instance.id)))
        if instance.port is None:
            return DeployFailed(f"{instance.name} did not start within {self._timeout:.0f} seconds")
        found = f"it listens on {', '.join(map(str, others))} instead" if others else "it listens on no port"
        return DeployFailed(
            f"{instance.name} does not listen on port {instance.port} after {self._timeout:.0f} seconds; {found}",
            hint="Listen on 0.0.0.0 and the port in $PORT, or name the port: EXPOSE in the Dockerfile, or ports:add.",
        )

    def _show_output(self, instance: Instance, out: Output) -> None:
        lines = list(tail(self._runtime.log_path(instance.id), _LINES_SHOWN))
        if not lines:
            out.detail(f"{instance.name} printed nothing")
            return
        out.result(f"Last output of {instance.name}:")
        for line in lines:
            out.detail(line.text)
