"""HTTP as registries need it: patience with errors that pass, redirects without secrets, clear words for the rest."""

from __future__ import annotations

import email.utils
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeout

import paas
from paas.errors import Cancelled, InvalidInput, SystemFailure
from paas.names import shown

_T = TypeVar("_T")
Say = Callable[[str], object]
"""Takes a line that tells the user how far it is."""
Response = urllib3.BaseHTTPResponse
PATIENCE = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each further attempt."""
_TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
_PASSING = frozenset({500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_TICK = 0.1
_AGENT = f"paas/{paas.__version__}"


class Unreachable(SystemFailure):
    """Nobody answers, or the connection broke."""


class BadCertificate(Unreachable):
    """Somebody answers whom we do not trust, or who does not speak TLS (`plain`)."""

    def __init__(self, message: str, *, hint: str | None = None, plain: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.plain = plain


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response, `data` up to the limit that was asked for."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Transport:
    """A context manager, for one operation. Thread-safe."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self.cancelled = cancelled
        self._pools: dict[str, urllib3.PoolManager] = {}

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            pool.clear()

    def fetch(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        limit: int,
        body: bytes | None = None,
        patience: Sequence[float] | None = None,
    ) -> Answer:
        """A whole response; `patience` is PATIENCE unless given.

        Raises Unreachable, Cancelled, and InvalidInput for one of more than `limit` bytes.
        """

        def once() -> Answer:
            response = self._follow(method, url, headers, body)
            try:
                data = response.read(limit + 1)
            except HTTPError as error:
                raise unreachable(url, error) from None
            finally:
                response.close()
            if len(data) > limit:
                raise InvalidInput(f"{_host(url)} sends more than {limit} bytes where a small document belongs")
            return Answer(response.status, response.headers, data)

        return self._patiently(once, lambda answer: answer.status, PATIENCE if patience is None else patience)

    def open(self, url: str, headers: Mapping[str, str]) -> Response:
        """GET a response whose body is read by the caller, who closes it. Raises Unreachable, Cancelled."""
        return self._patiently(lambda: self._follow("GET", url, headers, None), lambda got: got.status, PATIENCE)

    def wait(self, seconds: float) -> None:
        """Raises Cancelled as soon as that is asked for."""
        end = time.monotonic() + seconds
        while True:
            if self.cancelled():
                raise Cancelled("Cancelled")
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _TICK))

    def _patiently(self, once: Callable[[], _T], status: Callable[[_T], int], patience: Sequence[float]) -> _T:
        for pause in patience:
            try:
                got = once()
            except BadCertificate:
                raise
            except Unreachable:
                pass
            else:
                if status(got) not in _PASSING:
                    return got
                if isinstance(got, urllib3.BaseHTTPResponse):
                    got.close()
            self.wait(pause * random.uniform(0.8, 1.2))
        return once()

    def _follow(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """Follow redirects of what only reads. A secret goes to nobody but the host it is for."""
        sent = dict(headers)
        for _ in range(_MOST_REDIRECTS):
            response = self._send(method, url, sent, body)
            target = response.headers.get("Location")
            if response.status not in _REDIRECTS or target is None or method not in ("GET", "HEAD"):
                return response
            response.close()
            following = urljoin(url, target)
            if urlsplit(following).scheme not in ("http", "https"):
                raise InvalidInput(f"{_host(url)} redirects to {shown(following)}")
            if urlsplit(url).scheme == "https" and urlsplit(following).scheme != "https":
                raise InvalidInput(f"{_host(url)} redirects from https to plain http, which is refused")
            if origin(following) != origin(url):
                sent.pop("Authorization", None)
            url = following
        raise InvalidInput(f"{_host(url)} redirects without end")

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        if self.cancelled():
            raise Cancelled("Cancelled")
        try:
            return self._pool(url).request(
                method,
                url,
                body=body,
                headers={"User-Agent": _AGENT, **headers},
                timeout=_TIMEOUT,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise unreachable(url, error) from None
        except ValueError:
            raise InvalidInput(f"{shown(url)} is not an address") from None

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxies = getproxies_environment()
        proxy = proxies.get(parts.scheme, "")
        if proxy and (is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc)):
            proxy = ""
        if proxy not in self._pools:
            context = ssl.create_default_context()  # trusts whom the host trusts
            self._pools[proxy] = (
                _proxied(proxy, context) if proxy else urllib3.PoolManager(maxsize=4, ssl_context=context)
            )
        return self._pools[proxy]


def _proxied(proxy: str, context: ssl.SSLContext) -> urllib3.PoolManager:
    """By way of a proxy, `[http://][USER:PASSWORD@]HOST:PORT`."""
    url = proxy if "://" in proxy else f"http://{proxy}"
    login = unquote(urlsplit(url).netloc.rpartition("@")[0])
    headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
    return urllib3.ProxyManager(url, maxsize=4, ssl_context=context, proxy_headers=headers)


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: who gets a secret."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def retry_after(headers: Mapping[str, str]) -> int | None:
    """Seconds to wait, from a Retry-After header (RFC 9110, 10.2.3); None without one that can be read."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text), 1 << 31)
    try:
        return max(0, round(email.utils.parsedate_to_datetime(text).timestamp() - time.time()))
    except (ValueError, OverflowError):
        return None


def unreachable(url: str, error: HTTPError) -> Unreachable:
    """What went wrong with a connection, in words without paths and queries: those may hold secrets."""
    host = _host(url)
    if isinstance(error, SSLError):
        reason = error.args[0] if error.args else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            return BadCertificate(
                f"{host} shows a certificate that is not trusted: {reason.verify_message}",
                hint="Put its authority into /usr/local/share/ca-certificates on the host; run update-ca-certificates.",
            )
        plain = any(sign in str(error).upper() for sign in ("WRONG_VERSION_NUMBER", "RECORD LAYER", "HTTP_REQUEST"))
        return BadCertificate(
            f"{host} does not speak TLS as it should",
            hint="A registry without TLS has to be named in the setting insecure_registries.",
            plain=plain,
        )
    if isinstance(error, NameResolutionError):
        return Unreachable(f"The name {host} cannot be resolved", hint="Is it spelled right, and is the network up?")
    if isinstance(error, HTTPTimeout):
        return Unreachable(f"{host} does not answer in time", hint="Is the network up?")
    return Unreachable(f"The connection to {host} failed or broke", hint="Does a registry listen there?")


def _host(url: str) -> str:
    return shown(urlsplit(url).netloc.rpartition("@")[2])
