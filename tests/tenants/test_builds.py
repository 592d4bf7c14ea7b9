"""What builds share, from the hands of one app's owner: images, cached steps, cache mounts, the disk."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from paas.build.layering import Layering
from paas.errors import InvalidInput
from paas.model import Layer
from tests.harness.apps import busybox_root, httpd
from tests.tenants.conftest import OURS, VICTIM, Tenants

_COMMAND = 'CMD ["/bin/sh", "-c", "exec httpd -f -p $PORT -h /www"]\n'
_SAME = """FROM scratch
ADD root.tar /
RUN --mount=type=cache,id=pip,target=/c --mount=type=secret,id=token \\
    cat /run/secrets/token /c/left > /www/index.html; cat /run/secrets/token >> /c/left; true
"""
"""Two apps with the same Dockerfile, in which a step leaves and takes what its key does not tell."""


def test_steps_with_secrets_and_caches_are_each_app_s_own(tenants: Tenants) -> None:
    files: dict[str, bytes | str] = {"Dockerfile": _SAME + _COMMAND, "root.tar": busybox_root()}
    for client, app in ((tenants.mallory, OURS), (tenants.owner, VICTIM)):
        client.ssh("config:set", "--no-restart", app, f"TOKEN=secret-of-{app}")
        client.ssh("docker-options:add", app, "build", "--secret id=token,env=TOKEN")
    try:
        for app in (OURS, VICTIM):
            done = tenants.push(f"same-{app}", files, app)
            assert done.status == 0, done.error
        assert tenants.root.get(OURS).text == f"secret-of-{OURS}"
        assert tenants.root.get(VICTIM).text == f"secret-of-{VICTIM}"
    finally:
        for client, app in ((tenants.mallory, OURS), (tenants.owner, VICTIM)):
            client.ssh("docker-options:clear", app, "build")
        tenants.push("victim-again", httpd("victim"), VICTIM)


def test_steps_under_limits_of_one_s_own_are_too(tenants: Tenants) -> None:
    """A step that fails for want of memory and goes on must not be what others get."""
    greedy = "dd if=/dev/zero of=/dev/null bs=64M count=1 && echo whole > /www/index.html"
    step = f"RUN {greedy} || echo broken > /www/index.html"
    lines = f"FROM scratch\nADD root.tar /\n{step}\n{_COMMAND}"
    files: dict[str, bytes | str] = {"Dockerfile": lines, "root.tar": busybox_root()}
    tenants.mallory.ssh("builder:set", OURS, "memory", "24m")
    try:
        for app, expected in ((OURS, "broken\n"), (VICTIM, "whole\n")):
            done = tenants.push(f"limits-{app}", files, app)
            assert done.status == 0, done.error
            assert tenants.root.get(app).text == expected
    finally:
        tenants.mallory.ssh("builder:set", OURS, "memory")
        tenants.push("victim-once-more", httpd("victim"), VICTIM)


def test_an_app_that_is_gone_leaves_no_layers_to_the_next(tenants: Tenants) -> None:
    """Numbers of apps are given again; what was built with a secret must not be there for whoever gets one."""
    secret = "RUN --mount=type=secret,id=token cp /run/secrets/token /www/index.html || echo none > /www/index.html"
    lines = f"FROM scratch\nADD root.tar /\n{secret}\n{_COMMAND}"
    files: dict[str, bytes | str] = {"Dockerfile": lines, "root.tar": busybox_root()}
    for number, expected in ((1, "first-owner"), (2, "none\n")):
        app = f"tn-gone-{number}"
        tenants.root.paas("apps:create", app)
        try:
            if number == 1:
                tenants.root.paas("config:set", app, "TOKEN=first-owner")
                tenants.root.paas("docker-options:add", app, "build", "--secret id=token,env=TOKEN")
            client = tenants.root.client(f"tn-gone-{number}")
            done = client.repository(f"gone-{number}", files).push(app, "master", check=False)
            assert done.status == 0, done.error
            assert tenants.root.get(app).text == expected
        finally:
            tenants.root.paas("apps:destroy", app, "--force")


def _id(tenants: Tenants, app: str) -> str:
    listed = json.loads(tenants.root.paas("releases:list", app, "--format", "json").text)
    return str(listed[0]["image"]).removeprefix("sha256:")


def test_images_of_other_apps_have_no_name(tenants: Tenants) -> None:
    theirs = _id(tenants, VICTIM)
    for number, line in enumerate(
        (
            f"FROM {theirs[:12]}\n",
            f"FROM sha256:{theirs}\n",
            f"FROM scratch\nCOPY --from=sha256:{theirs[:4]} / /\n",
            f"FROM scratch\nADD root.tar /\nRUN --mount=type=bind,from={theirs},target=/m cp -r /m /x\n",
        )
    ):
        done = tenants.push(f"from-{number}", {"Dockerfile": line, "root.tar": busybox_root()})
        assert done.status != 0 and "There is no image" in done.error, done.error
    for length in (4, 12, 64):
        assert "There is no image" in tenants.refused("git:from-image", OURS, f"sha256:{theirs[:length]}")


def test_images_of_the_own_app_may_be_named(tenants: Tenants) -> None:
    ours = _id(tenants, OURS)
    tenants.mallory.ssh("git:from-image", OURS, f"sha256:{ours[:12]}")
    tenants.mallory.ssh("ps:rebuild", OURS)
    tenants.root.paas("git:from-image", OURS, f"sha256:{_id(tenants, VICTIM)}")
    assert tenants.root.get(OURS).text == "victim\n", "an admin may give an app any image"
    tenants.mallory.ssh("ps:rebuild", OURS)
    tenants.push("ours-again", httpd("mallory"))


@pytest.mark.parametrize(
    "line",
    [
        "RUN --network=host true",
        "RUN --security=insecure true",
        "COPY --from=../../etc / /",
        "COPY /../../../etc/shadow /",
        "COPY link /copied",
        "ADD file:///etc/shadow /",
        "ADD http://127.0.0.1:2222/ /",
        "FROM 127.0.0.1:2222/x",
        "RUN --mount=type=bind,source=/etc,from=host,target=/m true",
    ],
)
def test_instructions_that_reach_the_host(tenants: Tenants, line: str) -> None:
    lines = f"FROM scratch\nADD root.tar /\n{line}\n"
    repository = tenants.mallory.repository(f"reach-{abs(hash(line))}")
    (repository.path / "link").symlink_to("/etc/shadow")
    repository.commit({"Dockerfile": lines, "root.tar": busybox_root()})
    done = repository.push(OURS, "master", "--force", check=False, timeout=100)
    if line.startswith("COPY link"):  # a link is copied as it is, into an image where it leads to the image's own file
        assert "root:$" not in tenants.mallory.ssh("run", OURS, "cat", "/copied", check=False).text
    else:
        assert done.status != 0, done.error
    assert tenants.root.get(VICTIM).text == "victim\n"


def _zeros(size: int) -> bytes:
    """A compressed archive of one file with so many zeros: a thousandth of it in bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        entry = tarfile.TarInfo("zeros")
        entry.size = size
        tar.addfile(entry, io.BytesIO(bytes(size)))
    return stream.getvalue()


