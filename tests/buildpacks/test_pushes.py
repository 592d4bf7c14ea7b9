"""Trees without a Dockerfile, pushed as a user would push them."""

from __future__ import annotations

import json

from tests.buildpacks.conftest import Apps, example
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.machine import Machine


def test_flask_is_installed_started_and_changed_without_a_dockerfile(machine: Machine, apps: Apps) -> None:
    repository, said = apps.push("flask", example("flask"))
    assert machine.get("flask").text == "Hello from Flask\n", said
    assert "Buildpack python (requirements.txt)" in said and "Python 3.11 of debian:bookworm" in said
    assert "web: exec gunicorn" in said
    user = machine.paas("run", "flask", "sh", "-c", "id -un; command -v gcc pip uv || echo none; echo $WEB_CONCURRENCY")
    name, tools, workers = user.text.split()
    assert (name, tools) == ("app", "none") and int(workers) >= 1

    changed = str(example("flask")["app.py"].decode()).replace("Hello from", "Again from")  # type: ignore[union-attr]
    repository.commit({"app.py": changed})
    said = repository.push("flask").error
    wait_until(lambda: machine.get("flask").text == "Again from Flask\n", "the new code answers", 5)


def test_a_folder_of_html_is_served_well(machine: Machine, apps: Apps) -> None:
    files = {**example("static"), "app.3f2a91bc.js": "x = 1;" * 200, ".secret": "x", "about.html": "About"}
    apps.push("static", files)
    page = machine.get("static")
    assert "A folder of HTML" in page.text and page.headers["cache-control"] == "no-cache"
    assert "immutable" in machine.get("static", "/app.3f2a91bc.js").headers["cache-control"]
    assert machine.get("static", "/about").text == "About"
    missing = machine.get("static", "/nowhere")
    assert missing.status == 404 and "There is no such page" in missing.text
    assert machine.get("static", "/.secret").status == 404


def test_a_procfile_alone_runs_what_it_says(machine: Machine, apps: Apps) -> None:
    script = "#!/bin/sh\nwhile :; do sleep 1; done\n"
    _, said = apps.push("procfile", {"Procfile": "worker: ./work\n", "work": script})
    assert "Buildpack procfile (Procfile)" in said
    apps.client.ssh("ps:scale", "procfile", "worker=1")
    assert "worker" in apps.client.ssh("ps:report", "procfile").text


def test_the_rendered_dockerfile_taken_over_makes_the_same_image(machine: Machine, apps: Apps, packer: Client) -> None:
    when = "2026-01-02T03:04:05Z"
    first = apps.make("rendered", {})
    first.commit(example("static"), when=when)
    first.push("rendered", timeout=300)
    text = packer.ssh("buildpacks:render", "rendered").text
    second = apps.make("owned", {})
    second.commit({**example("static"), "Dockerfile": text}, when=when)
    said = second.push("owned", timeout=300).error
    assert "from Dockerfile" in said

    def image(app: str) -> str:
        found = json.loads(machine.paas("releases:info", app, "--format", "json").text)
        return str(found["image"])

    assert image("rendered") == image("owned")
