from __future__ import annotations

import pytest

from paas.errors import InvalidInput
from paas.image.reference import parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("debian", "debian:latest"),
        ("debian:bookworm", "debian:bookworm"),
        ("docker.io/debian", "debian:latest"),
        ("docker.io/library/debian", "debian:latest"),
        ("library/debian", "debian:latest"),
        ("index.docker.io/team/app:1", "team/app:1"),
        ("team/app", "team/app:latest"),
        ("registry.example.com/team/app:1.0", "registry.example.com/team/app:1.0"),
        ("localhost/app", "localhost/app:latest"),
        ("registry:5000/app", "registry:5000/app:latest"),
        ("a__b/c-d.e--f:T_1", "a__b/c-d.e--f:T_1"),
        (f"debian@{DIGEST}", f"debian@{DIGEST}"),
    ],
)
def test_familiar_form(text: str, familiar: str) -> None:
    assert str(parse(text)) == familiar
    assert parse(familiar) == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":tag",
        "Debian",
        "debian:",
        "debian: x",
        "a//b",
        "/a",
        "a/",
        "-a",
        "a..b",
        "a___b",
        "a@sha256:ab",
        "a@md5:" + "a" * 32,
        "a:" + "t" * 129,
        "b" * 256,
        "exa mple.com/a",
        "-x.com/a",
        "host:port/a",
        "../etc",
        "debian\n",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not an image reference") as refused:
        parse(text)
    assert refused.value.hint
