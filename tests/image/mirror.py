"""A proxy on loopback before a mirror that has hiccups."""

from __future__ import annotations

import collections
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from paas.image.bootstrap import apt_proxy


@contextmanager
def hiccups(refusals: int) -> Iterator[tuple[str, collections.Counter[str]]]:
    """The proxy's address, and how often each file was asked for. Lists of packages, and every tenth package, are given
    out only after so many refusals."""
    upstream = apt_proxy()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": upstream} if upstream else {}))
    asked: collections.Counter[str] = collections.Counter()
    packages: dict[str, None] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked[self.path] += 1
            shaky = self.path.endswith("/InRelease")
            if self.path.endswith(".deb"):
                packages.setdefault(self.path)
                shaky = list(packages).index(self.path) % 10 == 0
            if shaky and asked[self.path] <= refusals:
                self.send_error(503)
                return
            try:
                with opener.open(self.path, timeout=60) as answer:
                    self.send_response(200)
                    self.send_header("Content-Length", answer.headers["Content-Length"])
                    self.end_headers()
                    shutil.copyfileobj(answer, self.wfile)
            except urllib.error.HTTPError as error:
                self.send_error(error.code)

        def log_message(self, format: str, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
