"""What others do to the kernel's rules while the engine runs: noticed within seconds, and mended."""

from __future__ import annotations

import logging
import threading

from paas.errors import PaasError
from paas.network.network import Network
from paas.network.ruleset import generation

log = logging.getLogger(__name__)

_SECONDS = 1.0


class Guard:
    """Looks every second whether any rule has changed, and if so at the table and at the firewalls of others."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._closing = threading.Event()
        self._seen = -1
        self._said: list[str] = []

    def start(self) -> None:
        threading.Thread(target=self._watch, name="network guard", daemon=True).start()

    def close(self) -> None:
        self._closing.set()

    def check(self) -> None:
        """Mend what is to be mended. Raises SystemFailure."""
        now = generation()
        if now != self._seen:
            if self._network.repair():
                log.warning("Somebody has removed the rules of the network; they are in place again")
            self._say(self._network.admit())
            self._seen = now  # not before: what could not be mended is tried again

    def _say(self, obstacles: list[str]) -> None:
        for sentence in obstacles:
            if sentence not in self._said:
                log.error("%s", sentence)
        self._said = obstacles

    def _watch(self) -> None:
        failed = ""
        while not self._closing.is_set():
            try:
                self.check()
                failed = ""
            except PaasError as error:
                if error.message != failed:
                    log.error("The rules of the network cannot be looked after: %s", error.message)
                failed = error.message
            self._closing.wait(_SECONDS)
