"""Buildpacks from git repositories."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness.client import Client
from tests.machine import Machine
from tests.sources.conftest import GIT, Elsewhere

AppMaker = Callable[[str], str]


def kept(machine: Machine) -> list[str]:
    """Of all buildpacks that were fetched."""
    return [file.name for file in (machine.data_dir / "buildpacks").iterdir()]


def test_a_buildpack_of_a_repository_is_fetched_once_and_kept(
    machine: Machine, boss: Client, app: AppMaker, elsewhere: Elsewhere
) -> None:
    name = app("repopack")
    template = '{% import "static.j2" as s with context %}\n{{ s.site("", "www") }}\n'
    theirs = boss.repository("pack", {"buildpack.yml": "title: Theirs\n", "Dockerfile.j2": template})
    bare = elsewhere.directory / "pack.git"
    theirs.git("clone", "--quiet", "--bare", str(theirs.path), str(bare))
    url = f"git://127.0.0.1:{GIT}/pack.git"
    boss.ssh("buildpacks:set", name, url)
    work = boss.repository("repopack", {"www/index.html": "Theirs"})
    said = work.push(name).error
    assert "Fetching the buildpack" in said and machine.get(name).text == "Theirs"
    assert len(kept(machine)) == 1
    machine.paas("system:prune", "--force")
    assert len(kept(machine)) == 1
    assert theirs.head[:12] in boss.ssh("buildpacks:report", name).text
    theirs.commit({"Dockerfile.j2": "FROM scratch\n"})
    theirs.git("push", "--quiet", "--force", str(bare), "HEAD")
    work.commit({"www/index.html": "Again"})
    assert "Fetching the buildpack" not in work.push(name).error and machine.get(name).text == "Again"
    boss.ssh("buildpacks:set", name, url)
    assert machine.paas("system:prune", "--force").status == 0 and not kept(machine)
    refused = boss.ssh("ps:rebuild", name, check=False)
    assert refused.status != 0 and machine.get(name).text == "Again"
