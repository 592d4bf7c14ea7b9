"""The build checks: what each warns of, and of what it does not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.build.dockerfile.checks import CheckSettings, check, check_settings
from paas.build.dockerfile.errors import DockerfileError
from paas.build.dockerfile.parser import parse
from paas.build.dockerfile.references import is_reference

NOTHING: Mapping[str, str] = {}


def found(text: str, arguments: Mapping[str, str] = NOTHING, *, ignored: str | None = None) -> list[tuple[int, str]]:
    warnings = check(parse(text.encode()), arguments, None if ignored is None else ignored.split().__contains__)
    return [(warning.span.first, warning.rule) for warning in warnings]


@pytest.mark.parametrize(
    ("rule", "text", "lines"),
    [
        ("StageNameCasing", "FROM x AS Base", [1]),
        ("StageNameCasing", "FROM x AS base\nFROM base AS b.C", [2]),
        ("FromAsCasing", "FROM x as base", [1]),
        ("FromAsCasing", "from x AS base", [1]),
        ("FromAsCasing", "from --platform=$BUILDPLATFORM x As base", [1]),
        ("FromAsCasing", "FROM x AS base\nfrom base as b", []),
        ("FromAsCasing", "From x aS base", []),
        ("NoEmptyContinuation", "FROM x\nRUN a \\\n\n  b \\\n# comment\n  c", [3]),
        ("NoEmptyContinuation", "FROM x\nRUN a \\\n# comment\n  b\n\nRUN c", []),
        ("ConsistentInstructionCasing", "FROM x\nrun a\nRUN b", [2]),
        ("ConsistentInstructionCasing", "from x\nrun a\nRUN b", [3]),
        ("ConsistentInstructionCasing", "FROM x\nRun a", [2]),
        ("ConsistentInstructionCasing", "from x\nRUN a", [1]),
        ("ConsistentInstructionCasing", "arg a\nFROM x\nRUN b", []),
        ("DuplicateStageName", "FROM x AS a\nFROM y AS A\nFROM z AS b", [2]),
        ("ReservedStageName", "FROM x AS scratch\nFROM y AS Context\nFROM z AS contexts", [1, 2]),
        ("JSONArgsRecommended", "FROM x\nCMD a\nENTRYPOINT b", [2, 3]),
        ("JSONArgsRecommended", 'FROM x\nCMD ["a"]\nHEALTHCHECK CMD b', []),
        ("JSONArgsRecommended", 'FROM x AS a\nSHELL ["sh", "-c"]\nCMD a\nFROM a\nCMD b', []),
        ("MaintainerDeprecated", "FROM x\nMAINTAINER me", [2]),
        ("UndefinedArgInFrom", "ARG a=b\nFROM x:$a$b", [2]),
        ("UndefinedArgInFrom", "FROM --platform=$BULIDPLATFORM x", [1]),
        ("UndefinedArgInFrom", "ARG a\nFROM --platform=$BUILDPLATFORM x$a${TARGETARCH}", []),
        ("UndefinedArgInFrom", "FROM x AS a\nARG b=1\nFROM y$b", [3]),
        ("WorkdirRelativePath", "FROM x\nWORKDIR app\nWORKDIR more", [2]),
        ("WorkdirRelativePath", "FROM x AS a\nWORKDIR /app\nWORKDIR sub\nFROM a\nWORKDIR sub", []),
        ("WorkdirRelativePath", "FROM x\nENV A=/a B=b\nWORKDIR $A", []),
        ("WorkdirRelativePath", "FROM x\nENV A=/a B=b\nWORKDIR $B", [3]),
        ("UndefinedVar", "FROM x\nCOPY $foo .\nARG foo\nCOPY $foo .", [2]),
        ("UndefinedVar", "FROM x\nENV A=$PATH:$A B=$A", [2]),
        ("UndefinedVar", "FROM x\nENV A=1\nENV B=$A C=${A:-$C}", [3]),
        ("UndefinedVar", "FROM x AS a\nARG foo=1\nENV bar=2\nFROM a\nCOPY $foo $bar", []),
        ("UndefinedVar", "FROM x\nUSER $u\nWORKDIR /$w\nVOLUME /$v\nSTOPSIGNAL $s\nLABEL a=$l", [2, 3, 4, 5, 6]),
        ("UndefinedVar", "FROM x\nRUN $a\nCMD $a\nENTRYPOINT $a\nHEALTHCHECK CMD $a\nONBUILD COPY $a b", []),
        ("UndefinedVar", "FROM x\nCOPY '$a' \\$b c", []),
        ("UndefinedVar", "FROM x\nCOPY <<E /\n$a '$b'\nE", [2, 2]),
        ("UndefinedVar", "FROM x\nCOPY <<'E' /\n$a\nE", []),
        ("UndefinedVar", "FROM x\nCOPY --chown=$u --exclude=x b c", [2]),
        ("UndefinedVar", "FROM x\nCOPY ${a b", []),
        ("MultipleInstructionsDisallowed", 'FROM x\nCMD ["a"]\nRUN b\nCMD ["c"]', [2]),
        ("MultipleInstructionsDisallowed", "FROM x\nHEALTHCHECK NONE\nHEALTHCHECK CMD a\nHEALTHCHECK CMD b", [2, 3]),
        ("MultipleInstructionsDisallowed", 'FROM x AS a\nENTRYPOINT ["a"]\nFROM a\nENTRYPOINT ["b"]', []),
        ("LegacyKeyValueFormat", "FROM x\nENV a b\nLABEL c d\nENV e=f", [2, 3]),
        ("RedundantTargetPlatform", "FROM --platform=$TARGETPLATFORM x", [1]),
        ("RedundantTargetPlatform", "FROM --platform=${TARGETPLATFORM} x", [1]),
        ("RedundantTargetPlatform", "FROM --platform=$BUILDPLATFORM x", []),
        ("RedundantTargetPlatform", "FROM --platform=$TARGETOS/$TARGETARCH x", []),
        (
            "SecretsUsedInArgOrEnv",
            "FROM x\nARG SECRET_PASSPHRASE\nENV SUPER_Secret=a\nENV apikey=a git_key=",
            [2, 3, 4, 4],
        ),
        ("SecretsUsedInArgOrEnv", "FROM x\nARG auth\nENV GITHUB_TOKEN x", [2, 3]),
        ("SecretsUsedInArgOrEnv", "FROM x\nARG PUBLIC_KEY\nENV TOKEN_FILE=a monkey=b authors=c KEY_VERSION=d", []),
        ("InvalidDefaultArgInFrom", "ARG VERSION\nFROM x:$VERSION", [2]),
        ("InvalidDefaultArgInFrom", "ARG IMAGE\nFROM $IMAGE", [2]),
        ("InvalidDefaultArgInFrom", 'ARG SFX="box:"\nFROM busy${SFX}', [2]),
        ("InvalidDefaultArgInFrom", "ARG IMAGE\nFROM ${IMAGE:?which}", []),
        ("InvalidDefaultArgInFrom", "ARG V=1 W=$V.2\nFROM x:$W\nFROM x${Y}\nFROM scratch", []),
        ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/amd64 x", [1]),
        ("FromPlatformFlagConstDisallowed", "FROM --platform=arm64 x AS base", [1]),
        ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/amd64 x AS build_amd64", []),
        ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/$TARGETARCH x\nFROM --platform=a/b/c/d y", []),
        ("ExposeProtoCasing", "FROM x\nEXPOSE 80/TCP 81/udp\nEXPOSE 82/Udp", [2, 3]),
        ("ExposeInvalidFormat", "FROM x\nEXPOSE 127.0.0.1:80:80\nEXPOSE 80:80/tcp\nEXPOSE 80 81-82", [2, 3]),
    ],
)
def test_rules(rule: str, text: str, lines: list[int]) -> None:
    assert [line for line, each in found(text) if each == rule] == lines


def test_a_clean_file_has_no_warnings() -> None:
    text = '# syntax=docker/dockerfile:1\nARG V=1\nFROM x:$V AS a\n# a note\nWORKDIR /a\nCOPY . .\nRUN $b\nCMD ["c"]\n'
    assert found(text) == []


def test_the_texts_name_file_and_line() -> None:
    warnings = check(parse(b"FROM x as B\nENV a b\n", "sub/Dockerfile"), NOTHING)
    assert [warning.text for warning in warnings] == [
        "sub/Dockerfile:1: FromAsCasing: 'as' and 'FROM' keywords' casing do not match",
        "sub/Dockerfile:1: StageNameCasing: Stage name 'B' should be lowercase",
        'sub/Dockerfile:2: LegacyKeyValueFormat: "ENV key=value" should be used instead of '
        'legacy "ENV key value" format',
    ]


def test_what_was_meant_is_told() -> None:
    texts = [warning.message for warning in check(parse(b"FROM x:$TARGETARHC\nENV PATH=$PAHT\n"), NOTHING)]
    assert any("(did you mean TARGETARCH?)" in text for text in texts)
    assert any("'$PAHT' (did you mean $PATH?)" in text for text in texts)


def test_copied_files_that_are_ignored() -> None:
    text = "FROM x AS a\nCOPY b c d/\nADD ./sub/../b /e\nADD https://h/b f\nCOPY --from=a b g\nCOPY <<b h\nb\nCOPY . i"
    assert found(text, ignored="b sub/b") == [(2, "CopyIgnoredFile"), (3, "CopyIgnoredFile")]
    assert found(text) == []


def test_comments_that_are_meant_as_descriptions() -> None:
    top = "# check=experimental=InvalidDefinitionDescription\n"
    bad = "# bar\nARG foo=1\n# BasE this\nFROM x AS base\n# no\nARG a b\n"
    rule = "InvalidDefinitionDescription"
    assert found(top + bad) == [(3, rule), (5, rule), (7, rule)]
    assert found(bad) == []
    assert (
        found(top + "ARG foo=1\n# foo is this\nARG foo\n# anything\n\nFROM x AS base\n# b is\nARG a b\n# x\n#\nARG c")
        == []
    )


def test_variables_of_images() -> None:
    parsed = parse(b"FROM known\nCOPY $HOME .\nCOPY $HOEM .\nFROM unknown\nCOPY $ANY .\nFROM scratch\nCOPY $HOME .")
    images = {"known": ("HOME",), "unknown": None}
    warnings = check(parsed, NOTHING, image_variables=images.get)
    assert [(warning.span.first, warning.rule) for warning in warnings] == [(3, "UndefinedVar"), (7, "UndefinedVar")]


def test_arguments_of_the_build_count() -> None:
    text = "ARG V\nFROM x:1$V\nARG dir\nWORKDIR $dir"
    assert found(text, {"dir": "/a"}) == []
    assert found(text, {"dir": "a"}) == [(4, "WorkdirRelativePath")]


@pytest.mark.parametrize(
    "text",
    [
        "FROM x\nENV TOKEN hunter2\nWORKDIR $TOKEN\nEXPOSE $TOKEN:80\nCOPY $TOKEN $NONE",
        "ARG TOKEN=hunter2\nFROM --platform=$TOKEN x:$TOKEN AS A\nARG TOKEN\nEXPOSE 80/$TOKEN\nUSER $TOKEN$NONE",
    ],
)
def test_no_value_is_ever_shown(text: str) -> None:
    warnings = check(parse(text.encode()), {"TOKEN": "Hunter2"}, lambda path: True)
    assert warnings and not any("hunter2" in warning.text.lower() for warning in warnings)


ALL_WRONG = "FROM x as Base\nENV a b\n"


@pytest.mark.parametrize(
    ("directive", "argument", "rules"),
    [
        ("", None, ["FromAsCasing", "StageNameCasing", "LegacyKeyValueFormat"]),
        ("# check=skip=all", None, []),
        ("#check = skip=all;error=true", None, []),
        ("# check=skip=FromAsCasing, StageNameCasing", None, ["LegacyKeyValueFormat"]),
        ("# check=skip=Other", None, ["FromAsCasing", "StageNameCasing", "LegacyKeyValueFormat"]),
        ("# check=error=true", "skip=all", []),
        ("# check=skip=all", "skip=LegacyKeyValueFormat", ["FromAsCasing", "StageNameCasing"]),
        ("# check=skip=all", "", ["FromAsCasing", "StageNameCasing", "LegacyKeyValueFormat"]),
        ("# check=skip=all;experimental=all", None, []),
    ],
)
def test_rules_are_skipped(directive: str, argument: str | None, rules: list[str]) -> None:
    arguments = {} if argument is None else {"BUILDKIT_DOCKERFILE_CHECK": argument}
    assert [rule for _, rule in found(f"{directive}\n{ALL_WRONG}", arguments)] == rules


@pytest.mark.parametrize(
    ("value", "settings"),
    [
        ("error=true", CheckSettings(error=True)),
        ("skip=A,B ; error = 1", CheckSettings(frozenset("AB"), error=True)),
        ("error=False;experimental=all", CheckSettings(experimental=frozenset({"all"}))),
    ],
)
def test_settings(value: str, settings: CheckSettings) -> None:
    parsed = parse(f"# check={value}\nFROM x".encode())
    assert check_settings(parsed.text, {}) == settings
    assert check_settings(parse(b"FROM x").text, {"BUILDKIT_DOCKERFILE_CHECK": value}) == settings


@pytest.mark.parametrize("value", ["all", "skpi=A", "error=maybe", "skip=A;", "=A"])
def test_settings_that_are_wrong(value: str) -> None:
    with pytest.raises(DockerfileError, match=":2: check: "):
        check(parse(f"# syntax=x\n# check={value}\nFROM x".encode()), {})
    with pytest.raises(DockerfileError, match="BUILDKIT_DOCKERFILE_CHECK: "):
        check(parse(b"FROM x"), {"BUILDKIT_DOCKERFILE_CHECK": value})


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("debian", True),
        ("debian:bookworm-slim", True),
        ("library/debian", True),
        ("ghcr.io/a/b_c__d-e--f:V1.0", True),
        ("localhost/a", True),
        ("host:5000/a:b", True),
        ("Host/a", True),
        ("[::1]:80/a", True),
        ("a@sha256:" + "0" * 64, True),
        ("a:b@sha256:" + "0" * 64, True),
        ("", False),
        ("a:", False),
        ("a:b:c", False),
        ("Debian", False),
        ("a/B", False),
        ("a//b", False),
        ("/a", False),
        ("a/", False),
        ("a b", False),
        ("a..b", False),
        ("a___b", False),
        ("-a.b/c", False),
        ("a:" + "b" * 129, False),
        ("a@sha256:0", False),
        ("0" * 64, False),
        ("a" * 256, False),
    ],
)
def test_names_of_images(name: str, valid: bool) -> None:
    assert is_reference(name) == valid


@given(st.text("aA0.:/@-_", max_size=300))
def test_any_name_of_an_image_is_valid_or_not(name: str) -> None:
    is_reference(name)
