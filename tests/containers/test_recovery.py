"""What outlives an engine and a power cut, and what is cleaned up after them."""

from __future__ import annotations

from paas.paths import PROJECT
from tests.containers.conftest import status
from tests.harness.waiting import wait_until
from tests.machine import Machine

SERVE = "httpd -p 80 -h /www; while :; do sleep 0.2; done"
_PAAS = str(PROJECT / "scripts" / "paas")


def answers(machine: Machine, path: str = "/kept") -> bool:
    try:
        return machine.get("any", path, port=8080, timeout=1).status == 200
    except OSError:
        return False


def test_containers_outlive_the_engine_and_come_back_after_a_power_cut(fresh: Machine) -> None:
    fresh.paas("run", "-d", "--name", "kept", "-p", "8080:80", "tiny:1", "sh", "-c", SERVE)
    fresh.paas("exec", "kept", "sh", "-c", "echo kept >/www/kept")
    fresh.paas("run", "-d", "--rm", "--name", "passing", "tiny:1", "sleep", "600")
    fresh.paas("run", "-d", "--name", "ending", "tiny:1", "sh", "-c", "sleep 1; exit 6")
    fresh.paas("run", "-d", "--name", "held", "tiny:1", "sleep", "600")
    fresh.paas("pause", "held")
    wait_until(lambda: answers(fresh), "it serves")

    fresh.engine_kill()
    assert answers(fresh), "it serves while no engine runs"
    fresh.run(["sleep", "1.5"])
    fresh.engine_start()

    assert answers(fresh)
    assert status(fresh.paas, "kept").startswith("Up ")
    assert status(fresh.paas, "held").endswith("(Paused)")
    assert status(fresh.paas, "ending").startswith("Exited (6)"), "what ended meanwhile has its status"
    fresh.paas("unpause", "held")
    fresh.paas("exec", "kept", "ls", "/www/kept")
    assert fresh.engine_stop() == 0
    assert answers(fresh)

    fresh.power_off()
    fresh.boot()
    fresh.engine_start()

    assert status(fresh.paas, "kept").startswith("Exited (255)")
    assert status(fresh.paas, "passing") == ""
    fresh.paas("start", "kept")
    wait_until(lambda: answers(fresh), "it serves again, with what it wrote")
    fresh.paas("rm", "-f", "kept", "ending", "held")
    assert fresh.paas("ps", "-aq").text == ""
    wait_until(lambda: not list((fresh.data_dir / "containers").iterdir()), "their files are gone")


def test_what_was_made_only_half_is_cleaned_up(fresh: Machine) -> None:
    for _ in range(6):
        run = fresh.start(
            ["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do " + _PAAS + " run -d --name n$i tiny:1 sleep 600; done"]
        )
        wait_until(lambda: list((fresh.data_dir / "containers").iterdir()), "the first is being made")
        fresh.engine_kill()
        run.wait(30)
        fresh.engine_start()
        listed = fresh.paas("ps", "-a", "-q", "--no-trunc").text.split()
        wait_until(
            lambda listed=listed: {e.name for e in (fresh.data_dir / "containers").iterdir()} == set(listed),  # type: ignore[misc]
            "what no row knows is gone",
        )
        assert all(status(fresh.paas, name).startswith("Up ") for name in _names(fresh))
        if listed:
            fresh.paas("rm", "-f", *listed)
        wait_until(lambda: not list((fresh.data_dir / "containers").iterdir()), "their files are gone")


def _names(machine: Machine) -> list[str]:
    return [line.split()[-1] for line in machine.paas("ps", "-a").text.splitlines()[1:]]
