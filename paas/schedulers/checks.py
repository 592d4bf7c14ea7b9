"""Whether new instances are healthy: asked from the first millisecond with short back-off, never a fixed sleep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from paas.declared import Check
from paas.errors import Cancelled, DeployFailed
from paas.model import Instance, Release
from paas.names import brief
from paas.output import Output
from paas.runtime.logs import tail
from paas.runtime.probe import Probe, listening_ports
from paas.runtime.runtime import Runtime
from paas.schedulers.asking import Asker
from paas.schedulers.policy import Policy, policy_of

_FIRST_PAUSE, _LONGEST_PAUSE, _PAUSE_SHARE = 0.002, 0.1, 32
"""Seconds between two looks at whether an instance is ready: one part in so many of what it has taken so far, so that
looking adds little to any start."""
_FIRST_RETRY, _LONGEST_RETRY = 0.05, 1.0
_LINES_SHOWN = 20
_AT_ONCE = 16
"""Checks that are asked side by side."""


class Checks:
    def __init__(
        self,
        runtime: Runtime,
        timeout: float,
        asker: Asker,
        host: Callable[[Release], str] = lambda release: "localhost",
    ) -> None:
        """`host(release)` is the name an app is called under."""
        self._runtime = runtime
        self._timeout = timeout
        self._asker = asker
        self._host = host

    def wait_healthy(
        self, instances: Sequence[Instance], release: Release, out: Output, cancelled: Callable[[], bool]
    ) -> None:
        """Return when all that the release's policy waits for are healthy: a web process has accepted our connection,
        a process without checks has stayed up for a moment, and all startup checks are good.

        Raises DeployFailed, after showing the last output of the one that is not.
        """
        policy = policy_of(release)
        waiting = [instance for instance in instances if policy.waits_for(instance.process)]
        probes = {i.id: Probe(i.address, i.port) for i in waiting if i.port is not None}
        try:
            self._wait(waiting, probes, policy, release, out, cancelled)
        finally:
            for probe in probes.values():
                probe.close()
        self._startup(waiting, release, policy, out, cancelled)

    # -- what holds for every instance ----------------------------------------------------------------------------

    def _wait(
        self,
        waiting: list[Instance],
        probes: dict[str, Probe],
        policy: Policy,
        release: Release,
        out: Output,
        cancelled: Callable[[], bool],
    ) -> None:
        started = time.monotonic()

        def uptime(instance: Instance) -> float:
            return 0.0 if startup_checks(release, instance) else policy.default_wait

        while True:
            waiting = [i for i in waiting if not self._healthy(i, probes.get(i.id), uptime(i), started, out)]
            if not waiting:
                return
            if cancelled():
                raise Cancelled("Cancelled; the previous release keeps serving")
            if time.monotonic() - started > max(self._timeout, 2 * policy.default_wait):
                raise self._late(waiting[0], out)
            time.sleep(min(max(_FIRST_PAUSE, (time.monotonic() - started) / _PAUSE_SHARE), _LONGEST_PAUSE))

    def _healthy(self, instance: Instance, probe: Probe | None, uptime: float, started: float, out: Output) -> bool:
        if probe is not None and probe.ask(self._runtime.pid(instance.id)):
            return True
        self._see_running(instance, out)
        return probe is None and time.monotonic() - started >= uptime

    def _see_running(self, instance: Instance, out: Output) -> None:
        status = self._runtime.status(instance.id)
        if not status.running:
            self._show_output(instance, out)
            why = "ran out of memory" if status.oom else f"ended with status {status.exit_code}"
            raise DeployFailed(
                f"{instance.name} {why} before it was ready",
                hint="Its last output stands above. The previous release, if any, keeps serving.",
            )

    def _late(self, instance: Instance, out: Output) -> DeployFailed:
        self._show_output(instance, out)
        if instance.port is None:
            return DeployFailed(f"{instance.name} did not start within {self._timeout:.0f} seconds")
        found = _what_listens(self._runtime.pid(instance.id), instance.port)
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

    # -- startup checks -------------------------------------------------------------------------------------------

    def _startup(
        self,
        instances: Sequence[Instance],
        release: Release,
        policy: Policy,
        out: Output,
        cancelled: Callable[[], bool],
    ) -> None:
        wanted = [(i, check) for i in instances for check in startup_checks(release, i)]
        if not wanted:
            return
        out.heading(f"Executing {len(wanted)} healthchecks")
        stop = threading.Event()
        began = time.monotonic()
        with ThreadPoolExecutor(min(len(wanted), _AT_ONCE), thread_name_prefix="startup check") as workers:
            try:
                asked: list[tuple[Instance, Check, Future[str]]] = [
                    (i, c, workers.submit(self._until_good, i, policy.complete(c), release, began, stop))
                    for i, c in wanted
                ]
                failed: dict[str, list[str]] = {}
                for instance, check, future in asked:
                    while not future.done():
                        if cancelled():
                            raise Cancelled("Cancelled; the previous release keeps serving")
                        stop.wait(0.02)
                    self._tell(instance, check, future.result(), failed, out)
            finally:
                stop.set()
        for instance in instances:
            if reasons := failed.get(instance.id):
                self._show_output(instance, out)
                raise DeployFailed(
                    f"Could not start due to {len(reasons)} failed checks ({instance.name}): {'; '.join(reasons)}",
                    hint="The previous release, if any, keeps serving. checks:report shows how checks are made.",
                )

    def _tell(self, instance: Instance, check: Check, reason: str, failed: dict[str, list[str]], out: Output) -> None:
        title = f"name={title_of(check)!r} ({instance.name})"
        if not reason:
            out.detail(f"Healthcheck succeeded {title}")
            return
        out.warn(f"Healthcheck failed {title}: {reason}")
        if check.on_failure and self._runtime.pid(instance.id) is not None:
            problem = self._asker.command(instance.id, check.on_failure, 30)
            out.detail("onFailure has run" if not problem else f"onFailure {problem}")
        if not check.warn:
            failed.setdefault(instance.id, []).append(f"{title_of(check)}: {reason}")

    def _until_good(
        self, instance: Instance, check: Check, release: Release, began: float, stop: threading.Event
    ) -> str:
        """Ask until it is good, as long as its attempts with the pauses between them would take, and as many times at
        least; '' or the last reason. An uptime check ends when that time is up."""
        if stop.wait(check.initial_delay):
            return "cancelled"
        attempts, wait = check.attempts or 1, check.wait or 0.0
        deadline = time.monotonic() + (check.uptime if check.uptime else (attempts - 1) * wait)
        host, pause, number = self._host(release), _FIRST_RETRY, 0
        while True:
            number += 1
            reason = self._asker.ask(check, instance, host, time.monotonic() - began)
            gone = self._runtime.pid(instance.id) is None
            if not reason or gone or (number >= attempts and time.monotonic() >= deadline):
                return reason
            if stop.wait(pause):
                return "cancelled"
            pause = min(pause * 1.5, _LONGEST_RETRY)

    def look(self, instance: Instance, release: Release, up: float) -> list[tuple[Check, str]]:
        """Each startup check of an instance that runs, asked once, with '' or the reason why it is not good."""
        policy, host = policy_of(release), self._host(release)
        checks = startup_checks(release, instance) or (Check(kind="startup", listening=True, name="port"),)
        if instance.port is None:
            checks = startup_checks(release, instance) or (Check(kind="startup", uptime=policy.default_wait),)
        return [(check, self._asker.ask(policy.complete(check), instance, host, up)) for check in checks]


def _what_listens(pid: int | None, wanted: int) -> str:
    """For people, in place of the port that was wanted."""
    inside = listening_ports(pid, reachable=False)
    if wanted in inside:
        return "it listens on that port of 127.0.0.1, where nothing outside of its container reaches it"
    if others := sorted(listening_ports(pid)):
        return f"it listens on {', '.join(map(str, others))} instead"
    if inside:
        return f"it listens on {', '.join(map(str, sorted(inside)))} of 127.0.0.1 instead"
    return "it listens on no port"


def startup_checks(release: Release, instance: Instance) -> tuple[Check, ...]:
    return tuple(c for c in release.declared.checks.get(instance.process, ()) if c.kind == "startup")


def title_of(check: Check) -> str:
    """Its name, or what it looks at."""
    if check.name:
        return brief(check.name)
    if check.uptime:
        return f"uptime {check.uptime:g}"
    return check.path or brief(" ".join(check.command)) or "listening"
