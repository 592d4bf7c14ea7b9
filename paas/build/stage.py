"""One stage of a build while its instructions are carried out: layers, config and variables so far."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from paas.build import keys
from paas.build.dockerfile.errors import DockerfileError, Span
from paas.build.dockerfile.expansion import ExpansionError, expand, expand_words
from paas.build.dockerfile.parser import Dockerfile
from paas.build.layering import EMPTY
from paas.model import HistoryEntry, ImageConfig, Layer

DEFAULT_SHELL = ("/bin/sh", "-c")


@dataclass(slots=True)
class Stage:
    """Changed by one instruction after the other."""

    dockerfile: Dockerfile
    created: str
    """RFC 3339; '' for the image's own time, which is known at the end."""
    layers: list[Layer] = field(default_factory=list)
    config: ImageConfig = field(default_factory=ImageConfig)
    history: list[HistoryEntry] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)
    """Build arguments declared in this stage, with their values."""
    shell: tuple[str, ...] = DEFAULT_SHELL
    cmd_is_own: bool = False
    """Whether CMD was set in this stage: ENTRYPOINT resets one that was inherited."""

    @property
    def variables(self) -> dict[str, str]:
        """What `$X` may refer to; ENV wins over ARG."""
        return {**self.arguments, **self.config.env}

    @property
    def chain(self) -> str:
        return keys.chain(layer.id for layer in self.layers)

    def set(self, **changes: Any) -> None:
        self.config = replace(self.config, **changes)

    def add(self, layers: Sequence[Layer], created_by: str) -> None:
        """Put a step's layers on top and note them; one without content leaves only the note."""
        for number, layer in enumerate(layers):
            empty = layer.id == EMPTY
            if not empty:
                self.layers.append(layer)
            if not empty or number == 0:
                self.note(created_by if number == 0 else f"{created_by} # what changed", empty_layer=empty)

    def note(self, created_by: str, *, empty_layer: bool = True) -> None:
        self.history.append(HistoryEntry(self.created, created_by, empty_layer))

    def expand(self, word: str, span: Span) -> str:
        """Raises DockerfileError."""
        try:
            return expand(word, self.variables, self.dockerfile.text.escape)
        except ExpansionError as error:
            raise self.error(span, error.message) from None

    def expand_words(self, word: str, span: Span) -> list[str]:
        try:
            return expand_words(word, self.variables, self.dockerfile.text.escape)
        except ExpansionError as error:
            raise self.error(span, error.message) from None

    def expand_body(self, text: str, span: Span) -> str:
        """A here-document: variables are replaced, quotes stay."""
        try:
            return expand(text, self.variables, "\\", keep_quotes=True)
        except ExpansionError as error:
            raise self.error(span, error.message) from None

    def absolute(self, path: str) -> str:
        """A path in the image; relative ones start at WORKDIR. A trailing slash is kept."""
        joined = posixpath.normpath(posixpath.join("/", self.config.workdir, path))
        joined = "/" + joined.lstrip("/")
        return joined + "/" if path.endswith(("/", "/.")) and joined != "/" else joined

    def error(self, span: Span, message: str, hint: str | None = None) -> DockerfileError:
        return self.dockerfile.error(span, message, hint)
