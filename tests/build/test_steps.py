"""What RUN, COPY and ADD do in a real build: mounts, secrets, copies of what changed, addresses."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from paas.system import run as system
from tests.build.conftest import Build, write
from tests.machine import Machine


def test_cache_mounts_last_and_belong_to_no_image(build: Build) -> None:
    step = (
        "RUN --mount=type=cache,id=lasting,target=/c,mode=0770,uid=7 date >>/c/log; wc -l </c/log; stat -c '%a %u' /c\n"
    )
    first = build(f"FROM tiny:1\n{step}RUN ls /\n", "--no-cache")
    assert "1\n770 7\n" in first.text and "\nc\n" not in first.text
    assert "2\n770 7\n" in build(f"FROM tiny:1\n{step}", "--no-cache").text


def test_a_locked_cache_is_one_steps_at_a_time_and_a_private_one_is_given_anew(build: Build) -> None:
    step = (
        "RUN --mount=type=cache,id={0},sharing={0},target=/c [ ! -e /c/in ] && touch /c/in && sleep 0.3 && rm /c/in\n"
    )
    for sharing in ("locked", "private"):
        text = "".join(f"FROM tiny:1 AS s{n}\n{step.format(sharing)}" for n in (1, 2))
        build(f"{text}FROM scratch\nCOPY --from=s1 /etc/passwd /1\nCOPY --from=s2 /etc/passwd /2\n")


def test_bind_mounts_of_the_context_a_stage_and_an_image(build: Build) -> None:
    text = (
        "FROM tiny:1 AS made\nRUN mkdir /d && echo from-stage >/d/f\n"
        "FROM tiny:1\n"
        "RUN --mount=target=/ctx cat /ctx/a /ctx/sub/b; touch /ctx/x 2>/dev/null || echo read-only\n"
        "RUN --mount=source=sub/b,target=/one cat /one\n"
        "RUN --mount=from=made,source=/d,target=/d,rw cat /d/f; echo changed >/d/f; cat /d/f\n"
        "RUN --mount=from=made,source=/d,target=/d cat /d/f\n"
        "RUN --mount=from=tiny:1,source=/etc,target=/e grep -c root /e/passwd\n"
        "RUN ls /\n"
    )
    done = build(text, files={"a": "A\n", "sub/b": "B\n"})
    assert "A\nB\nread-only\n" in done.text
    assert "from-stage\nchanged\n" in done.text and done.text.count("from-stage") == 3
    assert not {"ctx", "one", "d", "e"} & set(done.text.splitlines())
    again = build(text, files={"a": "changed\n"})
    assert "changed\nB\n" in again.text and "(1 of 9 steps cached)" in again.text


def test_secrets_stay_out_of_the_image_its_history_the_cache_key_and_the_output(
    build: Build, machine: Machine, context: Path
) -> None:
    (context.parent / "token").write_text("sesame-open\n")
    text = (
        "FROM tiny:1\nRUN --mount=type=secret,id=token,target=/t,mode=0444 wc -c </t; cat /t\n"
        'RUN --mount=type=secret,id=token,env=TOKEN echo "=$TOKEN="\nRUN ls / /run; env\n'
    )
    first = build(text, "--secret", f"id=token,src={context.parent}/token")
    assert "12\n*****\n" in first.text and "=*****" in first.text and "sesame" not in first.text
    (context.parent / "token").write_text("another-one\n")
    assert "(3 of 4 steps cached)" in build(text, "--secret", f"id=token,src={context.parent}/token").text
    grep = machine.run(["grep", "-r", "-l", "sesame-open", str(machine.data_dir)], check=False)
    assert grep.text == ""


def test_an_ssh_agent_is_reachable_and_its_key_is_not(machine: Machine, build: Build, context: Path) -> None:
    agent = context.parent / "agent.sock"
    key = context.parent / "key"
    system.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the-key", "-f", str(key)])
    process = machine.start(["ssh-agent", "-D", "-a", str(agent)])
    try:
        for _ in range(500):
            if agent.exists():
                break
            threading.Event().wait(0.01)
        machine.run(["ssh-add", "-q", str(key)], env={"SSH_AUTH_SOCK": str(agent)})
        text = "FROM debian:bookworm\nRUN --mount=type=ssh,uid=0 perl -e '{}'\n".format(
            "use IO::Socket::UNIX; my $s=IO::Socket::UNIX->new(Peer=>$ENV{SSH_AUTH_SOCK}) or die $!;"
            'print $s pack("NC",1,11); $s->flush; sysread $s,my $b,4096; print $b=~/the-key/ ? "listed\\n" : "none\\n"'
        )
        assert "listed" in build(text, "--ssh", f"default={agent}").text
    finally:
        process.terminate()
        process.wait(10)


def test_copies_of_a_large_directory_take_the_change_only(build: Build, machine: Machine, context: Path) -> None:
    files = {f"d{n % 7}/f{n}": f"{n}\n" for n in range(300)}
    text = (
        "FROM tiny:1\nRUN mkdir /app && echo hidden >/app/kept\nCOPY . /app/\n"
        "RUN ls -R /app | wc -l; cat /app/kept /app/d1/f1; ls /app/d2/f2 /app/new 2>&1; ls -l /app/f9 | cut -c1\n"
    )
    whole = build(text, files={**files, "kept": "mine\n", "f9": "x"})
    assert "mine\n1\n" in whole.text
    write(context, {"d1/f1": "changed\n", "new/a/b": "new\n"})
    (context / "d2/f2").unlink()
    part = build(text)
    assert "mine\nchanged\nls: /app/d2/f2: No such file or directory\n/app/new:\na\n-\n" in part.text
    (context / "kept").unlink()  # what it hid in the layer below appears again
    (context / "f9").unlink()
    (context / "f9").mkdir()
    assert "hidden\nchanged\n" in build(text).text


def test_the_same_after_changes_as_from_nothing(build: Build, machine: Machine, context: Path) -> None:
    """The files of an image that was made from what changed are those of one that was made whole."""
    write(context, {f"d{n % 5}/f{n}": str(n) for n in range(280)})
    listing = "find /app -exec stat -c '%n %f %u %s' {} + | sort | md5sum"
    text = f"FROM tiny:1\nCOPY . /app/\nRUN {listing}\n"
    build(text)
    for step in range(4):
        write(context, {f"d{step}/f{step}": f"changed {step}", f"more{step}/x": "y"})
        (context / f"d{step}/f{step + 5}").unlink()
        os.chmod(context / f"d{step}/f{step + 10}", 0o755)  # noqa: PTH101
        changed = build(text).text
    assert _digest(changed) == _digest(build(text, "--no-cache").text)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def files(machine: Machine, context: Path) -> Iterator[tuple[str, Path]]:
    """(address of a web server outside of the machine, its directory)"""
    place = context.parent / "served"
    place.mkdir(exist_ok=True)
    handler = partial(_Quiet, directory=str(place))
    with http.server.ThreadingHTTPServer((machine.host_address, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://{machine.host_address}:{server.server_port}", place
        server.shutdown()
        thread.join()


def test_add_from_an_address(build: Build, files: tuple[str, Path]) -> None:
    address, place = files
    (place / "file.txt").write_text("fetched\n")
    os.utime(place / "file.txt", (1_600_000_000, 1_600_000_000))
    digest = hashlib.sha256(b"fetched\n").hexdigest()
    text = f"FROM tiny:1\nADD --checksum=sha256:{digest} {address}/file.txt /got/\n"
    text += "RUN cat /got/file.txt; stat -c '%a %Y' /got/file.txt\n"
    done = build(text)
    assert "fetched\n600 1600000000\n" in done.text
    (place / "file.txt").write_text("changed\n")
    assert "(2 of 3 steps cached)" in build(text).text, "the checksum says what it is; it is not asked for again"
    wrong = build(text.replace(digest, "0" * 64), check=False)
    assert "has the checksum sha256:" in wrong.error and "Dockerfile:2" in wrong.error
    plain = f"FROM tiny:1\nADD {address}/file.txt /got\nRUN cat /got\n"
    assert "changed\n" in build(plain).text
    assert "(2 of 3 steps cached)" in build(plain).text
    (place / "file.txt").write_text("once more\n")
    assert "once more\n" in build(plain).text
    assert "cannot be fetched" in build(f"FROM tiny:1\nADD {address}/nope /x\n", check=False).error


def test_add_does_not_reach_the_machines_own_services(build: Build, machine: Machine) -> None:
    for address in ("127.0.0.1", machine.address):
        refused = build(f"FROM tiny:1\nADD http://{address}:80/x /x\n", check=False)
        assert "cannot be fetched" in refused.error


def test_add_of_a_repository(build: Build, machine: Machine, context: Path) -> None:
    repo = context.parent / "repo"
    git = ["git", "-C", str(repo), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    write(repo, {"README": "one\n", "sub/file": "two\n", ".dockerignore": "*\n"})
    system.run(["git", "init", "-q", "-b", "main", str(repo)])
    system.run([*git, "add", "."])
    system.run([*git, "commit", "-qm", "First"])
    system.run([*git, "tag", "v1"])
    commit = system.run([*git, "rev-parse", "HEAD"]).text.strip()
    port = 9418
    daemon = system.start(
        ["git", "daemon", "--reuseaddr", "--export-all", f"--listen={machine.host_address}", f"--port={port}",
         f"--base-path={context.parent}", str(context.parent)],
        new_session=True,
    )  # fmt: skip
    try:
        url = f"git://{machine.host_address}/repo"
        text = f"FROM tiny:1\nADD --checksum={commit[:10]} {url}#v1 /a\nADD {url}#main:sub /b\nRUN find /a /b | sort\n"
        done = _until(lambda: build(text, check=False))
        assert "/a\n/a/.dockerignore\n/a/README\n/a/sub\n/a/sub/file\n/b\n/b/file\n" in done.text, done.error
        kept = build(f"FROM tiny:1\nADD --keep-git-dir=true {url}#{commit} /a\nRUN ls -a /a\n")
        assert "\n.git\n" in kept.text
        wrong = build(f"FROM tiny:1\nADD --checksum=0000000 {url}#v1 /a\n", check=False)
        assert f"is commit {commit}" in wrong.error
        assert "no branch or tag" in build(f"FROM tiny:1\nADD {url}#nope /a\n", check=False).error
    finally:
        os.killpg(daemon.pid, 15)
        daemon.wait(10)


def test_copies_keep_hard_links_and_attributes(build: Build) -> None:
    text = (
        "FROM debian:bookworm AS made\n"
        "RUN mkdir /d && echo x >/d/a && ln /d/a /d/b && cp /bin/true /d/cap && chmod 4755 /d/cap && mkfifo /d/pipe\n"
        "FROM debian:bookworm\nCOPY --from=made /d /e\n"
        "RUN stat -c '%n %h %a %F' /e/*; [ $(stat -c %i /e/a) = $(stat -c %i /e/b) ] && echo linked\n"
    )
    done = build(text)
    assert (
        "/e/a 2 644 regular file\n/e/b 2 644 regular file\n/e/cap 1 4755 regular file\n/e/pipe 1 644 fifo\nlinked"
        in done.text
    )


def test_selections(build: Build) -> None:
    files = {"src/a.txt": "", "src/x/b.txt": "", "src/x/c.md": "", "src/x/y/d.txt": ""}
    text = (
        "FROM tiny:1\nCOPY --parents src/**/*.txt /p/\nCOPY --parents src/./x/*.md /q/\n"
        "COPY --exclude=*.md --exclude=x/y src /r\nCOPY --chmod=u=rwX,go= --chown=12:34 src/x /s\n"
        "RUN find /p /q /r -type f | sort; stat -c '%n %a %u:%g' /s/b.txt /s/y\n"
    )
    done = build(text, files=files)
    assert "/p/src/a.txt\n/p/src/x/b.txt\n/p/src/x/y/d.txt\n/q/x/c.md\n/r/a.txt\n/r/x/b.txt\n/r/x/c.md\n" in done.text
    assert "/s/b.txt 600 12:34\n/s/y 700 12:34\n" in done.text


def test_a_linked_copy_does_not_depend_on_what_lies_below(build: Build) -> None:
    text = "FROM tiny:1\nRUN echo {} >/stamp\nCOPY --link a /x/a\n"
    build(text.format(1), files={"a": "1"})
    assert "(1 of 3 steps cached)" in build(text.format(2)).text


def test_here_documents(build: Build) -> None:
    text = (
        "FROM debian:bookworm\nARG WHO=me\nCOPY <<one <<'two' /h/\nhello $WHO\none\nhello $WHO\ntwo\n"
        "RUN <<EOF\ncat /h/one /h/two\nEOF\n"
        "RUN <<EOF\n#!/usr/bin/perl\nprint 'perl', \"\\n\";\nEOF\n"
        "RUN cat <<a - <<b\nfrom a\na\nfrom b\nb\n"
    )
    done = build(text)
    assert "hello me\nhello $WHO\n" in done.text and "perl\n" in done.text and "from b\n" in done.text


def _digest(text: str) -> str:
    return next(line for line in text.splitlines() if line.endswith("  -"))


def _until(attempt: object) -> system.Completed:
    done = None
    for _ in range(20):
        done = attempt()  # type: ignore[operator]
        if done.status == 0:
            return done  # type: ignore[no-any-return]
        threading.Event().wait(0.1)
    assert done is not None
    return done  # type: ignore[no-any-return]
