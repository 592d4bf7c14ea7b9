"""From create to remove: states, exit status, limits, stop."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from typing import Any

import pytest

from paas.errors import InvalidInput, NotFound, SystemFailure
from paas.runtime.runtime import Runtime, Status
from paas.runtime.sandbox import SandboxPool
from paas.runtime.spec import Allowance, new_id

from .host import Host, eventually, sandbox_of


def test_exit_status_and_output(host: Host) -> None:
    id = host.boot("sh", "-c", "echo out; echo err >&2; exit 7")
    assert host.runtime.wait(id, timeout=10) == 7
    assert host.runtime.status(id) == Status(running=False, exit_code=7)
    assert sorted(host.log(id).split()) == ["err", "out"]


def test_a_created_container_runs_nothing_yet(host: Host) -> None:
    spec = host.spec("sh", "-c", "echo ran")
    host.runtime.create(spec, host.pool.take())
    assert host.runtime.status(spec.id).running
    assert host.runtime.wait(spec.id, timeout=0.1) is None
    assert not host.runtime.log_path(spec.id).read_text()
    host.runtime.start(spec.id)
    assert host.runtime.wait(spec.id, timeout=10) == 0
    assert host.log(spec.id) == "ran\n"


def test_killed_by_a_signal(host: Host) -> None:
    id = host.boot("sleep", "60")
    host.runtime.signal(id, "KILL")
    assert host.runtime.wait(id, timeout=10) == 128 + signal.SIGKILL
    assert not host.runtime.status(id).oom


def test_memory_limit(host: Host) -> None:
    id = host.boot("sh", "-c", "x=a; while :; do x=$x$x; done", allowance=Allowance(memory=16 << 20))
    assert host.runtime.wait(id, timeout=20) == 128 + signal.SIGKILL
    assert host.runtime.status(id).oom


def test_process_limit(host: Host) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all"
    id = host.boot("sh", "-c", script, pids=5)
    assert host.runtime.wait(id, timeout=10) != 0
    assert "all" not in host.log(id)


def test_stop_asks_first(host: Host) -> None:
    id = host.boot("sh", "-c", "trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.05; done")
    assert eventually(lambda: "up" in host.log(id))
    host.runtime.stop(id, grace=10)
    assert host.runtime.status(id) == Status(running=False, exit_code=3)
    assert "asked" in host.log(id)


def test_stop_uses_the_images_signal(host: Host) -> None:
    script = "trap 'exit 4' USR1; echo up; while :; do sleep 0.05; done"
    id = host.boot("sh", "-c", script, stop_signal="SIGUSR1")
    assert eventually(lambda: "up" in host.log(id))
    host.runtime.stop(id, grace=10)
    assert host.runtime.status(id).exit_code == 4


def test_stop_kills_what_does_not_listen(host: Host) -> None:
    id = host.boot("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    assert eventually(lambda: "up" in host.log(id))
    began = time.monotonic()
    host.runtime.stop(id, grace=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    assert host.runtime.status(id).exit_code == 128 + signal.SIGKILL


def test_init_passes_signals_on_and_reaps(host: Host) -> None:
    id = host.boot("sh", "-c", "sh -c 'sleep 0.1 &'; echo up; sleep 60", init=True)
    assert eventually(lambda: "up" in host.log(id))
    host.runtime.stop(id, grace=10)
    assert host.runtime.status(id).exit_code == 128 + signal.SIGTERM


def test_on_exit_tells_of_every_watched_container(host: Host) -> None:
    ended: list[str] = []
    host.runtime.on_exit(ended.append)
    long, short = host.boot("sleep", "60"), host.boot("true")
    assert eventually(lambda: ended == [short])
    host.runtime.stop(long, grace=0)
    assert eventually(lambda: ended == [short, long])


def test_a_removed_container_is_not_told_of(host: Host) -> None:
    ended: list[str] = []
    host.runtime.on_exit(ended.append)
    id = host.boot("sleep", "60")
    host.runtime.remove(id)
    other = host.boot("true")
    assert eventually(lambda: bool(ended))
    assert ended == [other]


@pytest.mark.parametrize("running", [True, False])
def test_remove_leaves_nothing(host: Host, running: bool) -> None:
    id = host.boot("sleep", "60") if running else host.boot("true")
    if not running:
        host.runtime.wait(id, timeout=10)
    host.runtime.remove(id)
    host.runtime.remove(id)
    assert id not in host.runtime.ids()
    assert host.container_cgroups() == []
    time.sleep(0.2)  # nothing may come back either: conmon notes the end of its container on its own time
    assert not host.processes()
    assert list(host.top.rglob(f"*{id}*")) == []


def test_removing_what_never_was(host: Host) -> None:
    host.runtime.remove(new_id())


def test_a_command_that_is_not_there(host: Host) -> None:
    spec = host.spec("/no/such/thing")
    with pytest.raises(SystemFailure, match="no/such/thing"):
        host.runtime.create(spec, host.pool.take())
        host.runtime.start(spec.id)
    host.runtime.remove(spec.id)


@pytest.mark.parametrize("fields", [{"user": "nobody-here"}, {"cwd": "/bin/busybox/x"}])
def test_bad_input_is_refused(host: Host, fields: dict[str, Any]) -> None:
    spec = host.spec("true", **fields)
    with pytest.raises(InvalidInput):
        host.runtime.create(spec, host.pool.take())
    host.runtime.remove(spec.id)


def test_unknown_container(host: Host) -> None:
    with pytest.raises(NotFound):
        host.runtime.spec(new_id())


def test_environment_is_not_kept_beside_the_container(host: Host) -> None:
    id = host.boot("sleep", "60", env={"SECRET": "hunter2-hunter2"})
    assert "hunter2" not in str(host.runtime.spec(id))
    config = host.paths.bundles / id / "config.json"
    assert config.stat().st_mode & 0o777 == 0o600


def test_streams_of_ones_own(host: Host) -> None:
    with tempfile.TemporaryFile() as into, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        into.write(b"hello\n")
        into.seek(0)
        script = "read x; echo got $x; echo bad >&2; exit 5"
        id = host.boot("sh", "-c", script, stdio=(into.fileno(), out.fileno(), err.fileno()))
        assert host.runtime.wait(id, timeout=10) == 5
        out.seek(0)
        err.seek(0)
        assert (out.read(), err.read()) == (b"got hello\n", b"bad\n")


def test_the_next_engine_finds_containers_again(host: Host) -> None:
    long, short = host.boot("sleep", "60"), host.boot("sh", "-c", "sleep 0.3; exit 9")
    used = [sandbox_of(host, id) for id in (long, short)]
    host.pool.close()

    after = Runtime(host.settings, host.paths)
    after.prepare()
    pool = SandboxPool(host.settings, host.paths, host.links)
    pool.start([sandbox.address for sandbox in used])
    try:
        assert after.ids() == {long, short}
        assert [pool.at(sandbox.address) for sandbox in used] == used
        told = threading.Event()
        after.on_exit(lambda id: told.set() if id == short else None)
        after.watch(short)
        assert told.wait(10)
        assert after.status(short) == Status(running=False, exit_code=9)
        after.stop(long, grace=0)
        assert after.status(long).exit_code == 128 + signal.SIGKILL
        assert after.spec(long)["args"] == ["sleep", "60"]
        later = host.spec("true")
        after.create(later, pool.take())
        after.start(later.id)
        assert after.wait(later.id, timeout=10) == 0
    finally:
        pool.close()
        for id in after.ids():
            after.remove(id)


def test_no_zombies(host: Host) -> None:
    for _ in range(3):
        host.runtime.remove(host.boot("true"))
    host.pool.close()
    assert host.zombies() == []


def test_what_is_discarded_goes_by_itself(host: Host) -> None:
    id = host.boot("sleep", "60")
    host.runtime.discard(id)
    host.runtime.discard(id)
    assert host.runtime.pid(id) is None and id not in host.runtime.ids()
    assert host.container_cgroups() == []
    assert eventually(lambda: not host.runtime.ids())


def test_a_volatile_container_begins_again_with_what_it_wrote(host: Host) -> None:
    spec = host.spec("sh", "-c", "cat /was; echo written >/was", volatile=True)
    for _ in range(2):
        sandbox = host.pool.take()
        host.runtime.create(spec, sandbox)
        host.runtime.start(spec.id)
        assert host.runtime.wait(spec.id, timeout=10) == 0
        host.runtime.put_away(spec.id)
        host.pool.let_go(sandbox)
    assert host.log(spec.id).endswith("written\n")


def test_one_that_is_frozen_can_be_removed(host: Host) -> None:
    id = host.boot("sleep", "60")
    host.runtime.pause(id)
    host.runtime.remove(id)
    assert host.container_cgroups() == [] and not host.processes()
