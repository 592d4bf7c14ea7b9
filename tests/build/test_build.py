"""`paas build`: what it takes, what it shows, what it refuses."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.build.conftest import Build, write
from tests.harness.client import Client
from tests.machine import Machine


def test_steps_their_output_the_total_and_the_name(build: Build, machine: Machine) -> None:
    done = build('FROM tiny:1\nRUN echo hello\nCMD ["sh"]\n', "-t", "named", "-t", "other:2")
    lines = done.text.splitlines()
    assert lines[0] == "Step 1/3 : FROM tiny:1"
    assert lines[1:3] == ["Step 2/3 : RUN echo hello", "hello"]
    assert lines[-3].startswith("Built ") and "(0 of 3 steps cached)" in lines[-3]
    assert lines[-2:] == ["Tagged named:latest", "Tagged other:2"]
    listed = {entry["reference"] for entry in json.loads(machine.paas("images:list", "--format", "json").text)}
    assert {"named:latest", "other:2"} <= listed


def test_what_has_not_changed_comes_from_the_cache_and_is_the_same_image(build: Build) -> None:
    text = "FROM tiny:1\nRUN echo one\nCOPY a /a\nRUN cat /a\n"
    first = build(text, files={"a": "1", "b": "1"})
    again = build(text, files={"b": "2"})
    assert "(3 of 4 steps cached)" in again.text
    assert _image(first.text) == _image(again.text)
    changed = build(text, files={"a": "2"})
    assert "(1 of 4 steps cached)" in changed.text and _image(changed.text) != _image(first.text)
    forced = build(text, "--no-cache")
    assert "(0 of 4 steps cached)" in forced.text


def test_steps_before_a_failing_one_stay_cached(build: Build) -> None:
    failed = build("FROM tiny:1\nRUN echo made\nRUN exit 3\n", check=False)
    assert failed.status == 1
    assert "Dockerfile:3: the command ended with status 3" in failed.error
    assert ">>> RUN exit 3" in failed.error
    assert "(1 of 3 steps cached)" in build("FROM tiny:1\nRUN echo made\nRUN true\n").text


def test_an_archive_from_the_input(machine: Machine, tiny: str, admin: Client) -> None:
    archive = _tar({"Dockerfile": "FROM tiny:1\nCOPY a /a\nRUN cat /a\n", "a": "packed\n"})
    assert "packed" in machine.paas("build", "-", input=gzip.compress(archive)).text
    assert "CACHED" in admin.ssh("build", "-t", "by-ssh", "-", input=archive).text
    assert not list((machine.data_dir / "scratch").iterdir())


def test_a_dockerfile_alone_from_the_input(machine: Machine, tiny: str) -> None:
    assert "alone" in machine.paas("build", "-", input=b"FROM tiny:1\nRUN echo alone\n").text
    refused = machine.paas("build", "-", input=b"FROM tiny:1\nCOPY a /\n", check=False)
    assert "'a' is not in the build context" in refused.error


def test_only_admins_build_over_ssh_and_only_from_the_input(machine: Machine, admin: Client) -> None:
    assert "admin" in machine.client("nobody").ssh("build", "-", input=b"FROM tiny:1\n", check=False).error
    refused = admin.ssh("build", "/etc", check=False)
    assert refused.status == 2 and "tar -c . | ssh" in refused.error


def test_the_dockerfile_may_have_another_name_and_lie_outside(build: Build, machine: Machine, context: Path) -> None:
    write(context, {"deploy/Dockerfile": "FROM tiny:1\nRUN echo inside; ls /\nCOPY . /all\n", "kept": "", "left": ""})
    write(context, {"deploy/Dockerfile.dockerignore": "left\n", ".dockerignore": "kept\n"})
    write(context.parent, {"elsewhere": "FROM tiny:1\nRUN echo outside\nRUN exit 1\n"})
    assert "inside" in build("FROM nothing", "-f", str(context / "deploy/Dockerfile")).text
    shown = build("FROM nothing", "-f", "deploy/Dockerfile")
    assert "inside" in shown.text
    failed = build("FROM nothing", "-f", str(context.parent / "elsewhere"), check=False)
    assert "outside" in failed.text and "elsewhere:3" in failed.error
    missing = build("FROM nothing", "-f", "no-such-file", check=False)
    assert "no file 'no-such-file'" in missing.error


def test_a_target_and_only_what_it_needs(build: Build) -> None:
    text = "FROM tiny:1 AS one\nRUN echo one\nFROM tiny:1 AS two\nRUN echo two\nFROM one AS three\nRUN echo three\n"
    done = build(text, "--target", "three")
    assert "RUN echo one" in done.text and "RUN echo two" not in done.text
    assert build(text, "--target", "ONE").text.count("Step ") == 2
    refused = build(text, "--target", "four", check=False)
    assert "no stage 'four'" in refused.error and "one, two, three" in refused.error


def test_build_arguments(build: Build, machine: Machine, context: Path) -> None:
    text = 'ARG BASE=nothing\nFROM $BASE\nARG A=default\nARG B\nRUN echo "A=$A B=$B"\n'
    assert "A=given B=" in build(text, "--build-arg", "BASE=tiny:1", "--build-arg", "A=given").text
    done = machine.run(
        [*_paas(), "build", "--build-arg", "BASE=tiny:1", "--build-arg=B", str(context)], env={"B": "from outside"}
    )
    assert "A=default B=from outside" in done.text
    unused = build("FROM tiny:1\n", "--build-arg", "NOPE=1")
    assert "NOPE is given and no ARG declares it" in unused.error


def test_labels_and_json_progress(build: Build) -> None:
    done = build("FROM tiny:1\nRUN echo json\n", "--label", "a=1", "--progress", "json")
    events = [json.loads(line) for line in done.text.splitlines()]
    said = [event["text"] for event in events if event.get("event") == "output"]
    assert "".join(said) == "json\n"
    assert events[-1]["steps"] == 2 and events[-1]["image"].startswith("sha256:")


def test_independent_stages_are_built_at_the_same_time_and_shown_one_after_the_other(build: Build) -> None:
    wait = "for i in $(seq 100); do [ -e /c/flag ] && break; sleep 0.1; done; [ -e /c/flag ] && echo met"
    text = (
        f"FROM tiny:1 AS first\nRUN --mount=type=cache,id=meet,target=/c {wait}\n"
        "FROM tiny:1 AS second\nRUN --mount=type=cache,id=meet,target=/c echo made; touch /c/flag; echo done\n"
        "FROM scratch\nCOPY --from=first /etc/passwd /1\nCOPY --from=second /etc/passwd /2\n"
    )
    lines = build(text).text.splitlines()
    assert lines.index("met") < lines.index("made") < lines.index("done")
    assert [line for line in lines if line.startswith("Step")] == sorted(
        (line for line in lines if line.startswith("Step")), key=lambda line: int(line.split("/")[0].split()[1])
    )


def test_a_stage_waits_for_another_only_where_it_copies_from_it(build: Build) -> None:
    wait = "for i in $(seq 100); do [ -e /c/flag ] && break; sleep 0.1; done; [ -e /c/flag ]"
    text = (
        f"FROM tiny:1 AS first\nRUN --mount=type=cache,id=late,target=/c {wait} && echo first >/made\n"
        "FROM tiny:1\nRUN --mount=type=cache,id=late,target=/c touch /c/flag\n"
        "COPY --from=first /made /made\nRUN --mount=from=first,source=/made,target=/again cat /made /again\n"
    )
    assert "first\nfirst\n" in build(text).text


def test_of_several_stages_that_fail_the_error_of_one_is_told(build: Build) -> None:
    text = "FROM tiny:1 AS a\nRUN sleep 30\nFROM tiny:1 AS b\nRUN echo no >&2; exit 7\n"
    failed = build(f"{text}FROM scratch\nCOPY --from=a /x /\nCOPY --from=b /x /\n", check=False)
    assert "status 7" in failed.error and "cancelled" not in failed.error


def test_checks_warn_with_the_line_and_may_fail_the_build(build: Build) -> None:
    text = "FROM tiny:1 as base\nENV TOKEN=abc\n"
    warned = build(text)
    assert "Dockerfile:1: FromAsCasing" in warned.error and "SecretsUsedInArgOrEnv" in warned.error
    assert "abc" not in warned.error
    assert "FromAsCasing" not in build(f"# check=skip=FromAsCasing\n{text}").error
    failed = build(f"# check=error=true\n{text}", check=False)
    assert failed.status == 1 and "Step" not in failed.text


@pytest.mark.parametrize(
    ("dockerfile", "words", "message"),
    [
        ("FROM nothing:1\n", (), "There is no image nothing:1"),
        ("FROM --platform=linux/s390x tiny:1\n", (), "--platform=linux/s390x cannot be built here"),
        ("FROM tiny:1\nRUN --network=host true\n", (), "--network=host is not allowed"),
        ("FROM tiny:1\nRUN --security=insecure true\n", (), "--security=insecure is not allowed"),
        ("FROM tiny:1\nRUN --mount=type=secret,id=x,required true\n", (), "no secret x"),
        ("FROM tiny:1\nRUN --mount=type=bind,source=../x,target=/x true\n", (), "leads outside"),
        ("FROM tiny:1\nRUN --mount=type=bind,source=nope,target=/x true\n", (), "nope is not in the build context"),
        ("FROM tiny:1\nRUN --mount=type=bind,from=nope,target=/x true\n", (), "no image nope"),
        ("FROM tiny:1\nCOPY --from=later /a /b\nFROM tiny:1 AS later\n", ("--target", "0"), "stands further down"),
        ("FROM tiny:1 AS build\nFROM tiny:1\nCOPY --from=biuld /a /b\n", (), "Did you mean build?"),
        ("FROM tiny:1\nCOPY --chmod=9 a /a\n", (), "--chmod=9 is not a mode"),
        ("FROM tiny:1\nCOPY --chown=ghost a /a\n", (), "no user ghost"),
        ("FROM tiny:1\nCOPY a b /c\n", (), "must end with '/'"),
        ("FROM tiny:1\n", ("-t", "Bad Name"), "Bad Name"),
        ("FROM tiny:1\n", ("--progress", "loud"), "loud is not a style"),
        ("FROM tiny:1\n", ("--secret", "src=x"), "--secret needs an id"),
        ("FROM tiny:1\n", ("--secret", "id=x,src=/no/such"), "cannot be read"),
        ("FROM tiny:1\n", ("--secret", "id=x,env=NO_SUCH_VARIABLE"), "no variable NO_SUCH_VARIABLE"),
        ("FROM tiny:1\n", ("--ssh", "default=/no/socket"), "no agent's socket"),
        ("FROM tiny:1\n", ("--label", "x"), "KEY=VALUE"),
    ],
)
def test_what_is_refused(build: Build, dockerfile: str, words: tuple[str, ...], message: str) -> None:
    refused = build(dockerfile, *words, files={"a": "", "b": ""}, check=False)
    assert refused.status in (1, 2)
    assert message.replace("'", "") in refused.error.replace("'", "")


def test_a_directory_without_a_dockerfile(machine: Machine, context: Path) -> None:
    write(context, {"dockerfile": "FROM scratch\n"})
    refused = machine.paas("build", str(context), check=False)
    assert "The build context has no Dockerfile" in refused.error and "There is dockerfile" in refused.error
    assert "cannot be built from" in machine.paas("build", "/no/such/directory", check=False).error


def test_symlinks_of_the_context_do_not_lead_out_of_it(build: Build, context: Path) -> None:
    (context / "out").symlink_to("/etc")
    (context / "file").symlink_to("/etc/passwd")
    for source in ("out", "out/passwd", "file"):
        assert build(f"FROM tiny:1\nCOPY {source} /x\n", check=False).status == 1
    (context / "folder").mkdir()
    (context / "folder/link").symlink_to("/etc/hostname")
    assert "/etc/hostname" in build("FROM tiny:1\nCOPY folder /x\nRUN readlink /x/link || ls -l /x\n").text


def _image(text: str) -> str:
    return next(line.split()[1] for line in text.splitlines() if line.startswith("Built "))


def _paas() -> list[str]:
    from paas.paths import PROJECT

    return [str(PROJECT / "scripts" / "paas")]


def _tar(files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return stream.getvalue()