_AT_ONCE = "RUN head -c 9000000 /dev/zero > /big"
"""It has ended before anybody has looked at what it writes."""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("RUN head -c 300000000 /dev/zero > /big && sleep 5", "wrote more than"),
        (_AT_ONCE, "wrote more than"),
        ("ADD zeros.tar.gz /", "content is larger than"),
        ("COPY zeros /", "more than the build may write"),
        ("ADD zeros /", "more than the build may write"),
        ("COPY part /\nRUN cat /part > /more; cat /part > /again", "wrote more than"),
    ],
)
def test_a_build_that_fills_the_disk(tenants: Tenants, line: str, words: str) -> None:
    tenants.mallory.ssh("builder:set", OURS, "disk", "8m")
    try:
        files: dict[str, bytes | str] = {
            "Dockerfile": f"FROM scratch\nADD root.tar /\n{line}\n",
            "root.tar": busybox_root(),
            "zeros.tar.gz": _zeros(20 << 20),
            "zeros": bytes(20 << 20),
            "part": bytes(3 << 20),
        }
        done = tenants.push(f"big-{abs(hash(line))}", files)
        assert done.status != 0 and words in done.error, done.error
        done = tenants.push(f"big-again-{abs(hash(line))}", files) if line == _AT_ONCE else done
        assert words in done.error, "what was refused is not found in the cache"
    finally:
        tenants.mallory.ssh("builder:set", OURS, "disk")


def test_more_layers_than_can_be_mounted() -> None:
    with pytest.raises(InvalidInput, match="at most 500 layers"):
        Layering(None, None, None).add([Layer(n, str(n), 0) for n in range(500)], "key", "id", print)  # type: ignore[arg-type]
