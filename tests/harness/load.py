"""Clients that ask as fast as they are answered, and account for every request: a program of its own.

    python -m tests.harness.load ADDRESS PORT HOST --get N --post N --new N [--seconds S] [--pace S]

N connections of each kind. `get` and `post` keep theirs and open another when they are told that it closes; `new` opens
one for each request. The body of each POST is an id of its own. It ends after S seconds, or when its input ends, with
every request answered, and prints a line of JSON: see Report. `--pace`: seconds that each pauses after an answer.

A request is lost when it has been sent, whole or in part, and no answer with status 200 comes; also one whose
connection is refused. It is not tried again.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass
class Report:
    """What came of it. Latencies in milliseconds; `answers` counts the bodies of GETs."""

    requests: int = 0
    seconds: float = 0.0
    lost: dict[str, int] = field(default_factory=dict)
    posted: list[str] = field(default_factory=list)
    """Ids that were acknowledged."""
    unsure: list[str] = field(default_factory=list)
    """Ids that were not."""
    answers: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    """Requests that were answered, by kind."""
    p50: float = 0.0
    p99: float = 0.0
    slowest: float = 0.0
    losses: list[tuple[float, str]] = field(default_factory=list)
    """Each request that was lost: seconds since 1970, and how."""


class Connection:
    def __init__(self, load: Load, kind: str, number: int) -> None:
        self._load = load
        self.kind = kind
        self._number = number
        self._asked = 0
        self._socket: socket.socket | None = None
        self._got = b""
        self._id = ""
        self._begun = 0.0
        self.due = 0.0

    def begin(self) -> None:
        """Send the next request, over a new connection where there is none."""
        self._begun = time.monotonic()
        self._asked += 1
        self._id = f"{self._load.name}-{self._number}-{self._asked}" if self.kind == "post" else ""
        self._got = b""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
            self._socket.connect_ex(self._load.peer)
            self._load.poll.register(self._socket, select.EPOLLOUT)
            self._load.connections[self._socket.fileno()] = self
        else:
            self._send()

    def writable(self) -> None:
        assert self._socket is not None
        if code := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._lose(f"connect: {OSError(code, '').errno}")
            return
        self._load.poll.modify(self._socket, select.EPOLLIN)
        self._send()

    def _send(self) -> None:
        assert self._socket is not None
        host = self._load.host
        if self._id:
            text = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(self._id)}\r\n\r\n{self._id}"
        else:
            close = "Connection: close\r\n" if self.kind == "new" else ""
            text = f"GET / HTTP/1.1\r\nHost: {host}\r\n{close}\r\n"
        try:
            self._socket.send(text.encode())
        except OSError as error:
            self._lose(f"send: {error.errno}")

    def readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"receive: {error.errno}")
            return
        if not data:
            self._lose("closed without an answer" if not self._got else "closed within an answer")
            return
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        lowered = head.lower()
        length = int(lowered.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        status = head[9:12].decode()
        if status != "200":
            self._lose(f"status {status}")
            return
        self._load.latencies.append(time.monotonic() - self._begun)
        self._load.done[self.kind] += 1
        if self._id:
            self._load.report.posted.append(self._id)
        else:
            self._load.answers[body] += 1
        if self.kind == "new" or b"connection: close" in lowered:
            self._close()
        self._next()

    def _lose(self, why: str) -> None:
        self._load.lost[f"{self.kind}: {why}"] += 1
        self._load.report.losses.append((time.time(), f"{self.kind}: {why}"))
        if self._id:
            self._load.report.unsure.append(self._id)
        self._close()
        self._next(0.01)

    def _next(self, pause: float = 0.0) -> None:
        self._load.asked += 1
        self.due = time.monotonic() + max(pause, self._load.pace)
        self._load.idle.append(self)

    def _close(self) -> None:
        if self._socket is not None:
            self._load.connections.pop(self._socket.fileno(), None)
            self._socket.close()
            self._socket = None


class Load:
    def __init__(self, peer: tuple[str, int], host: str, kinds: dict[str, int], pace: float = 0.0) -> None:
        """`pace`: seconds that each connection waits after an answer."""
        self.peer, self.host, self.pace = peer, host, pace
        self.name = f"{time.time_ns():x}"
        self.poll = select.epoll()
        self.connections: dict[int, Connection] = {}
        self.latencies: list[float] = []
        self.lost: Counter[str] = Counter()
        self.answers: Counter[bytes] = Counter()
        self.done: Counter[str] = Counter()
        self.report = Report()
        self.asked = 0
        self.idle: list[Connection] = []
        kinds_of = [kind for kind, count in kinds.items() for _ in range(count)]
        self.idle = [Connection(self, kind, number) for number, kind in enumerate(kinds_of)]

    def run(self, seconds: float | None) -> Report:
        begun = time.monotonic()
        total = len(self.idle)
        if seconds is None:
            self.poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
        ending = False
        while not (ending and len(self.idle) == total):
            now = time.monotonic()
            ending = ending or (seconds is not None and now - begun >= seconds)
            if not ending:
                ready, self.idle = self.idle, []
                for each in ready:
                    if each.due <= now:
                        each.begin()
                    else:
                        self.idle.append(each)
            wait = 0.001 if self.pace and self.idle else 0.05
            for number, event in self.poll.poll(0 if self.idle and not self.pace and not ending else wait):
                if number == 0 and seconds is None:
                    ending = True
                    self.poll.unregister(0)
                elif connection := self.connections.get(number):
                    if event & select.EPOLLOUT or (event & select.EPOLLERR and not event & select.EPOLLIN):
                        connection.writable()
                    else:
                        connection.readable()
        return self._reported(time.monotonic() - begun)

    def _reported(self, seconds: float) -> Report:
        times = sorted(self.latencies) or [0.0]
        report = self.report
        report.requests, report.seconds, report.lost = self.asked, seconds, dict(self.lost)
        report.answers = {body.decode("latin-1")[:40]: count for body, count in self.answers.items()}
        report.done = dict(self.done)
        report.p50, report.p99 = times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000
        report.slowest = times[-1] * 1000
        return report


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("host")
    for kind in ("get", "post", "new"):
        parser.add_argument(f"--{kind}", type=int, default=0)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--pace", type=float, default=0.0)
    given = parser.parse_args()
    kinds = {kind: getattr(given, kind) for kind in ("get", "post", "new")}
    load = Load((given.address, given.port), given.host, kinds, given.pace)
    print(json.dumps(asdict(load.run(given.seconds))))


if __name__ == "__main__":
    main()
