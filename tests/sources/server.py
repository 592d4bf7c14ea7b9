"""Run inside a machine: the files of a directory over HTTP; below /private/ only with a login. /slow never ends."""

from __future__ import annotations

import base64
import functools
import http.server
import sys
import time

LOGIN = "robot:s3cret-passw0rd"


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/slow"):
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 1024)
                self.wfile.flush()
                time.sleep(0.1)
        wanted = "Basic " + base64.b64encode(LOGIN.encode()).decode()
        if path.startswith("/private/") and self.headers["Authorization"] != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=x")
            self.end_headers()
            return
        super().do_GET()


if __name__ == "__main__":
    handler = functools.partial(Handler, directory=sys.argv[3])
    http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), handler).serve_forever()
