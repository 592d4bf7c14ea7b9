"""The tutorial, run as a newcomer would run it."""

from __future__ import annotations

from paas.paths import PROJECT
from tests.machine import Machine


def test_it_runs_from_top_to_bottom(machine: Machine) -> None:
    before = machine.paas("images", "-q").text
    path = f"PATH={PROJECT / 'scripts'}:/usr/sbin:/usr/bin:/sbin:/bin"
    script = str(PROJECT / "examples" / "tutorial" / "tutorial.sh")

    done = machine.run(["env", path, "sh", script], timeout=600, check=False)

    assert done.status == 0, f"{done.text[-3000:]}\n{done.error[-3000:]}"
    lines = done.text.splitlines()
    assert "Hello from inside" in lines and "mine" in lines and "A /usr/bin/git" in lines
    assert any(line.startswith("git version 2.") for line in lines)
    assert "The image tutorial-git:latest is used by container tutorial-box" in done.error
    assert lines.count("This page is yours") == 2
    assert any(line.split()[:1] == ["localhost:5999/wiki"] for line in lines), "search finds it"
    assert "tutorial" not in machine.paas("ps", "-a").text + machine.paas("volume", "ls").text
    assert machine.paas("images", "-q").text == before
