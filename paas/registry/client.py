"""One repository of one registry, in the requests of the OCI distribution specification (spec.md, "Endpoints")."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin

from paas.errors import Conflict, Denied, InvalidInput, NotFound, PaasError, SystemFailure
from paas.names import shown
from paas.registry.auth import Authorizer, refused
from paas.registry.manifests import ACCEPTED, MANIFEST_LIMIT, Descriptor
from paas.registry.transport import Answer, Response, Transport, origin, retry_after

_SMALL = 1 << 20
_CHALLENGES = 4
"""Times that a request is sent: a registry may go on asking for ever."""
_BEARER = re.compile(r"(?:^|[\s,])(bearer)\s+\w+=", re.IGNORECASE)
_BLOB_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest as it came, with its digest."""

    data: bytes
    media_type: str
    digest: str


class Repository:
    """`base` is the registry's address up to /v2; `host` is what users call it. Thread-safe."""

    def __init__(self, transport: Transport, base: str, host: str, name: str, authorizer: Authorizer) -> None:
        self.host = host
        self.name = name
        self.transport = transport
        self._base = base
        self._authorizer = authorizer

    # -- pulling --------------------------------------------------------------------------------------------------

    def manifest(self, reference: str) -> Fetched:
        """By tag or digest. Raises NotFound, Denied; InvalidInput when it is not what its digest says."""
        answer = self._fetch("GET", f"manifests/{reference}", {"Accept": ACCEPTED}, limit=MANIFEST_LIMIT)
        if answer.status != 200:
            raise self.failure(answer.status, answer.headers, reference)
        digest = digest_of(answer.data)
        stated = answer.headers.get("Docker-Content-Digest", digest)
        wanted = reference if reference.startswith("sha256:") else digest
        if digest not in (wanted,) or (stated.startswith("sha256:") and stated != digest):
            raise wrong_bytes(self.host, wanted if wanted != digest else stated)
        return Fetched(answer.data, answer.headers.get("Content-Type", "").partition(";")[0].strip(), digest)

    def digest(self, reference: str) -> str:
        """The digest that a tag has now; of a registry that does not say, the manifest is fetched for it."""
        answer = self._fetch("HEAD", f"manifests/{reference}", {"Accept": ACCEPTED}, limit=_SMALL)
        stated = answer.headers.get("Docker-Content-Digest", "")
        return stated if answer.status == 200 and stated else self.manifest(reference).digest

    def small_blob(self, descriptor: Descriptor) -> bytes:
        """A blob that fits into memory, checked. Raises NotFound, InvalidInput."""
        answer = self._fetch("GET", f"blobs/{descriptor.digest}", {}, limit=descriptor.size)
        if answer.status != 200:
            raise self.failure(answer.status, answer.headers, descriptor.digest)
        if digest_of(answer.data) != descriptor.digest:
            raise wrong_bytes(self.host, descriptor.digest)
        return answer.data

    def open_blob(self, descriptor: Descriptor, offset: int) -> Response:
        """The blob from an offset on (206), or all of it (200). The caller closes it. Raises PaasError otherwise."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        url = self._url(f"blobs/{descriptor.digest}")
        for _ in range(_CHALLENGES):
            sent = self._authorizer.header
            response = self.transport.open(url, self._headers(url, headers))
            if response.status in (200, 206):
                self._authorizer.accepted()
                return response
            response.close()
            if response.status == 401 and self._authorizer.answer(_challenge(response.headers), sent):
                continue
            raise self.failure(response.status, response.headers, descriptor.digest)
        raise self.failure(401, {}, "")

    # -- pushing --------------------------------------------------------------------------------------------------

    def want_to_push(self) -> None:
        """Ask for a token that allows it, where the registry gives tokens."""
        self._authorizer.want(f"repository:{self.name}:pull,push")

    def has_blob(self, digest: str) -> bool:
        answer = self._fetch("HEAD", f"blobs/{digest}", {}, limit=_SMALL)
        if answer.status == 200:
            return True
        if answer.status == 404:
            return False
        raise self.failure(answer.status, answer.headers, digest)

    def begin_upload(self, mount: str = "", source: str = "") -> str | None:
        """Where to send a blob; None when the registry could take it (`mount`) from its repository `source`."""
        query = "?" + urlencode({"mount": mount, "from": source}) if mount else ""
        if source:
            self._authorizer.want(f"repository:{source}:pull")
        answer = self._fetch("POST", f"blobs/uploads/{query}", {"Content-Length": "0"}, limit=_SMALL)
        if answer.status == 201 and mount:
            return None
        if answer.status != 202:
            raise self.failure(answer.status, answer.headers, "an upload")
        return self.location(answer)

    def location(self, answer: Answer) -> str:
        """The address for the next request of an upload."""
        target = answer.headers.get("Location", "")
        if not target:
            raise InvalidInput(f"{self.host} does not say where to send the upload")
        return urljoin(self._base + "/", target)

    def upload(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """One request of an upload, once: whoever sends knows how to go on after a failure."""
        kind = {} if body is None else {"Content-Type": _BLOB_TYPE, "Content-Length": str(len(body))}
        return self._send(method, url, {**kind, **headers}, body, _SMALL, ())

    def put_manifest(self, reference: str, data: bytes, media_type: str) -> None:
        answer = self._fetch("PUT", f"manifests/{reference}", {"Content-Type": media_type}, limit=_SMALL, body=data)
        if answer.status not in (200, 201, 202):
            raise self.failure(answer.status, answer.headers, reference)

    # -- logging in -----------------------------------------------------------------------------------------------

    def ping(self) -> int:
        """The status of the registry's answer to who we are. Raises Denied, Unreachable."""
        return self._send("GET", f"{self._base}/", {}, None, _SMALL, None).status

    def get(self, url: str, *, limit: int) -> Answer:
        """What lies at an address of the registry, with who we are. Raises Denied, Unreachable."""
        return self._send("GET", url, {}, None, limit, None)

    # -- both -----------------------------------------------------------------------------------------------------

    def failure(self, status: int, headers: Mapping[str, str], what: str) -> PaasError:
        """The error for a status that was not hoped for."""
        name = f"{self.host}/{self.name}"
        match status:
            case 401:
                return refused(self.host, self._authorizer.login)
            case 403:
                return Denied(f"{self.host} does not allow this with {self.name}", hint=f"paas login {self.host}")
            case 404:
                return NotFound(f"{name} has no {shown(what, 80)}", hint="Are the name and the tag spelled right?")
            case 429:
                wait = retry_after(headers)
                hint = f"Try again in {wait} seconds." if wait is not None else "Try again later."
                return Conflict(f"{self.host} has had too many requests from here", hint=f"{hint} A login may help.")
            case 413:
                return Conflict(f"{self.host} finds this too large")
        return SystemFailure(f"{self.host} answers with status {status}", hint="Try again later.")

    def _fetch(
        self, method: str, path: str, headers: Mapping[str, str], *, limit: int, body: bytes | None = None
    ) -> Answer:
        return self._send(method, self._url(path), headers, body, limit, None)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limit: int,
        patience: tuple[float, ...] | None,
    ) -> Answer:
        for _ in range(_CHALLENGES):
            sent = self._authorizer.header
            answer = self.transport.fetch(
                method, url, self._headers(url, headers), limit=limit, body=body, patience=patience
            )
            if answer.status != 401:
                self._authorizer.accepted()
                return answer
            if not self._authorizer.answer(_challenge(answer.headers), sent):
                break
        raise self.failure(401, {}, "")

    def _headers(self, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        """With who we are, for the registry itself: an upload may go to another host."""
        known = self._authorizer.header
        return {**headers, **({"Authorization": known} if known and origin(url) == origin(self._base) else {})}

    def _url(self, path: str) -> str:
        return f"{self._base}/{self.name}/{path}"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def wrong_bytes(host: str, digest: str) -> InvalidInput:
    return InvalidInput(
        f"{host} sends something else than {shown(digest, 80)}; nothing of it was kept",
        hint="The registry, or something on the way to it, is broken or lies.",
    )


def _challenge(headers: Mapping[str, str]) -> str:
    """The one to answer: several may stand there, and of those a token is the better."""
    text = headers.get("WWW-Authenticate", "")
    token = _BEARER.search(text)
    return text[token.start(1) :] if token else text
