"""What is made from the database and can be made again: nginx's configuration, the network's table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from paas.errors import PaasError
from paas.integrity.finding import Asked, Finding
from paas.network.network import Network
from paas.proxy.proxy import Proxy


class Derived:
    def __init__(self, proxy: Proxy, network: Network) -> None:
        self._proxy = proxy
        self._network = network

    def check(self, asked: Asked) -> Iterator[Finding]:
        for words in self._network.missing()[:1]:
            yield self._mended("network", words, "it is missing in the kernel's table", self._network.rebuild, asked)
        for sentence in self._network.admit():
            yield Finding("network", "another firewall", sentence, "Let it accept what comes to apps and from them.")
        for name in self._proxy.damaged()[:1]:
            problem = "it does not run" if name == "nginx" else "it is not what was written"
            yield self._mended("nginx", name, problem, lambda: self._proxy.apply(force=True), asked)

    def _mended(self, kind: str, name: str, problem: str, mend: Callable[[], None], asked: Asked) -> Finding:
        if not asked.repair:
            return Finding(kind, name, problem, "paas system:check --repair makes it anew.")
        try:
            mend()
        except PaasError as error:
            return Finding(kind, name, problem, error.message)
        return Finding(kind, name, problem, repaired="made anew")
