"""Stages, instructions, and errors that show the line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.build.dockerfile import grammar
from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.checks import check
from paas.build.dockerfile.durations import seconds
from paas.build.dockerfile.errors import DockerfileError
from paas.build.dockerfile.parser import parse, parse_trigger
from paas.build.plan import bases, find_stage
from paas.errors import PaasError
from paas.model import Healthcheck


def only(text: str) -> ins.Instruction:
    return parse(f"FROM scratch\n{text}".encode()).stages[0].instructions[0]


def test_stages_and_what_stands_before_them() -> None:
    parsed = parse(b"ARG a=1 b\nARG c\nfrom --platform=$p one AS First\nrun x\nFROM two\n")
    assert [arg.arguments for arg in parsed.global_args] == [(("a", "1"), ("b", None)), (("c", None),)]
    first, second = parsed.stages
    assert (first.base.image, first.base.platform, first.name) == ("one", "$p", "first")
    assert (second.base.image, second.name, second.index, second.instructions) == ("two", None, 1, ())
    assert isinstance(first.instructions[0], ins.Run) and first.instructions[0].source == "run x"


def test_the_last_stage_of_a_name_is_meant() -> None:
    parsed = parse(b"FROM a AS x\nFROM b AS X\nFROM x\n")
    assert (find_stage(parsed, "X", 2), find_stage(parsed, "x", 1)) == (1, 0)
    assert bases(parsed, 2, str) == {1: None, 2: 1}


def test_only_needed_stages_are_built() -> None:
    text = b"FROM a AS one\nFROM b AS two\nFROM one AS three\nCOPY --from=two /x /y\nFROM c\nCOPY --from=three / /\n"
    parsed = parse(text + b"FROM d AS unused\n")
    assert bases(parsed, 3, str) == {0: None, 1: None, 2: 0, 3: None}
    assert bases(parsed, 4, str) == {4: None}
    assert (find_stage(parsed, "TWO", 3), find_stage(parsed, "1", 3), find_stage(parsed, "three", 2)) == (1, 1, None)
    assert (parsed.similar_stage("THRE"), parsed.similar_stage("zzz")) == ("Did you mean three?", None)


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ('["a", "b c"]', ("a", "b c")),
        ('  [ "a" ]  ', ("a",)),
        ('["\\u00e9\\n"]', ("é\n",)),
        ('["\\ud800"]', ("\ufffd",)),
        ("[]", ()),
        ("a b", "a b"),
        ("a  'b'", "a  'b'"),
        ("['a']", "['a']"),
        ('["a"] b', '["a"] b'),
        ('["a",]', '["a",]'),
        ("[ -f a ]", "[ -f a ]"),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_forms_of_commands(rest: str, words: tuple[str, ...] | str) -> None:
    expected = ins.CommandForm((words,), True) if isinstance(words, str) else ins.CommandForm(words, False)
    cmd, entrypoint = only(f"CMD {rest}"), only(f"ENTRYPOINT {rest}")
    assert isinstance(cmd, ins.Cmd) and isinstance(entrypoint, ins.Entrypoint)
    assert cmd.command == entrypoint.command == expected


@pytest.mark.parametrize(
    ("rest", "pairs", "legacy"),
    [
        ("A=1 B='x y' C=z\\ z", [("A", "1"), ("B", "'x y'"), ("C", "z\\ z")], False),
        ('A="x\\"y z"', [("A", '"x\\"y z"')], False),
        ("A='x\\' B=2", [("A", "'x\\'"), ("B", "2")], False),
        ("A= B=''", [("A", ""), ("B", "''")], False),
        ("A=b=c", [("A", "b=c")], False),
        ("'A b'=c", [("'A b'", "c")], False),
        ("A=1\\", [("A", "1")], False),
        ("A one two", [("A", "one two")], True),
        ("A \t one=two  three ", [("A", "one=two  three")], True),
        ("A 'one'", [("A", "'one'")], True),
    ],
)
def test_pairs(rest: str, pairs: list[tuple[str, str]], legacy: bool) -> None:
    for keyword in ("ENV", "LABEL"):
        found = only(f"{keyword} {rest}")
        assert isinstance(found, ins.Pairs)
        assert (found.pairs, found.legacy) == (tuple(pairs), legacy)


@pytest.mark.parametrize(
    ("rest", "arguments"),
    [
        ("a", [("a", None)]),
        ("a=", [("a", "")]),
        ("a=1 b c='x y'", [("a", "1"), ("b", None), ("c", "'x y'")]),
        ("my-arg.x=$a", [("my-arg.x", "$a")]),
    ],
)
def test_arguments(rest: str, arguments: list[tuple[str, str | None]]) -> None:
    found = only(f"ARG {rest}")
    assert isinstance(found, ins.Arg) and found.arguments == tuple(arguments)


@pytest.mark.parametrize(
    ("rest", "sources", "destination"),
    [
        ("a b", ("a",), "b"),
        ("a\tb  c/", ("a", "b"), "c/"),
        ('["a b", "c d"]', ("a b",), "c d"),
        ("'a b' c", ("'a", "b'"), "c"),
        ("a\\ b c", ("a\\", "b"), "c"),
        ("-- --from b", ("--from",), "b"),
        ("<<E a b/\nE", ("a",), "b/"),
    ],
)
def test_copy_words(rest: str, sources: tuple[str, ...], destination: str) -> None:
    for keyword in ("COPY", "ADD"):
        found = only(f"{keyword} {rest}")
        assert isinstance(found, ins.Copy)
        assert (found.sources, found.destination) == (sources, destination)


def test_copy_flags() -> None:
    flags = "--from=x --chown=a:b --chmod='7'55 --exclude=*.a --exclude=\"b c\" --parents --link=FALSE"
    copy = only(f"COPY {flags} a b")
    assert isinstance(copy, ins.Copy) and not isinstance(copy, ins.Add)
    assert (copy.from_stage, copy.chown, copy.chmod) == ("x", "a:b", "755")
    assert (copy.exclude, copy.parents, copy.link) == (("*.a", "b c"), True, False)
    add = only("ADD --checksum=sha256:x --keep-git-dir --link --exclude=y --unpack=false a b")
    assert isinstance(add, ins.Add)
    assert (add.checksum, add.keep_git_dir, add.link, add.exclude, add.unpack) == (
        "sha256:x",
        True,
        True,
        ("y",),
        False,
    )
    unpack = [only(f"ADD {flag} a b") for flag in ("", "--unpack", "--unpack=True")]
    assert [add.unpack for add in unpack if isinstance(add, ins.Add)] == [None, True, True]


def test_run_flags() -> None:
    run = only("RUN --network=none --security=insecure --mount=type=cache,target=/a --mount=target=/b echo --x")
    assert isinstance(run, ins.Run)
    assert (run.network, run.security, run.command.words) == ("none", "insecure", ("echo --x",))
    assert [mount["target"] for mount in run.mounts] == ["/a", "/b"]
    plain = only("RUN true")
    assert isinstance(plain, ins.Run) and (plain.network, plain.security, plain.mounts) == ("default", "sandbox", ())


def test_one_word_and_lists() -> None:
    words = [only(f"{keyword} a  b ") for keyword in ("WORKDIR", "USER", "STOPSIGNAL", "MAINTAINER")]
    assert [word.value for word in words if isinstance(word, ins.Word)] == ["a  b"] * 4
    expose, volume, listed, shell = only("EXPOSE 1 $A\t2/udp"), only("VOLUME /a /b"), only('VOLUME ["/a b"]'), None
    assert isinstance(expose, ins.Expose) and expose.ports == ("1", "$A", "2/udp")
    assert isinstance(volume, ins.Volume) and volume.paths == ("/a", "/b")
    assert isinstance(listed, ins.Volume) and listed.paths == ("/a b",)
    shell = only('SHELL ["/bin/bash", "-c"]')
    assert isinstance(shell, ins.Shell) and shell.words == ("/bin/bash", "-c")


@pytest.mark.parametrize(
    ("rest", "check"),
    [
        ("NONE", Healthcheck(("NONE",))),
        ("cmd a b", Healthcheck(("CMD-SHELL", "a b"))),
        ('CMD ["a", "b"]', Healthcheck(("CMD", "a", "b"))),
        ("--interval=1m30s --timeout=0s --retries=2 CMD a", Healthcheck(("CMD-SHELL", "a"), 90.0, retries=2)),
        ("--start-period=5s CMD a", Healthcheck(("CMD-SHELL", "a"), start_period=5.0)),
        ("--start-interval=1s CMD a", Healthcheck(("CMD-SHELL", "a"), start_interval=1.0)),
        ("--retries=0 CMD a", Healthcheck(("CMD-SHELL", "a"))),
    ],
)
def test_healthchecks(rest: str, check: Healthcheck) -> None:
    found = only(f"HEALTHCHECK {rest}")
    assert isinstance(found, ins.Healthcheck)
    assert found.check == check


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500ms", 0.5),
        ("1h1m1.5s", 3661.5),
        (".5s", 0.5),
        ("+1s", 1.0),
        ("0", 0.0),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("x", None),
        ("", None),
        ("1", None),
        ("-1s", None),
        (".s", None),
        ("1s ", None),
        ("٣s", None),
        ("9" * 400 + "s", None),
    ],
)
def test_durations(text: str, value: float | None) -> None:
    assert seconds(text) == pytest.approx(value)


def test_triggers_are_kept_with_their_heredocs() -> None:
    found = only("ONBUILD RUN <<A cat <<-'B'\n1\nA\n\t2\nB")
    assert isinstance(found, ins.Onbuild) and found.trigger == "RUN <<A cat <<-'B'\n1\nA\n2\nB"
    trigger = parse_trigger(found.trigger)
    assert isinstance(trigger, ins.Run)
    assert trigger.heredocs == (ins.Heredoc("A", "1\n", True), ins.Heredoc("B", "2\n", False))
    copy = parse_trigger("COPY --from=stage a b")
    assert isinstance(copy, ins.Copy) and copy.from_stage == "stage"
    for text in ("", "RUN a\nRUN b", "FROM x", "ONBUILD RUN x", "MAINTAINER x", "RUN <<A"):
        with pytest.raises(DockerfileError):
            parse_trigger(text)


@pytest.mark.parametrize(
    ("text", "line", "words", "hint"),
    [
        ("", 1, "no FROM", "FROM debian"),
        ("ARG x", 1, "no FROM", None),
        ("RUN y", 1, "before the first FROM", "ARG"),
        ("FROM x\nRNU y", 2, "'RNU' is not an instruction", "RUN"),
        ("FROM x\n\\\n\n", 2, "continues nothing", None),
        ("FROM", 1, "needs an image", None),
        ("FROM x y", 1, "AS and a name", None),
        ("FROM x TO y", 1, "AS and a name", None),
        ("FROM x AS y z", 1, "AS and a name", None),
        ("FROM x AS 1y", 1, "stage's name", "begins with a letter"),
        ("FROM --platfrom=x y", 1, "no flag --platfrom", "--platform"),
        ("FROM --platform y", 1, "needs a value", None),
        ("FROM x\nCOPY a", 2, "at least one source", None),
        ("FROM x\nCOPY a <<E\nE", 2, "cannot be the destination", None),
        ('FROM x\nCOPY ["a", 1]', 2, "strings only", None),
        ("FROM x\nCOPY --from=a:$V b c", 2, "--from cannot contain variables", "AS name"),
        ("FROM x\nCOPY --form=a b c", 2, "no flag --form", "--from"),
        ("FROM x\nCOPY --unpack a b", 2, "no flag --unpack", None),
        ("FROM x\nCOPY --link=maybe a b", 2, "true or false", None),
        ("FROM x\nCOPY --link --link a b", 2, "given twice", None),
        ("FROM x\nCOPY --chown=a --chown=b a b", 2, "given twice", None),
        ("FROM x\nADD --from=a b c", 2, "no flag --from", None),
        ("FROM x\nRUN", 2, "needs a command", None),
        ("FROM x\nRUN []", 2, "needs a command", None),
        ('FROM x\nRUN ["a", null]', 2, "strings only", None),
        ("FROM x\nRUN --mont=type=cache y", 2, "no flag --mont", "--mount"),
        ("FROM x\nRUN --network=hots y", 2, "--network=hots is not known", "host"),
        ("FROM x\nRUN --security=x y", 2, "--security=x is not known", "insecure"),
        ("FROM x\nRUN --device=nvidia y", 2, "--device is not supported", None),
        ("FROM x\nCMD --help", 2, "no flag --help", None),
        ("FROM x\nENV A", 2, "no value", None),
        ("FROM x\nENV A=1 B", 2, "B has no '='", None),
        ("FROM x\nLABEL =x", 2, "no name", None),
        ("FROM x\nARG $a", 2, "cannot be a build argument", None),
        ("FROM x\nARG =a", 2, "cannot be a build argument", None),
        ("FROM x\nVOLUME []", 2, "not empty", None),
        ('FROM x\nVOLUME ["/a", " "]', 2, "not empty", None),
        ("FROM x\nSHELL bash", 2, "JSON", "SHELL"),
        ("FROM x\nSHELL []", 2, "JSON", "SHELL"),
        ("FROM x\nEXPOSE", 2, "needs a port", None),
        ("FROM x\nHEALTHCHECK --interval=soon CMD y", 2, "not a duration", "30s"),
        ("FROM x\nHEALTHCHECK --interval=1us CMD y", 2, "shorter than 1ms", None),
        ("FROM x\nHEALTHCHECK --start-interval=x CMD y", 2, "not a duration", None),
        ("FROM x\nHEALTHCHECK --retries=² CMD y", 2, "number from 0", None),
        ("FROM x\nHEALTHCHECK --retries=-1 CMD y", 2, "number from 0", None),
        ("FROM x\nHEALTHCHECK NONE x", 2, "followed by nothing", None),
        ("FROM x\nHEALTHCHECK CMD", 2, "followed by CMD and a command", None),
        ("FROM x\nHEALTHCHECK CMD []", 2, "followed by CMD and a command", None),
        ("FROM x\nHEALTHCHECK curl x", 2, "followed by CMD and a command", None),
        ("FROM x\nONBUILD FROM y", 2, "cannot trigger FROM", None),
        ("FROM x\nONBUILD onbuild RUN y", 2, "cannot trigger ONBUILD", None),
        ("FROM x\nONBUILD MAINTAINER y", 2, "cannot trigger MAINTAINER", None),
        ("FROM x\nONBUILD COYP a b", 2, "not an instruction", "COPY"),
        ("FROM x\nONBUILD", 2, "needs an instruction", None),
    ],
)
def test_errors_show_the_line(text: str, line: int, words: str, hint: str | None) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(text.encode(), "some/Dockerfile")
    assert caught.value.span.first == line
    assert words in caught.value.reason
    assert caught.value.message.startswith(f"some/Dockerfile:{line}: ")
    assert not text.split("\n")[line - 1] or f"{line} | >>> " in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


def test_errors_show_the_lines_around() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(b"FROM x\r\nRUN a\nRUN b\nRNU \\\n c\nRUN d\nRUN e\nRUN f\n")
    assert caught.value.message.split("\n")[1:] == [
        "   2 |     RUN a",
        "   3 |     RUN b",
        "   4 | >>> RNU \\",
        "   5 | >>>  c",
        "   6 |     RUN d",
        "   7 |     RUN e",
    ]


def test_errors_do_not_show_everything() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(b"FROM x\nRNU " + b"a" * 1000 + b" \\\n b" * 100)
    lines = caught.value.message.split("\n")
    assert len(lines) == 22 and max(map(len, lines)) < 180


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(PaasError):
        parse(data)


@given(st.text(max_size=200))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with contextlib.suppress(PaasError):
        parse(("FROM x\n" + text).encode("utf-8", "surrogatepass"))


PARTS = [
    *(f"{keyword} " for keyword in grammar.KEYWORDS),
    *("<<EOF", "<<-'EOF'", "\\\n", "\n", "\nEOF\n", '["a"', '"]', ",", "1]", "=", "$", "${A", "}", ":-", "AS ", "CMD "),
    *(
        "--from=",
        "--mount=type=",
        "secret,",
        "cache,",
        "target=/a",
        "--link",
        "--interval=",
        "1s",
        "-- ",
        " a",
        "#",
        "'",
    ),
    *("# check=skip=", "all;error=", "\r", "\t", "\u2003", "\\"),
]


@given(st.lists(st.sampled_from(PARTS), max_size=25))
def test_any_heap_of_parts_parses_and_is_checked_or_refused(parts: list[str]) -> None:
    with contextlib.suppress(PaasError):
        parsed = parse(("FROM x\n" + "".join(parts)).encode())
        check(parsed, {"A": "b"}, lambda path: True)
        for stage in parsed.stages:
            for instruction in stage.instructions:
                if isinstance(instruction, ins.Onbuild):
                    parse_trigger(instruction.trigger)
