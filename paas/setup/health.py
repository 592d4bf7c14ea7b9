"""Whether the engine answers and apps serve, before and after a change."""

from __future__ import annotations

import http.client
import json
import time

from paas.errors import SystemFailure
from paas.settings import Settings
from paas.setup.host import COMMAND, Host

_ANSWERS_WITHIN = 120.0
_ASKED = 50
"""Apps that are asked at most."""


def wait_until_it_answers(host: Host, seconds: float = _ANSWERS_WITHIN) -> str:
    """The engine's version. Raises SystemFailure when there is none."""
    deadline = time.monotonic() + seconds
    while True:
        done = host.run([COMMAND, "version"], check=False)
        if done.status == 0:
            return done.text.strip()
        if time.monotonic() > deadline:
            raise SystemFailure("The engine does not answer", hint="Its words: journalctl -u paas -n 50.")
        time.sleep(0.5)


def serving(host: Host, settings: Settings) -> dict[str, str]:
    """Hostname -> app, of apps that answer a request for `/` now with anything but a server's error."""
    done = host.run([COMMAND, "--quiet", "apps:list"], check=False)
    found: dict[str, str] = {}
    for app in done.text.split()[:_ASKED] if done.status == 0 else ():
        urls = host.run([COMMAND, "urls", app], check=False).text.split()
        names = [url.partition("://")[2].partition("/")[0].partition(":")[0] for url in urls if url.startswith("http:")]
        if names and answers(names[0], settings.http_port):
            found[names[0]] = app
    return found


def answers(hostname: str, port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": hostname})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_they_serve(wanted: dict[str, str], settings: Settings, seconds: float) -> None:
    """Raises SystemFailure, naming the apps that do not answer as they did."""
    left, deadline = dict(wanted), time.monotonic() + seconds
    while left := {name: app for name, app in left.items() if not answers(name, settings.http_port)}:
        if time.monotonic() > deadline:
            raise SystemFailure(f"These apps served before and do not now: {', '.join(sorted(left.values()))}")
        time.sleep(0.5)


def schema_of(text: str) -> int:
    """A number that a tool printed. Raises SystemFailure."""
    try:
        return int(json.loads(text))
    except (ValueError, TypeError):
        raise SystemFailure(f"The version does not say which schema it knows: {text[:80]!r}") from None
