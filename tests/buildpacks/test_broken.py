"""Packs that are broken, the server's and an app's own: whom that stops, and whom it does not."""

from __future__ import annotations

import shutil

import pytest

from paas.buildpacks import catalog
from tests.buildpacks.conftest import Apps, example
from tests.machine import Machine


def test_a_broken_pack_of_the_server_stops_only_what_it_would_build(own_program: Machine) -> None:
    machine, client = own_program, own_program.client("broken")
    packs = machine.project / "buildpacks"
    python = (packs / "python/Dockerfile.j2").read_text()
    manifest = (packs / "static/buildpack.yml").read_text()
    (packs / "static/buildpack.yml").write_text(manifest + "wrong: 1\n")
    (packs / "halfway").mkdir()
    (packs / "python/Dockerfile.j2").write_text("FROM x\n{% if %}\n")

    worker = client.repository("worker", {"Procfile": "worker: ./work\n", "work": "#!/bin/sh\nexec sleep 60\n"})
    said = worker.push("worker").error
    assert "Buildpack procfile (Procfile)" in said
    assert "The buildpack halfway of this server is broken, and was left out: buildpacks/halfway has no" in said

    site = client.repository("site", example("static"))
    line = manifest.count("\n") + 1
    place = f"buildpacks/static/buildpack.yml:{line}: wrong: 'wrong' is not known"
    refused = site.push("site", check=False)
    assert refused.status != 0 and f"The buildpack static of this server is broken: {place}" in refused.error
    listed = client.ssh("buildpacks:list", "worker")
    assert place in listed.error and "buildpacks/python/Dockerfile.j2:2: " in listed.error
    assert place in client.ssh("buildpacks:report", "worker", "--buildpacks-broken").text

    (packs / "static/buildpack.yml").write_text(manifest)
    shutil.rmtree(packs / "halfway")
    said = site.push("site", timeout=300).error
    assert "A folder of HTML" in machine.get("site").text and "halfway" not in said
    (packs / "python/Dockerfile.j2").write_text(python)
    assert client.ssh("buildpacks:list", "worker").error == ""


_OURS = ".paas/buildpacks/ours"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "buildpack.yml",
            "title: Ours\ndetcet: {file: x}\n",
            f"{_OURS}/buildpack.yml:2: detcet: 'detcet' is not known",
        ),
        ("Dockerfile.j2", "FROM {{ base }}\n{{ nothing }}\n", f"{_OURS}/Dockerfile.j2:2: 'nothing' is undefined"),
        ("Dockerfile.j2", "FROM {{ base }}\n{% for %}\n", f"{_OURS}/Dockerfile.j2:2: "),
    ],
)
def test_a_broken_pack_of_an_app_stops_that_app_with_file_and_line(
    apps: Apps, file: str, text: str, message: str
) -> None:
    pack = {f"{_OURS}/buildpack.yml": "detect: {file: x}\n", f"{_OURS}/Dockerfile.j2": "FROM {{ base }}\n"}
    said = apps.refused("broken-own", {"x": "", "Procfile": "web: x", **pack, f"{_OURS}/{file}": text})
    assert message in said


def test_every_pack_of_the_program_is_whole() -> None:
    assert not catalog.current().broken
