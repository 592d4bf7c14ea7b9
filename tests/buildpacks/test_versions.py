"""A version that comes from a registry: without one it is said, with one it is what the app runs on."""

from __future__ import annotations

from tests.buildpacks.conftest import MIRROR
from tests.harness.registry import config_of
from tests.harness.waiting import wait_until
from tests.machine import Machine

NAME = f"127.0.0.1:{MIRROR}/library/python:3.12-slim-bookworm"
IMAGE = """\
FROM debian:bookworm
RUN echo 'deb http://deb.debian.org/debian trixie main' >/etc/apt/sources.list.d/trixie.list && apt-get -qq update \\
 && apt-get -qq install -y --no-install-recommends -t trixie python3.13 python3.13-venv ca-certificates >/dev/null \\
 && ln -s /usr/bin/python3.13 /usr/local/bin/python3 && ln -s python3 /usr/local/bin/python
"""
"""Python where the official image has it. Debian has no 3.12: what its next release has stands for it."""
APP = """\
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.version.encode())

HTTPServer(("", int(os.environ["PORT"])), Page).serve_forever()
"""


def test_a_version_of_python_that_debian_has_not_comes_from_a_registry(own_program: Machine) -> None:
    machine, client = own_program, own_program.client("versions")
    files = {"app.py": APP, "requirements.txt": "six\n", ".python-version": "3.12\n"}
    repository = client.repository("newer", files)
    refused = repository.push("newer", check=False)
    assert refused.status != 0
    assert "Python 3.12 comes from a registry, as python:3.12-slim-bookworm, which cannot be had" in refused.error
    assert "Without a registry there is Python 3.11, 3.13" in refused.error and "registry_mirrors" in refused.error

    place = machine.disk / "official"
    place.mkdir()
    (place / "Dockerfile").write_text(IMAGE)
    (place / "config.yml").write_text(config_of(place, MIRROR))
    registry = machine.start(["docker-registry", "serve", str(place / "config.yml")])
    try:
        probe = ["curl", "--silent", "--output", "/dev/null", f"http://127.0.0.1:{MIRROR}/v2/"]
        wait_until(lambda: machine.run(probe, check=False).status == 0, "the registry listens")
        machine.paas("build", "-t", NAME, str(place), timeout=400)
        machine.paas("push", NAME, timeout=100)
        machine.paas("rmi", NAME)
        said = repository.push("newer", timeout=400).error
    finally:
        registry.kill()
        registry.wait(10)
    assert "Python 3.12 of python:3.12-slim-bookworm: .python-version asks for 3.12" in said
    assert machine.get("newer").text.startswith("3.13.")
