"""The keys that leave a container's terminal without ending it: ctrl-p, then ctrl-q, as in Docker."""

from __future__ import annotations

KIND = "container"
"""The kind of attachment that can be left so."""
_FIRST, _SECOND = b"\x10", b"\x11"


class DetachKeys:
    """Looks through what is typed. The first key is held back until the next shows what was meant."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what is to be passed on, whether the keys were typed). What follows the keys is dropped."""
        text = self._held + data
        before, keys, _ = text.partition(_FIRST + _SECOND)
        if keys:
            self._held = b""
            return before, True
        self._held = _FIRST if text.endswith(_FIRST) else b""
        return text[: len(text) - len(self._held)], False
