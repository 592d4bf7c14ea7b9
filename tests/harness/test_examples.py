"""The examples, pushed as a user would push them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from paas.paths import PROJECT
from tests.harness.client import Files
from tests.harness.waiting import wait_until
from tests.harness.web import request
from tests.machine import Machine

EXAMPLES = PROJECT / "examples"


def files(name: str) -> dict[str, bytes | str]:
    root = EXAMPLES / name
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def deploy(machine: Machine, app: str, content: Files) -> None:
    client = machine.client(app)
    client.repository(app, content).push(app, timeout=600)


def test_hello_is_live_again_at_once_and_answers_what_it_was_asked_before(machine: Machine) -> None:
    client = machine.client("hello")
    repository = client.repository("hello", files("hello"))
    repository.push("hello", timeout=600)
    assert machine.get("hello").text == "Hello from paas\n"
    code = (EXAMPLES / "hello" / "app.py").read_text()
    repository.commit({"app.py": code.replace("Hello from paas", "Hello again")})
    started = time.monotonic()

    repository.push("hello")

    assert time.monotonic() - started < 5  # a tenth of it, on a quiet machine
    wait_until(lambda: machine.get("hello").text == "Hello again\n", "the new code answers", 2)
    machine.paas("apps:destroy", "hello", "--force")


def test_the_wiki_keeps_an_edited_page_across_a_restart(machine: Machine) -> None:
    machine.paas("apps:create", "wiki")
    machine.paas("storage:mount", "wiki", "wiki-data:/var/lib/dokuwiki/data")
    deploy(machine, "wiki", files("wiki"))
    assert "This page is yours" in machine.get("wiki").text

    token = machine.get("wiki", "/doku.php?id=notes&do=edit").text.partition('name="sectok" value="')[2].split('"')[0]
    answer = request(
        machine.address,
        machine.settings.http_port,
        "wiki.paas.test",
        "/doku.php",
        method="POST",
        body=f"id=notes&sectok={token}&rev=0&date=&prefix=.&suffix=&wikitext=Written+by+hand&do%5Bsave%5D=1".encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status in (200, 302)
    assert "Written by hand" in machine.get("wiki", "/doku.php?id=notes").text
    assert machine.get("wiki", "/data/pages/notes.txt").status == 403

    machine.paas("ps:restart", "wiki")

    assert "Written by hand" in machine.get("wiki", "/doku.php?id=notes").text
    machine.paas("apps:destroy", "wiki", "--force")


@pytest.fixture
def stand_in(tmp_path: Path) -> Files:
    """A tree of MoniWiki's shape: its entry script, its default configuration, its folder of data."""
    script = """<?php
        require 'config.php';
        $page = $data_dir.'/text/FrontPage';
        if (isset($_POST['text'])) {
            file_put_contents($page, $_POST['text']);
            exec('ci -q -l -mtest -t-page '.escapeshellarg($page).' 2>&1', $said, $status);
            if ($status) { http_response_code(500); die(join("\\n", $said)); }
        }
        echo file_exists($page) ? file_get_contents($page) : 'An empty wiki';
    """
    return {
        **files("moniwiki"),
        "wiki.php": script,
        "config.php.default": "<?php $data_dir = './data';",
        "data/text/.keep": "",
        "data/text/RCS/.keep": "",
    }


def test_moniwiki_can_write_pages_with_their_history(machine: Machine, stand_in: Files) -> None:
    machine.paas("apps:create", "moniwiki")
    machine.paas("storage:mount", "moniwiki", "moniwiki-data:/var/www/html/data")
    deploy(machine, "moniwiki", stand_in)
    assert machine.get("moniwiki").text == "An empty wiki"
    written = request(
        machine.address,
        machine.settings.http_port,
        "moniwiki.paas.test",
        "/wiki.php",
        method="POST",
        body=b"text=A+page",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (written.status, written.text) == (200, "A page")
    history = machine.data_dir / "storage" / "moniwiki-data" / "text" / "RCS" / "FrontPage,v"
    assert history.is_file()
    machine.paas("ps:restart", "moniwiki")
    assert machine.get("moniwiki").text == "A page"
    machine.paas("apps:destroy", "moniwiki", "--force")
