from __future__ import annotations

import pytest

from paas.errors import InvalidInput, PaasError, UsageError
from paas.ssh.request import Command, GitRequest, parse


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("apps:list", ("apps:list",)),
        ("", ("help",)),
        ("   ", ("help",)),
        ("config:set wiki A='b c' \"D=$E\"", ("config:set", "wiki", "A=b c", "D=$E")),
        ("run wiki sh -c 'echo; ls | wc'", ("run", "wiki", "sh", "-c", "echo; ls | wc")),
        ("git:report wiki", ("git:report", "wiki")),
        ("git status", ("git", "status")),
        ("scp -t /", ("scp", "-t", "/")),
    ],
)
def test_commands(text: str, argv: tuple[str, ...]) -> None:
    assert parse(text) == Command(argv)


@pytest.mark.parametrize(
    "text",
    [
        "git-receive-pack 'wiki'",
        "git-receive-pack '/wiki'",
        "git-receive-pack 'wiki.git'",
        "git-receive-pack '/wiki.git/'",
        'git-receive-pack "wiki"',
        "git-receive-pack wiki",
        "git receive-pack 'wiki'",
    ],
)
def test_git(text: str) -> None:
    request = parse(text)
    assert isinstance(request, GitRequest)
    assert (request.service, request.app) == ("git-receive-pack", "wiki")


@pytest.mark.parametrize("path", ["../wiki", "wiki/../x", "/etc/passwd", "", "-u", "~root", "a b", "Wiki", "x\0y"])
def test_paths_are_not_apps(path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(f"git-upload-pack '{path}'")
    assert refused.value.hint


@pytest.mark.parametrize("text", ["echo 'x", "git-upload-archive wiki", "git-receive-pack", "git-upload-pack --x wiki"])
def test_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_anything_is_an_answer_or_our_error() -> None:
    for text in ("\0", "\\", "a\\", "'", '"', "git", "git-receive-pack '\udcff'", "\ud800"):
        try:
            parse(text)
        except PaasError:
            pass
