"""Build steps: what they leave, what they see, and how they end."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from paas.errors import Conflict, InvalidInput
from paas.runtime.cgroups import Limits
from paas.runtime.spec import LayersMount, MemoryMount, SecretFile
from paas.runtime.steps import Deadline

from .host import Host


def test_what_a_step_changes_is_the_layer(host: Host) -> None:
    script = "echo hi >/root/made; chown 33 /root/made; rm /old/file; echo out; echo err >&2; id -u"
    ended, text, upper = host.step("sh", "-c", script, resolv_conf="nameserver 192.0.2.1\n")
    assert (ended.exit_code, ended.oom) == (0, False)
    assert text.split() == ["out", "err", "0"]
    assert (upper / "root/made").stat().st_uid == 33
    assert (upper / "old/file").is_char_device()
    assert not (upper / "etc/resolv.conf").exists() and not (upper / "etc/hosts").exists()
    assert host.container_cgroups() == []


def test_steps_of_one_bench_share_its_namespaces_and_its_cgroup(host: Host) -> None:
    before = set(host.container_cgroups())
    with host.steps.build(Limits(memory=64 << 20, pids=20)) as build, build.bench() as bench:
        first = host.step("readlink", "/proc/self/ns/user", bench=bench)[1]
        groups = set(host.container_cgroups()) - before
        second = host.step("readlink", "/proc/self/ns/user", bench=bench)[1]
        assert first == second != os.readlink("/proc/self/ns/user")  # noqa: PTH115
        assert {path.name for path in groups} == {path.name for path in set(host.container_cgroups()) - before}
    assert set(host.container_cgroups()) == before


def test_a_failing_step(host: Host) -> None:
    assert host.step("sh", "-c", "exit 42")[0].exit_code == 42


def test_a_command_that_is_not_there(host: Host) -> None:
    ended, text, _ = host.step("/no/such/thing")
    assert ended.exit_code != 0
    assert "no/such/thing" in text


def test_a_bad_user(host: Host) -> None:
    with pytest.raises(InvalidInput):
        host.step("true", user="nobody-here")


def test_standard_input_is_empty(host: Host) -> None:
    assert host.step("cat")[0].exit_code == 0


def test_out_of_memory(host: Host) -> None:
    ended, _, _ = host.step("sh", "-c", "x=a; while :; do x=$x$x; done", memory=16 << 20)
    assert ended.exit_code == 128 + signal.SIGKILL and ended.oom


def test_too_many_processes(host: Host) -> None:
    script = "for i in $(seq 100); do sleep 5 & done; wait"
    ended, text, _ = host.step("sh", "-c", script)
    assert ended.exit_code != 0 and "fork" in text


def test_what_it_leaves_running_ends_with_it(host: Host) -> None:
    began = time.monotonic()
    ended, _, _ = host.step("sh", "-c", "sleep 30 & exit 0")
    assert ended.exit_code == 0
    assert time.monotonic() - began < 10
    assert host.container_cgroups() == []


def test_an_error_of_who_watches_ends_it(host: Host) -> None:
    deadline = Deadline(0.5)

    def late() -> bool:
        deadline.check()
        return False

    began = time.monotonic()
    with pytest.raises(Conflict, match="longer than"):
        host.step("sh", "-c", "trap '' TERM; while :; do sleep 1; done", stopped=late)
    assert time.monotonic() - began < 5
    assert host.container_cgroups() == [] and not host.processes()


def test_cancel_ends_everything_it_started(host: Host) -> None:
    began = time.monotonic()
    script = "(while :; do date >>/root/clock; sleep 0.01; done) & while :; do sleep 1; done"
    ended, _, upper = host.step(
        "sh", "-c", script, stopped=lambda: bool(list(host.top.glob("step-*/upper/root/clock")))
    )
    assert ended.exit_code != 0
    assert time.monotonic() - began < 5
    size = (upper / "root/clock").stat().st_size
    time.sleep(0.1)
    assert (upper / "root/clock").stat().st_size == size
    assert host.container_cgroups() == [] and not host.processes()


def test_steps_leave_no_bundles(host: Host) -> None:
    host.step("true")
    assert list(host.paths.bundles.iterdir()) == []


SECRET = SecretFile("/run/secrets/token", b"sesame", 0o440, 33, 33)
MOUNTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a directory of other layers": (
        "cat /there/file; touch /there/x 2>&1",
        {"layers_mounts": (LayersMount("/there", (1,), "old"),)},
        "belowtouch: /there/x: Read-only file system\n",
    ),
    "a file of other layers": (
        "cat /deep/in/there",
        {"layers_mounts": (LayersMount("/deep/in/there", (1,), "old/file"),)},
        "below",
    ),
    "what is written to a writable one": (
        "echo new >/there/file; cat /there/file",
        {"layers_mounts": (LayersMount("/there", (1,), "old", writable=True),)},
        "new\n",
    ),
    "memory": (
        "grep -c ' /mem tmpfs .*size=1024k' /proc/mounts",
        {"memory_mounts": (MemoryMount("/mem", 1 << 20),)},
        "1\n",
    ),
    "a secret": (
        "cat /run/secrets/token; stat -c ' %a %u:%g' /run/secrets/token",
        {"secret_files": (SECRET,)},
        "sesame 440 33:33\n",
    ),
    "a directory made for a mount belongs to root": (
        "stat -c %u /deep",
        {"layers_mounts": (LayersMount("/deep/in", (1,), "old"),)},
        "0\n",
    ),
}


@pytest.mark.parametrize(("script", "fields", "expected"), MOUNTS.values(), ids=MOUNTS.keys())
def test_mounts_of_a_step_leave_no_trace(host: Host, script: str, fields: dict[str, Any], expected: str) -> None:
    ended, text, upper = host.step("sh", "-c", f"{script}; true", **fields)
    assert (ended.exit_code, text.replace("'", "")) == (0, expected)
    assert not [name for name in ("there", "deep", "mem", "run") if (upper / name).exists()]
    below = host.paths.layers / "1" / "old" / "file"
    assert below.read_text() == "below"


def test_without_network_there_is_only_the_loopback(host: Host) -> None:
    _, text, _ = host.step("sh", "-c", "ls /sys/class/net; cat /sys/class/net/lo/flags", network="none")
    assert text.split() == ["lo", "0x9"]
