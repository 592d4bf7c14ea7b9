"""What the front door asks the engine, over its socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from paas import wire
from paas.errors import SystemFailure


class Engine:
    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, request: wire.Frame, descriptors: tuple[int, ...] = ()) -> socket.socket:
        """Begin a request. Raises SystemFailure when the engine does not answer."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self._path))
            wire.send(connection, request, descriptors)
        except (OSError, wire.WireError) as error:
            connection.close()
            raise SystemFailure("The paas engine does not answer", hint="Try again in a moment.") from error
        return connection

    def ask(self, request: wire.Frame) -> dict[str, Any]:
        """A request that is answered by one frame."""
        with self.open(request) as connection:
            connection.settimeout(60)
            try:
                answer = wire.receive(connection)
            except (OSError, wire.WireError) as error:
                raise SystemFailure("The paas engine does not answer") from error
        if answer is None:
            raise SystemFailure("The paas engine does not answer")
        frame, descriptors = answer
        for descriptor in descriptors:
            os.close(descriptor)
        return frame

    @property
    def path(self) -> str:
        return str(self._path)
