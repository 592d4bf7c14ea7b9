"""Builds as things: their limits, their queue, cancelling them, what is kept of them, and how pushes use all that."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.paths import PROJECT
from paas.system.run import Process
from tests.build.conftest import Build, write
from tests.conftest import MachineMaker
from tests.harness.apps import busybox_root, httpd
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.machine import Machine

PAAS = str(PROJECT / "scripts" / "paas")
SLOW = "FROM tiny:1\nRUN echo begun; sleep 60; echo ended\n"


@pytest.fixture
def setting(machine: Machine) -> Iterator[object]:
    """`setting(KEY, VALUE)`: a global property of builder, until the test ends."""
    changed = []

    def change(key: str, value: str) -> None:
        machine.paas("builder:set", "--global", key, value)
        changed.append(key)

    yield change
    for key in changed:
        machine.paas("builder:set", "--global", key)


def start(machine: Machine, context: Path, dockerfile: str) -> tuple[Process, Path]:
    """`paas build` in the background, and the file with its output."""
    write(context, {"Dockerfile": dockerfile})
    output = context.parent / f"{context.name}.out"
    with output.open("wb") as file:
        return machine.start([PAAS, "build", "--no-cache", str(context)], stdout=file, stderr=file), output


def builds(machine: Machine, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(machine.paas("builds:list", "--format", "json", *words).text)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "hung up"])
def test_a_caller_who_leaves_cancels_and_nothing_is_left(
    machine: Machine, tiny: str, context: Path, number: int
) -> None:
    process, output = start(machine, context, SLOW)
    wait_until(lambda: "begun" in output.read_text(), "the step runs")
    client = machine.run(["pgrep", "-f", f"build --no-cache {context}"]).text.split()[-1]
    machine.run(["kill", f"-{number}", client])
    process.wait(10)
    wait_until(lambda: builds(machine)[0]["status"] == "cancelled", "it is cancelled")
    wait_until(lambda: not machine.run(["pgrep", "-x", "sleep"], check=False).text, "the step's process is gone")
    mounts = machine.run(["cat", "/proc/mounts"]).text
    assert f"{machine.run_dir}/build" not in mounts and "/bundles/" not in mounts
    assert not [name for name in machine.run(["ls", "/sys/fs/cgroup"]).text.split() if name.startswith("build-")]
    assert "ended" not in output.read_text().splitlines()


def test_a_reader_who_leaves_does_not_hold_the_step_up(machine: Machine, tiny: str, context: Path) -> None:
    write(context, {"Dockerfile": "FROM tiny:1\nRUN seq 200000; touch /done\nRUN echo next\n"})
    done = machine.run(["sh", "-c", f"{PAAS} build --no-cache {context} 2>&1 | head -n 3"], timeout=30)
    assert done.text.count("\n") == 3
    wait_until(lambda: builds(machine)[0]["status"] == "cancelled", "the build has ended")
    assert "Traceback" not in machine.engine_log


def test_a_build_is_cancelled_by_its_number_and_its_output_is_kept(machine: Machine, tiny: str, context: Path) -> None:
    process, output = start(machine, context, SLOW)
    wait_until(lambda: "begun" in output.read_text(), "the step runs")
    number = str(builds(machine)[0]["id"])
    followed = machine.start([PAAS, "builds:output", number])
    assert "Cancelled build" in machine.paas("builds:cancel", number).text
    assert process.wait(10) == 130
    assert followed.wait(10) == 0
    assert "begun" in machine.paas("builds:output", number).text
    info = json.loads(machine.paas("builds:info", number, "--format", "json").text)
    assert (info["status"], info["steps"]) == ("cancelled", 2)
    assert machine.paas("builds:cancel", number, check=False).status == 1
    assert "There is no build" in machine.paas("builds:info", "999999", check=False).error


def test_builds_beyond_the_limit_wait_for_their_turn(
    machine: Machine, tiny: str, context: Path, setting: object
) -> None:
    setting("concurrency", "1")  # type: ignore[operator]
    first, output = start(machine, context, SLOW)
    wait_until(lambda: "begun" in output.read_text(), "the first runs")
    other = context.parent / f"{context.name}-2"
    second, waiting = start(machine, other, "FROM tiny:1\nRUN echo second\n")
    wait_until(lambda: "Waiting for 1 build to finish" in waiting.read_text(), "the second is told to wait")
    assert "second" not in waiting.read_text()
    machine.paas("builds:cancel", str(builds(machine)[1]["id"]))
    first.wait(10)
    assert second.wait(10) == 0 and "second" in waiting.read_text()


@pytest.mark.parametrize(
    ("key", "value", "command", "message"),
    [
        ("timeout", "1s", "sleep 30", "longer than 1 seconds"),
        ("memory", "32m", "x=a; while :; do x=$x$x; done", "want of memory (the limit is 32.0 MiB)"),
        ("processes", "30", "for i in $(seq 90); do sleep 9 & done; wait; exit 1", "more than 30 processes"),
        ("disk", "8m", "dd if=/dev/zero of=/big bs=1M count=64; sync; sleep 5", "more than 8.0 MiB to the disk"),
    ],
)
def test_a_build_that_passes_a_limit_ends_with_that_reason(
    build: Build, setting: object, key: str, value: str, command: str, message: str
) -> None:
    setting(key, value)  # type: ignore[operator]
    failed = build(f"FROM tiny:1\nRUN {command}\n", check=False)
    assert failed.status == 1 and message in failed.error and "Dockerfile:2" in failed.error


@pytest.mark.parametrize(
    ("key", "value"),
    [("memory", "lots"), ("memory", "0"), ("cpus", "none"), ("timeout", "-1"), ("trust-host-ca", "maybe"),
     ("http-proxy", "proxy:80"), ("build-dir", "../x"), ("build-dir", "/etc"), ("memroy", "1g"), ("concurrency", "0")],
)  # fmt: skip
def test_bad_values_are_refused_when_they_are_set(machine: Machine, key: str, value: str) -> None:
    before = machine.paas("builder:report", "--global", "--format", "json").text
    assert machine.paas("builder:set", "--global", key, value, check=False).status in (1, 2)
    assert machine.paas("builder:report", "--global", "--format", "json").text == before


def test_the_hosts_certificates_and_proxies(machine: Machine, build: Build, setting: object) -> None:
    text = 'FROM tiny:1\nRUN head -c 9 $SSL_CERT_FILE; echo; echo "$https_proxy"\nRUN env; ls /dev\n'
    setting("https-proxy", "http://user:pw@proxy.invalid:3128")  # type: ignore[operator]
    assert "pw" not in machine.paas("builder:report", "--global").text
    assert "-----BEGI" not in build(text).text
    setting("trust-host-ca", "true")  # type: ignore[operator]
    done = build(text, "--no-cache")
    assert "-----BEGI" in done.text and "http://user:pw@proxy.invalid:3128\n" in done.text
    assert "(3 of 3 steps cached)" not in done.text
    setting("https-proxy", "")  # type: ignore[operator]
    assert "(2 of 3 steps cached)" in build(text).text, "neither belongs to the cache key"


def test_a_certificate_that_is_not_trusted_is_met_with_what_to_do(build: Build, setting: object) -> None:
    text = "FROM tiny:1\nRUN echo 'SSL certificate problem: unable to get local issuer certificate'; exit 60\n"
    failed = build(text, check=False)
    assert failed.status == 1 and "builder:set APP trust-host-ca true" in failed.error
    setting("trust-host-ca", "true")  # type: ignore[operator]
    assert "trust-host-ca" not in build(text, check=False).error


def test_prune_drops_what_only_the_cache_needs(machine: Machine, build: Build) -> None:
    build("FROM tiny:1\nRUN echo cached >/x\n")
    kept = build("FROM tiny:1\nRUN echo kept >/x\n", "-t", "kept")
    assert kept.status == 0
    report = json.loads(machine.paas("builder:report", "--global", "--format", "json").text)
    assert report["builder-cache-entries"] > 0
    assert "Freed" in machine.paas("builder:prune").text
    assert "(0 of 2 steps cached)" in build("FROM tiny:1\nRUN echo cached >/x\n").text
    assert "(2 of 2 steps cached)" not in build("FROM tiny:1\nRUN echo kept >/x\n").text
    machine.paas("build", "-", input=b"FROM kept\nRUN cat /x\n")


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    return machine.client("pusher", admin=True)


def app(message: str, dockerfile: str) -> dict[str, bytes | str]:
    return {**httpd(message), "Dockerfile": dockerfile}


SERVE = 'CMD ["/bin/sh", "-c", "exec httpd -f -p $PORT -h /www"]\n'


def test_a_push_with_arguments_and_secrets_from_config_vars(machine: Machine, client: Client) -> None:
    dockerfile = (
        "FROM scratch\nADD root.tar /\nENV PATH=/bin\nARG COLOUR\nARG SIZE=small\n"
        'RUN --mount=type=secret,id=token,required cat /run/secrets/token; echo "$COLOUR $SIZE" >/www/index.html\n'
        + SERVE
    )
    repository = client.repository("argued", app("", dockerfile))
    try:
        client.ssh("apps:create", "argued")
        client.ssh("config:set", "argued", "TOKEN=open-sesame", "COLOUR=blue", "--no-restart")
        refused = repository.push("argued", check=False)
        assert refused.status != 0 and "no secret 'token'" in refused.error
        client.ssh("docker-options:add", "argued", "build", "--build-arg", "COLOUR")
        client.ssh("docker-options:add", "argued", "build", "--build-arg=SIZE=large size")
        client.ssh("docker-options:add", "argued", "build", "--secret", "id=token,env=TOKEN")
        pushed = repository.push("argued")
        assert machine.get("argued").text == "blue large size\n"
        assert "open-sesame" not in pushed.error and "*****" in pushed.error
        for place in ("builds", "layers", "log"):
            assert machine.run(["grep", "-rl", "open-sesame", str(machine.data_dir / place)], check=False).text == ""
        report = json.loads(client.ssh("docker-options:report", "argued", "--format", "json").text)
        assert "--build-arg COLOUR" in report["docker-options-build"]
        client.ssh("docker-options:remove", "argued", "build", "--build-arg=SIZE=large size")
        assert client.ssh("docker-options:remove", "argued", "build", "--nope", check=False).status == 1
        assert client.ssh("docker-options:add", "argued", "deploy", "-v", "/a:/b", check=False).status == 1
        assert client.ssh("docker-options:add", "argued", "build", "--privileged", check=False).status == 1
        client.ssh("ps:rebuild", "argued")
        assert machine.get("argued").text == "blue small\n"
        listed = builds(machine, "argued")
        assert [entry["status"] for entry in listed] == ["succeeded", "succeeded", "failed"]
        assert "Application deployed" in client.ssh("builds:output", "argued", "current").text
    finally:
        machine.paas("apps:destroy", "argued", "--force")


def test_a_part_of_a_repository_and_another_dockerfile(machine: Machine, client: Client) -> None:
    files = {f"services/web/{name}": content for name, content in httpd("from below").items()}
    files["services/web/deploy/Containerfile"] = files.pop("services/web/Dockerfile")
    repository = client.repository("part", {**files, "README": "top"})
    try:
        client.ssh("apps:create", "part")
        client.ssh("builder:set", "part", "build-dir", "services/web")
        refused = repository.push("part", check=False)
        assert "has no Dockerfile" in refused.error
        client.ssh("builder-dockerfile:set", "part", "dockerfile-path", "deploy/Containerfile")
        repository.push("part")
        assert machine.get("part").text == "from below\n"
        report = json.loads(client.ssh("builder:report", "part", "--format", "json").text)
        assert report["builder-computed-build-dir"] == report["builder-build-dir"] == "services/web"
        client.ssh("builder:set", "part", "build-dir", "nowhere")
        repository.commit({"README": "changed"})
        assert "no directory 'nowhere'" in repository.push("part", check=False).error
    finally:
        machine.paas("apps:destroy", "part", "--force")


def test_a_deploy_is_cancelled_and_the_old_release_serves_on(machine: Machine, client: Client) -> None:
    repository = client.repository("cancelled", httpd("one"))
    try:
        repository.push("cancelled")
        slow = "FROM scratch\nADD root.tar /\nENV PATH=/bin\nRUN echo begun; sleep 60\n" + SERVE
        repository.commit({"Dockerfile": slow})
        done: list[object] = []
        pushing = threading.Thread(target=lambda: done.append(repository.push("cancelled", check=False)))
        pushing.start()
        wait_until(lambda: "begun" in _newest_output(machine), "the build runs")
        client.ssh("builds:cancel", "cancelled")
        pushing.join(20)
        assert done and done[0].status != 0  # type: ignore[attr-defined]
        assert machine.get("cancelled").text == "one\n"
        assert builds(machine, "cancelled")[0]["status"] == "cancelled"
    finally:
        machine.paas("apps:destroy", "cancelled", "--force")


def test_an_app_that_is_destroyed_leaves_no_output_and_no_cache(machine: Machine, client: Client) -> None:
    caches = machine.data_dir / "caches"
    before = set(caches.iterdir())
    dockerfile = "FROM scratch\nADD root.tar /\nENV PATH=/bin\nRUN --mount=type=cache,target=/c touch /c/x\n" + SERVE
    client.repository("leaver", app("one", dockerfile)).push("leaver")
    number = builds(machine, "leaver")[0]["id"]
    assert len(set(caches.iterdir()) - before) == 1
    assert (machine.data_dir / f"builds/{number}.log").exists()
    machine.paas("apps:destroy", "leaver", "--force")
    assert set(caches.iterdir()) == before
    assert not (machine.data_dir / f"builds/{number}.log").exists()


def _newest_output(machine: Machine) -> str:
    logs = sorted((machine.data_dir / "builds").glob("*.log"), key=lambda path: int(path.stem))
    return logs[-1].read_text() if logs else ""


def test_an_engine_that_is_killed_in_a_build_leaves_nothing_of_it(new_machine: MachineMaker) -> None:
    machine = new_machine()
    place = machine.disk / "context"
    slow = "FROM scratch\nADD root.tar /\nENV PATH=/bin\nRUN echo begun; sleep 60\n"
    write(place, {"Dockerfile": slow, "root.tar": busybox_root()})
    output = machine.disk / "output"
    with output.open("wb") as file:
        process = machine.start([PAAS, "build", str(place)], stdout=file, stderr=file)
    wait_until(lambda: "begun" in output.read_text(), "the step runs")
    machine.engine_kill()
    process.wait(10)
    machine.engine_start()
    assert builds(machine)[0]["status"] == "failed"
    assert not machine.run(["pgrep", "-x", "sleep"], check=False).text
    mounts = machine.run(["cat", "/proc/mounts"]).text
    assert f"{machine.run_dir}/build" not in mounts and "/bundles/" not in mounts
    left = machine.run(["find", "/sys/fs/cgroup", "-maxdepth", "3", "-path", f"*/{machine.name}/build-*"], check=False)
    assert not left.text
    write(place, {"Dockerfile": slow.replace("sleep 60", "true")})
    assert "begun" in machine.paas("build", str(place)).text


def test_the_same_commit_built_from_nothing_on_two_machines_is_the_same_image(new_machine: MachineMaker) -> None:
    found = []
    dockerfile = "FROM scratch\nADD root.tar /\nCOPY . /www/\nWORKDIR /www\n" + SERVE
    files: dict[str, bytes | str] = {"Dockerfile": dockerfile, "root.tar": busybox_root(), "index.html": "same\n"}
    for _ in range(2):
        machine = new_machine()
        repository = machine.client(admin=True).repository("same")
        repository.commit(files, when="2026-01-02T03:04:05Z")
        repository.push("same")
        found.append(builds(machine, "same")[0]["image"])
        assert re.fullmatch("sha256:[0-9a-f]{64}", str(found[0]))
    assert found[0] == found[1]
