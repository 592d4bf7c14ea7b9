import os
from http.server import BaseHTTPRequestHandler, HTTPServer

import humanize


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(humanize.intcomma(1234567).encode())


HTTPServer(("", int(os.environ["PORT"])), Page).serve_forever()
