from __future__ import annotations

import pytest

from paas.errors import InvalidInput, NotFound
from paas.source.remotes import Login, Remote, branch, choose, parse_archive_address, parse_remote

A, B, C = "a" * 40, "b" * 40, "c" * 40


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("https://example.com/x.git", Remote("http", "https://example.com/x.git", "example.com")),
        ("http://h:81/x", Remote("http", "http://h:81/x", "h", 81)),
        ("https://u:p%40@h/x", Remote("http", "https://h/x", "h", None, Login("u", "p@"))),
        ("https://token@h/x", Remote("http", "https://h/x", "h", None, Login("token", ""))),
        ("git://h/x", Remote("git", "git://h/x", "h")),
        ("ssh://git@h:22/x", Remote("ssh", "ssh://git@h:22/x", "h", 22)),
        ("git@h.org:team/x.git", Remote("ssh", "git@h.org:team/x.git", "h.org")),
        ("file:///srv/x", Remote("file", "/srv/x", "")),
        ("/srv/x", Remote("file", "/srv/x", "")),
    ],
)
def test_addresses(text: str, remote: Remote) -> None:
    assert parse_remote(text, files=True) == remote


@pytest.mark.parametrize(
    "text",
    [
        *("", "-x", "x", "../x", "ext::sh -c id", "ext::x", "ftp://h/x", "https://", "https:///x", "https://-x/y"),
        *("ssh://-oProxyCommand=x/y", "-oX=y:z", "git@-h:x", "h:-x", "https://h/a b", "https://h/\nx", "https://h:x/y"),
        *("ssh://u:secret@h/x", "file://h/x", "fd::1", "https://h\\x/y"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_remote(text, files=True)
    assert "secret" not in f"{refused.value.message} {refused.value.hint}"


def test_files_are_for_admins_and_archives_for_http() -> None:
    for text in ("/srv/x", "file:///srv/x"):
        with pytest.raises(InvalidInput):
            parse_remote(text)
    for text in ("git://h/x", "ssh://h/x", "/srv/x", "file:///x"):
        with pytest.raises(InvalidInput):
            parse_archive_address(text)


@pytest.mark.parametrize("text", ["main", "v1.2", "feature/x_y", "1", "a@b", "x+y"])
def test_branches(text: str) -> None:
    assert branch(text) == text


@pytest.mark.parametrize(
    "text", ["", "-x", "a..b", "a b", "x.lock", "x.lock/y", "/x", "x/", "a//b", ".x", "HEAD", "a~1"]
)
def test_what_is_no_branch(text: str) -> None:
    with pytest.raises(InvalidInput):
        branch(text)


def test_what_a_server_has() -> None:
    symref = f"ref: refs/heads/trunk\tHEAD\n{A}\tHEAD\n{B}\trefs/heads/main\n{A}\trefs/heads/trunk\n"
    assert choose(symref, None).branch == "trunk"
    assert choose(f"{A}\tHEAD\n{B}\trefs/heads/main\n{A}\trefs/heads/old\n", None).branch == "old"
    assert choose(f"{A}\tHEAD\n{A}\trefs/heads/main\n{A}\trefs/heads/a\n", None).branch == "main"
    assert choose(f"{B}\trefs/heads/main\n{A}\trefs/heads/a\n", None).branch == "main"
    both = f"{A}\trefs/heads/v1\n{B}\trefs/tags/v1\n{C}\trefs/tags/v1^{{}}\n"
    assert choose(both, "v1").branch == "v1"
    assert choose(f"{B}\trefs/tags/v1\n", "v1").name == "refs/tags/v1"
    for answer, ref in (
        ("", None),
        ("rubbish", None),
        (f"{A}\trefs/heads/other\n", "x"),
        (f"{A}\trefs/heads/a/x\n", "x"),
    ):
        with pytest.raises(NotFound):
            choose(answer, ref)
