"""One app's broken configuration never holds up another's: it is found by testing, and left out."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence

from paas.errors import PaasError
from paas.paths import TEMPLATES
from paas.proxy.remembered import Remembered, Texts
from paas.routes import Route


class Isolation:
    """Remembers for each app the last route that nginx took."""

    def __init__(self, fallback: Callable[[Route], Route], good: Remembered) -> None:
        """`fallback` makes a route that nginx takes, for an app that has never had one."""
        self._fallback = fallback
        self._good = good
        self.refused: dict[str, str] = {}
        """Apps that have not got the configuration they ought to have, and what nginx said."""

    def accept(self, routes: Sequence[Route]) -> None:
        """nginx serves all of these."""
        self._good.keep({route.app: route for route in routes})
        self.refused = {}

    def without_the_broken(
        self, routes: Sequence[Route], problem: Callable[[Sequence[Route]], str | None], error: PaasError
    ) -> list[Route]:
        """These routes; in place of one that nginx refuses when tested alone, the app's last good one, or a page.

        Raises the error that nginx gave for all together when each is fine alone: then the fault is not an app's.
        """
        refused = dict(_broken(routes, problem))
        if not refused:
            raise error
        found: list[Route] = []
        for route in routes:
            if route.app not in refused:
                found.append(route)
                continue
            candidates = [self._good.routes.get(route.app), self._fallback(route)]
            usable = [each for each in candidates if each is not None and problem([each]) is None]
            found += usable[:1]
        self.refused = refused
        self._good.keep({route.app: route for route in found})
        return found


def _broken(routes: Sequence[Route], problem: Callable[[Sequence[Route]], str | None]) -> Iterator[tuple[str, str]]:
    """(app, what nginx says) of those it refuses alone: halves of halves are tested, so that few tests find one in
    thousands."""
    if not routes or (words := problem(routes)) is None:
        return
    if len(routes) == 1:
        yield routes[0].app, words
        return
    middle = len(routes) // 2
    yield from _broken(routes[:middle], problem)
    yield from _broken(routes[middle:], problem)


def digest_of(routes: Sequence[Route], http2: bool, texts: Texts) -> str:
    """What nginx's configuration depends on: the routes, what holds for all apps, and the templates."""
    parts = [*map(texts.of, routes), str(http2), _templates()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@functools.cache
def _templates() -> str:
    """They are read once for each engine, as by Jinja."""
    return "\n".join(path.read_text() for path in sorted(TEMPLATES.glob("*.conf.j2")))
