"""Commands as declared: each is explained, documented and parsed by its own examples."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from paas.commands.catalog import filled
from paas.commands.declare import Command
from paas.commands.docs import pages
from paas.commands.parsing import parse
from paas.errors import InvalidInput, UsageError

DOCS = Path(__file__).resolve().parents[2] / "docs"
CATALOG = filled()
COMMANDS = list(CATALOG)


def test_the_modules_fill_the_catalog() -> None:
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_every_command_is_explained(command: Command) -> None:
    assert command.summary.endswith(".")
    assert command.examples
    assert all(flag.help for flag in command.flags)


def test_the_docs_say_what_the_commands_do() -> None:
    """Write them anew with: python -m paas.commands.docs docs"""
    assert {path.name: path.read_text() for path in DOCS.glob("*.md")} == pages()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_its_examples_are_valid(command: Command) -> None:
    for example in command.examples:
        words = shlex.split(example.partition(" <")[0].partition(" >")[0].partition(" &&")[0])
        assert CATALOG.find(words[0]) is command
        parse(command, words[1:])


def test_unknown_words_get_near_matches() -> None:
    with pytest.raises(UsageError) as error:
        CATALOG.find("config:sett")
    assert "config:set" in str(error.value.hint)
    with pytest.raises(UsageError, match="no flag"):
        parse(CATALOG.find("apps:destroy"), ["--forse", "wiki"])


def test_too_few_and_too_many() -> None:
    command = CATALOG.find("apps:rename")
    with pytest.raises(UsageError, match="new-name"):
        parse(command, ["wiki"])
    with pytest.raises(UsageError, match="too many"):
        parse(command, ["wiki", "notes", "more"])


def test_the_words_of_a_run_are_left_alone() -> None:
    values = parse(CATALOG.find("run"), ["-e", "A=1", "--no-tty", "wiki", "ls", "-l", "--help"])
    assert (values["app_or_image"], values["command"], values["env"]) == ("wiki", ["ls", "-l", "--help"], ["A=1"])
    assert values["no_tty"]


def test_short_flags_are_written_together_and_with_their_values() -> None:
    values = parse(CATALOG.find("run"), ["-itd", "-p80:8080", "-eA=1", "--rm", "tiny:1", "-x", "-d"])
    assert values["interactive"] and values["tty"] and values["detach"] and values["rm"]
    assert (values["publish"], values["env"], values["command"]) == (["80:8080"], ["A=1"], ["-x", "-d"])
    with pytest.raises(UsageError, match="no flag"):
        parse(CATALOG.find("run"), ["-iq", "tiny:1"])


def test_a_number_may_follow_tail() -> None:
    logs = CATALOG.find("logs")
    assert parse(logs, ["--tail", "5", "shop"])["tail"] == parse(logs, ["--tail=5", "shop"])["tail"] == 5
    assert parse(logs, ["shop", "-t"])["tail"] is parse(logs, ["-t", "42"])["tail"] is True


def test_a_bad_format_is_refused() -> None:
    with pytest.raises(InvalidInput):
        parse(CATALOG.find("apps:list"), ["--format", "xml"])
