"""docker-options:* of the phases deploy and run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paas.errors import InvalidInput
from paas.model import Mount
from paas.runtime import flags
from tests.holding.conftest import APP, Held

KEPT = Path("/var/lib/paas/storage")


def test_flags_as_docker_reads_them() -> None:
    found = flags.parse(
        [
            "-v data:/data:ro",
            "--volume=/srv/x:/x",
            "--mount type=tmpfs,target=/scratch,tmpfs-size=1m",
            "-e 'A=b c' --env=D=e=f",
            "-m 64m --memory-swap -1 --cpus=1.5",
            "--cap-drop ALL --cap-add=NET_BIND_SERVICE",
            "--ulimit nofile=10:20",
            "--add-host db:10.0.0.1 --add-host=v6=::1",
            "--read-only --no-init",
            "--restart on-failure:3 --stop-timeout 5",
            "--security-opt no-new-privileges:true",
        ],
        KEPT,
    )
    assert found.mounts == (Mount(KEPT / "data", "/data", True), Mount(Path("/srv/x"), "/x"))
    assert found.env == {"A": "b c", "D": "e=f"}
    assert (found.memory, found.memory_swap, found.cpus) == (64 << 20, -1, 1.5)
    assert found.hosts == (("db", "10.0.0.1"), ("v6", "::1"))
    assert found.read_only and found.init is False and str(found.restart) == "on-failure:3"
    assert found.tmpfs[0].size == 1 << 20 and found.ulimits[0].hard == 20
    below = flags.parse([f"-v {KEPT}/data/deep/er:/d"], KEPT).mounts[0]
    assert (below.source, below.subpath) == (KEPT / "data", "deep/er"), "what is below is the containers' own"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--privileged", "nobody outside"),
        ("--device /dev/kvm", "devices"),
        ("--pid=host", "its own"),
        ("--network host", "network of its own"),
        ("-p 80:80", "ports:add"),
        ("--security-opt seccomp=unconfined", "walls"),
        ("--cap-add SYS_ADMIN", "capability"),
        ("--ulimit rtprio=99", "rtprio"),
        ("-v ../x:/x", "neither a plain name"),
        ("-v data:/proc/1", "mounted over"),
        ("-v data:/", "mounted over"),
        ("-v data://", "mounted over"),
        ("-v data:/etc/../proc", "mounted over"),
        ("-v /srv/../etc:/x", "contains"),
        ("-e SECRET", "no value"),
        ("--frobnicate", "Known|not a flag"),
        ("--memory", "needs a value"),
        ("'--env=A", "quote"),
        ("", "empty"),
        ("--add-host db:10.0.0.1\n1.2.3.4", "not a flag"),
        ("--user ''", "no value"),
        ("--tmpfs /x:size=0", "size"),
    ],
)
def test_flags_that_are_refused(option: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        flags.parse([option], KEPT)


def test_values_of_variables_are_not_in_errors() -> None:
    with pytest.raises(InvalidInput) as error:
        flags.parse(["--env 1 hunter2"], KEPT)
    assert "hunter2" not in f"{error.value} {error.value.hint}" or "--env" not in str(error.value)


def test_containers_are_made_with_them(held: Held) -> None:
    first, before = held.current(), held.ids()
    held.ssh("docker-options:add", "--process", "worker", APP, "deploy", "-e 'GREETING=hello  world'")
    after = held.ids()
    assert after["web.1"] == before["web.1"] and after["worker.1"] != before["worker.1"], "only workers are replaced"
    assert "GREETING=hello  world\n" in held.inside("worker.1", "env")
    assert "GREETING" not in held.inside("web.1", "env")

    held.ssh("docker-options:add", APP, "deploy,run", "--shm-size", "3m")
    more = "--ulimit nofile=123:456 --tmpfs /scratch:size=1m --read-only --user nobody --workdir=/www --pids-limit 77"
    held.ssh("docker-options:add", "--process=web", APP, "deploy", f"{more} --label colour=red --stop-signal INT")
    held.ssh("docker-options:add", APP, "run", "--add-host=elsewhere:10.9.8.7")
    assert "/dev/shm tmpfs" in held.inside("web.1", "grep", "/dev/shm", "/proc/mounts")
    assert "size=3072k" in held.inside("web.1", "grep", "/dev/shm", "/proc/mounts")
    assert "123" in held.inside("web.1", "grep", "open files", "/proc/1/limits")
    assert "size=1024k" in held.inside("web.1", "grep", "/scratch", "/proc/mounts")
    status = held.inside("web.1", "sh", "-c", "pwd; touch /www/x || echo read-only; grep Uid /proc/1/status")
    assert status.split()[:2] == ["/www", "read-only"] and status.split()[3] == "65534"
    (web,) = [entry for entry in json.loads(held.ssh("ps:inspect", APP)) if entry["Id"] == held.ids()["web.1"]]
    assert web["Config"]["Labels"]["colour"] == "red"
    assert held.cgroup(web["Id"], "pids", "pids.max", "pids.max") == "77"
    run = held.ssh("run", APP, "sh", "-c", "cat /etc/hosts /proc/mounts")
    assert "10.9.8.7\telsewhere" in run and "size=3072k" in run and "/scratch" not in run

    assert held.json("docker-options:list", "--phase", "deploy", APP)[0] == "--shm-size 3m"
    report = held.json("docker-options:report", APP)
    assert report["docker-options-deploy.worker"] == "-e 'GREETING=hello  world'"
    diff = held.ssh("releases:diff", APP, str(first))
    assert "docker-options:deploy@worker: --env GREETING=*****" in diff and "hello" not in diff

    held.refused("docker-options:remove", APP, "deploy", "--shm-size 4m")
    held.ssh("docker-options:remove", APP, "deploy,run", "--shm-size 3m")
    assert "size=65536k" in held.inside("web.1", "grep", "/dev/shm", "/proc/mounts")
    full = held.current()
    held.ssh("docker-options:clear", APP)
    assert set(held.json("docker-options:report", APP).values()) == {""}
    held.ssh("releases:rollback", APP, str(full))
    assert "123" in held.inside("web.1", "grep", "open files", "/proc/1/limits")
    held.ssh("releases:rollback", APP, str(first))
    assert set(held.json("docker-options:report", APP).values()) == {""}


def test_refusals_change_nothing(held: Held) -> None:
    first, before = held.current(), held.ids()
    said = held.refused("docker-options:add", APP, "deploy", "--frobnicate", "x")
    assert "--volume" in said, "those that are known are listed"
    assert "nobody" in held.refused("docker-options:add", APP, "deploy,run", "--privileged")
    assert "admin" in held.refused("docker-options:add", APP, "deploy", "-v /etc:/host")
    assert "admin" in held.refused("docker-options:add", APP, "deploy", "--pids-limit 100000")
    held.refused("docker-options:add", APP, "deploy,nowhere", "--read-only")
    held.refused("docker-options:add", "missing-app", "deploy", "--read-only", status=20)
    held.refused("docker-options:add", "--process", "web", APP, "run", "--read-only")
    held.refused("docker-options:add", APP, "build,deploy", "--shm-size 1m")
    held.refused("docker-options:list", APP, status=2)
    assert (held.current(), held.ids()) == (first, before)
    assert json.loads(held.ssh("docker-options:list", "--phase", "build", APP, "--format", "json")) == []


def test_what_the_image_cannot_do_leaves_the_old_ones(held: Held) -> None:
    first, before = held.current(), held.ids()
    assert "nobody-there" in held.refused("docker-options:add", APP, "deploy", "--user nobody-there")
    assert (held.current(), held.ids()) == (first, before)
    assert held.json("docker-options:report", APP)["docker-options-deploy"] == ""
