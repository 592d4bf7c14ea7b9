"""Trees without a Dockerfile, pushed as a user would push them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paas.paths import PROJECT
from paas.system.run import Completed
from tests.buildpacks.conftest import Apps, example, golden
from tests.conftest import MachineMaker
from tests.harness.apps import httpd
from tests.harness.waiting import wait_until
from tests.machine import Machine


def in_directory(machine: Machine, place: Path, *words: str) -> Completed:
    """`paas WORDS` with a directory of the machine as the current one."""
    script = 'cd "$1" && shift && exec "$@"'
    return machine.run(["sh", "-c", script, "sh", str(place), str(PROJECT / "scripts/paas"), *words], check=False)


def test_flask_is_installed_started_and_changed_without_a_dockerfile(machine: Machine, apps: Apps) -> None:
    repository, said = apps.push("flask", example("flask"))
    assert machine.get("flask").text == "Hello from Flask\n", said
    assert "Buildpack python (requirements.txt)" in said and "Python 3.11 of debian:bookworm" in said
    assert "web: exec gunicorn" in said and "Preparing Python 3.11, once for all apps" in said
    user = machine.paas("run", "flask", "sh", "-c", "id -un; command -v gcc pip uv || echo none; echo $WEB_CONCURRENCY")
    name, tools, workers = user.text.split()
    assert (name, tools) == ("app", "none") and int(workers) >= 1
    apps.client.ssh("resource:limit", "--memory", "128m", "flask")
    assert machine.paas("run", "flask", "sh", "-c", "echo $WEB_CONCURRENCY").text.strip() == "1"
    apps.client.ssh("resource:limit-clear", "flask")

    changed = example("flask")["app.py"].decode().replace("Hello from", "Again from")
    repository.commit({"app.py": changed})
    said = repository.push("flask").error
    wait_until(lambda: machine.get("flask").text == "Again from Flask\n", "the new code answers", 5)

    repository.commit({"app.py": "import nowhere\n" + changed})
    broken = repository.push("flask", check=False)
    assert broken.status != 0 and "No module named 'nowhere'" in broken.error
    assert machine.get("flask").text == "Again from Flask\n"


def test_a_folder_of_html_is_served_well(machine: Machine, apps: Apps) -> None:
    files: dict[str, bytes | str] = {
        **example("static"),
        "app.3f2a91bc.js": "x = 1;" * 200,
        ".secret": "x",
        "about.html": "About",
    }
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


@pytest.mark.parametrize(
    ("case", "more"),
    [
        ("one", {}),
        ("named", {".buildpacks": "procfile\nheroku/static\n"}),
        (
            "json",
            {
                "app.json": '{"buildpacks": [{"url": "heroku/procfile"}, {"url": "heroku-community/static"}]}',
                "paas.yml": "root: site\napt: [tzdata]\n",
                "site/index.html": "<p>A folder of HTML</p>",
            },
        ),
    ],
)
def test_the_dockerfile_rendered_for_a_directory_makes_the_image_of_its_push(
    machine: Machine, apps: Apps, case: str, more: dict[str, bytes | str]
) -> None:
    when = "2026-01-02T03:04:05Z"
    files: dict[str, bytes | str] = {**example("static"), **more}
    first = apps.make(f"rendered-{case}", {})
    first.commit(files, when=when)
    said = first.push(f"rendered-{case}", timeout=300).error
    assert ("Buildpack procfile (it is set)" in said) == (case != "one"), said
    place = machine.disk / f"rendered-{case}"
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    text = in_directory(machine, place, "buildpacks:render", ".").text
    assert text == apps.client.ssh("buildpacks:render", f"rendered-{case}").text
    second = apps.make(f"owned-{case}", {})
    second.commit({**files, "Dockerfile": text}, when=when)
    said = second.push(f"owned-{case}", timeout=300).error
    assert "from Dockerfile" in said
    assert "A folder of HTML" in machine.get(f"owned-{case}").text

    def image(app: str) -> str:
        found = json.loads(machine.paas("releases:info", app, "--format", "json").text)
        return str(found["image"])

    assert image(f"rendered-{case}") == image(f"owned-{case}")


def test_django_collects_its_static_files_and_migrates(machine: Machine, apps: Apps) -> None:
    _, said = apps.push("django", example("django"))
    page = machine.get("django").text
    assert "Hello from Django" in page, said
    style = page.partition('href="')[2].partition('"')[0]
    assert "sans-serif" in machine.get("django", f"/{style.lstrip('/')}").text
    assert "python manage.py migrate --noinput" in said


def test_an_app_s_own_pack_is_used_and_ended_when_it_hangs(machine: Machine, apps: Apps) -> None:
    pack = "title: Ours\ndetect: {file: page.txt}\n"
    template = '{% import "static.j2" as static with context %}\n{{ static.site("", "www") }}\n'
    files = {
        ".paas/buildpacks/ours/buildpack.yml": pack,
        ".paas/buildpacks/ours/Dockerfile.j2": template,
        "page.txt": "",
        "www/index.html": "Ours",
    }
    repository, said = apps.push("ours", files)
    assert machine.get("ours").text == "Ours" and "Buildpack ours (page.txt)" in said
    repository.commit({".paas/buildpacks/ours/Dockerfile.j2": "{% for a in range(99999) %}{{ lipsum() }}{% endfor %}"})
    done = repository.push("ours", check=False)
    assert done.status != 0 and "did not come to an end" in done.error
    assert machine.get("ours").text == "Ours"


def test_a_dockerfile_wins_unless_the_app_says_otherwise(machine: Machine, apps: Apps) -> None:
    repository = apps.make("chosen", {**example("static"), "Dockerfile": "FROM debian:bookworm\nRUN false\n"})
    refused = repository.push("chosen", check=False)
    assert refused.status != 0 and "from Dockerfile" in refused.error
    apps.client.ssh("builder:set", "chosen", "selected", "buildpacks")
    repository.push("chosen")
    assert "A folder of HTML" in machine.get("chosen").text


def test_what_no_pack_recognises_is_refused_with_ways_on(machine: Machine, apps: Apps) -> None:
    said = apps.refused("unknown", {"notes": "x"})
    assert "no buildpack recognises it" in said and "requirements.txt" in said and "Procfile" in said


def test_packs_one_after_the_other(machine: Machine, apps: Apps) -> None:
    repository = apps.make("both", example("static"))
    repository.commit({".buildpacks": "# both\nprocfile\nheroku/static\n"})
    said = repository.push("both").error
    assert "Buildpack procfile (it is set)" in said and "Buildpack static (it is set)" in said
    assert "A folder of HTML" in machine.get("both").text
    assert "COPY --from=procfile-build /app/. /srv/site" in apps.client.ssh("buildpacks:render", "both").text
    apps.client.ssh("buildpacks:set", "--replace", "both", "static", "procfile")
    assert "static can only be the last one" in apps.client.ssh("ps:rebuild", "both", check=False).error


def test_a_config_var_for_the_build_is_seen_there_and_stays_nowhere(machine: Machine, apps: Apps) -> None:
    settings = example("django")["mysite/settings.py"].decode()
    files: dict[str, bytes | str] = {
        **example("django"),
        "mysite/settings.py": settings + "\nprint('key', len(os.environ['SECRET_KEY']))\n",
    }
    repository = apps.make("secretive", files)
    refused = repository.push("secretive", check=False, timeout=300).error
    assert "KeyError: 'SECRET_KEY'" in refused and "build-env" in refused
    apps.client.ssh("config:set", "secretive", "SECRET_KEY=planted-4711-planted")
    apps.client.ssh("buildpacks:set-property", "secretive", "build-env", "SECRET_KEY")
    assert "key 20" in repository.push("secretive", timeout=300).error
    looked = machine.paas(
        "run", "secretive", "sh", "-c", "grep -rl planted-4711 /app /opt /etc /tmp /var || echo clean"
    )
    assert looked.text.strip() == "clean"


def test_the_port_that_is_listened_on_in_place_of_ours_is_named(new_machine: MachineMaker) -> None:
    machine = new_machine({"check_timeout": "3"})
    files = {**httpd("x"), "Procfile": "web: exec httpd -f -p 8099 -h /www\n"}
    repository = machine.client().repository("port", files)
    done = repository.push("port", check=False)
    assert done.status != 0
    assert "does not listen on port 5000" in done.error and "it listens on 8099 instead" in done.error
    assert "$PORT" in done.error
    repository.commit({"Procfile": "web: exec httpd -f -p 127.0.0.1:$PORT -h /www\n"})
    done = repository.push("port", check=False)
    assert done.status != 0 and "it listens on that port of 127.0.0.1" in done.error
    repository.commit({"Procfile": "web: exec httpd -f -p 127.0.0.1:8099 -h /www\n"})
    assert "it listens on 8099 of 127.0.0.1 instead" in repository.push("port", check=False).error


def test_packs_are_written_detected_and_rendered_for_a_directory(machine: Machine) -> None:
    place = machine.disk / "work"
    place.mkdir()

    def paas(*words: str) -> Completed:
        return in_directory(machine, place, *words)

    (place / "index.html").write_text("x")
    assert "Buildpack static (index.html)" in paas("buildpacks:detect", ".").text
    assert json.loads(paas("buildpacks:detect", "--format", "json", ".").text)[0]["name"] == "static"
    assert "buildpacks/ours/buildpack.yml" in paas("buildpacks:create", "ours").text
    assert paas("buildpacks:create", "ours").status == 1
    assert paas("buildpacks:create", "python").status == 1 and paas("buildpacks:create", "../x").status == 1
    (place / "ours.conf").write_text("")
    assert "FROM debian:bookworm AS ours-base" in paas("buildpacks:render", ".").text
    assert "cannot be read" in paas("buildpacks:render", "./nowhere").error
    (place / "app.json").write_text('{\n"buildpacks": [\n{"url": "heroku/scala"}]}')
    refused = paas("buildpacks:render", ".")
    assert refused.status == 1 and "app.json:3: buildpacks/0/url: There is no buildpack 'scala'" in refused.error
    (place / ".buildpacks").write_text("https://example.com/pack.git\n")
    assert "is fetched when an app is pushed" in paas("buildpacks:detect", ".").error


@pytest.mark.parametrize(
    ("manager", "manifest", "lock", "command"),
    [
        ("uv", "pyproject.toml", "uv.lock", "uv lock"),
        ("pipenv", "Pipfile", "Pipfile.lock", "pipenv lock"),
        ("pdm", "pyproject.toml", "pdm.lock", "pdm lock"),
    ],
)
def test_a_lock_is_installed_and_refused_when_it_disagrees(
    machine: Machine, apps: Apps, manager: str, manifest: str, lock: str, command: str
) -> None:
    tree = golden(f"python-{manager}")
    repository, said = apps.push(manager, tree)
    assert machine.get(manager).text == "1,234,567", said
    repository.commit({manifest: tree[manifest].replace(b"4.12.3", b"4.12.2")})
    refused = repository.push(manager, check=False, timeout=300)
    assert refused.status != 0
    assert f"{lock} does not agree with {manifest}: run {command}, and commit {lock}" in refused.error
    assert machine.get(manager).text == "1,234,567"
