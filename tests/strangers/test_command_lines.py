"""Whatever a client types is understood, or refused as a mistake of its own."""

from __future__ import annotations

import shlex

from hypothesis import given, settings
from hypothesis import strategies as st

from paas.commands.catalog import filled
from paas.commands.declare import Command as Declared
from paas.commands.parsing import parse as parse_words
from paas.errors import PaasError
from paas.ssh.request import Command, GitRequest, parse

from .words import WORD

COMMANDS = list(filled())


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40) | st.lists(WORD, max_size=6).map(shlex.join))
def test_the_command_of_an_ssh_client(text: str) -> None:
    try:
        found = parse(text)
    except PaasError as error:
        assert error.message
        return
    assert isinstance(found, Command | GitRequest)
    if isinstance(found, GitRequest):
        assert found.app.isascii() and "/" not in found.app and not found.app.startswith(("-", "."))


@settings(max_examples=300, deadline=None)
@given(command=st.sampled_from(COMMANDS), words=st.lists(WORD, max_size=6))
def test_the_words_of_any_command(command: Declared, words: list[str]) -> None:
    """They are understood, or refused as a mistake of the caller's."""
    try:
        parse_words(command, words)
    except PaasError as error:
        assert error.message and error.exit_code
