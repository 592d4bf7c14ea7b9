"""How a build shows what it does: plain lines, a terminal with a running clock, or one JSON object a line."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import IO, Literal

from paas.output import Hangup, Output, harmless

Style = Literal["plain", "tty", "json"]
STYLES: tuple[Style, ...] = ("plain", "tty", "json")
_TICK = 0.25
_SPOOL = 1 << 20
"""Bytes of a stage's held output that stay in memory; more lies in a file."""
_BOLD, _DIM, _PLAIN, _CLEAR = "\x1b[1m", "\x1b[2m", "\x1b[0m", "\r\x1b[K"


class Progress:
    """Stages are built side by side and shown one after the other: the first that is not finished as it goes on, what
    the others say is held until it is their turn. JSON is not held; its lines name their stage."""

    def __init__(self, out: Output, style: Style = "plain") -> None:
        self._out = out
        self._style = style
        self._lock = threading.RLock()
        self._logs: list[StageLog] = []
        self._clock_shown = False
        self._at_line_start = True
        self.steps = 0
        self.cached = 0

    def stage(self, name: str) -> StageLog:
        """Stages are shown in the order in which they are announced here."""
        with self._lock:
            log = StageLog(self, name)
            self._logs.append(log)
            return log

    def warn(self, text: str) -> None:
        with self._lock:
            if self._style == "json":
                self._object({"warning": text})
            else:
                self._clear()
                self._out.warn(text)

    def total(self, image: str, seconds: float) -> None:
        """The last line of a build."""
        with self._lock:
            if self._style == "json":
                self._object({"image": image, "seconds": round(seconds, 3), "steps": self.steps, "cached": self.cached})
            else:
                short = image.removeprefix("sha256:")[:12]
                self._out.line(f"Built {short} in {seconds:.2f}s ({self.cached} of {self.steps} steps cached)")

    # -- what stage logs call -------------------------------------------------------------------------------------

    def say(self, log: StageLog, kind: str, text: str, data: bytes, fields: dict[str, object]) -> None:
        said = f"{harmless(text)}\n".encode("utf-8", "backslashreplace")
        with self._lock:
            if kind == "step":
                self.steps += 1
            if kind == "done" and fields.get("cached"):
                self.cached += 1
            if self._style == "json":
                self._object({"stage": log.name, "event": kind, **fields})
            elif log is self._foreground():
                self._show(data or said, kind)
            else:
                log.held.write(data or said)

    def finish(self, log: StageLog) -> None:
        """The stage is done; the next one's turn has come."""
        with self._lock:
            log.finished = True
            while self._logs and self._logs[0].finished:
                first = self._logs[0]
                self._release(first)
                first.held.close()
                self._logs.pop(0)
            if self._logs:
                self._release(self._logs[0])

    def _foreground(self) -> StageLog | None:
        return self._logs[0] if self._logs else None

    def _release(self, log: StageLog) -> None:
        log.held.seek(0)
        while piece := log.held.read(65536):
            self._show(piece, "output")
        log.held.seek(0)
        log.held.truncate()

    def _object(self, value: dict[str, object]) -> None:
        self._out.line(json.dumps(value, ensure_ascii=False))

    def _show(self, data: bytes, kind: str) -> None:
        self._clear()
        if self._style == "tty" and kind in ("step", "done"):
            start = _BOLD if kind == "step" else _DIM
            data = f"{start}{data.decode('utf-8', 'replace').rstrip()}{_PLAIN}\n".encode()
        if kind != "output" and not self._at_line_start:
            data = b"\n" + data
        self._at_line_start = data.endswith(b"\n")
        self._out.raw(data)

    # -- the running clock of a terminal --------------------------------------------------------------------------

    @contextlib.contextmanager
    def clock(self, log: StageLog) -> Iterator[None]:
        """While the block runs, a terminal shows how long it has been running."""
        if self._style != "tty":
            yield
            return
        ended = threading.Event()
        started = time.monotonic()
        thread = threading.Thread(target=self._tick, args=(log, started, ended), name="clock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with self._lock:
                self._clear()

    def _tick(self, log: StageLog, started: float, ended: threading.Event) -> None:
        while not ended.wait(_TICK):
            with self._lock, contextlib.suppress(Hangup):
                if log is self._foreground() and self._at_line_start:
                    self._out.raw(f"{_CLEAR}{_DIM}  {time.monotonic() - started:.1f}s{_PLAIN}".encode())
                    self._clock_shown = True

    def _clear(self) -> None:
        if self._clock_shown:
            self._out.raw(_CLEAR.encode())
            self._clock_shown = False


class StageLog:
    """What one stage says."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self.name = name
        self.finished = False
        self.held: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_SPOOL)  # noqa: SIM115  closed with the log

    def step(self, number: int, total: int, source: str) -> None:
        text = f"Step {number}/{total} : {source}"
        self._progress.say(self, "step", text, b"", {"step": number, "of": total, "instruction": source})

    def trigger(self, source: str) -> None:
        """An ONBUILD trigger of the base image."""
        self._progress.say(self, "trigger", f"# Trigger : {source}", b"", {"instruction": source})

    def output(self, data: bytes) -> None:
        if data:
            self._progress.say(self, "output", "", data, {"text": data.decode("utf-8", "replace")})

    def note(self, text: str) -> None:
        self._progress.say(self, "note", text, b"", {"text": text})

    def done(self, *, cached: bool, seconds: float) -> None:
        text = " ---> CACHED" if cached else f" ---> {seconds:.2f}s"
        self._progress.say(self, "done", text, b"", {"cached": cached, "seconds": round(seconds, 3)})

    def clock(self) -> contextlib.AbstractContextManager[None]:
        return self._progress.clock(self)

    def finish(self) -> None:
        self._progress.finish(self)
