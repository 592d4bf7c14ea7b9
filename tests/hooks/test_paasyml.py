"""paas.yml, through the front door."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.machine import Machine

APP = "declared"
FILE = """\
config:
  COLOUR: red
  NUMBER: 08
  FLAG: true
domains: [declared.example.com]
ports: ["http:8090:5000"]
scale: {web: 2}
storage: ["declared-data:/data"]
processes:
  web: echo "$COLOUR $NUMBER $FLAG" > /www/env; exec httpd -f -p $PORT -h /www
  release: echo released as $COLOUR
healthchecks:
  web:
    - {type: startup, path: /env, content: "08 true"}
cron:
  - {command: echo tidy, schedule: "@daily"}
build: {directory: app, dockerfile: Dockerfile.small, args: {WORD: built}}
settings:
  checks: {wait-to-retire: 5s}
"""


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    return machine.client("declarer")


@pytest.fixture(scope="module")
def repository(machine: Machine, client: Client) -> Iterator[Repository]:
    files = httpd("one")
    dockerfile = str(files.pop("Dockerfile")).replace("COPY", 'ARG WORD\nENV WORD="$WORD"\nCOPY')
    made = client.repository(APP, {f"app/{name}": data for name, data in files.items()})
    made.commit({"app/Dockerfile.small": dockerfile, "paas.yml": FILE})
    yield made
    machine.paas("apps:destroy", APP, "--force")


def test_it_says_everything(machine: Machine, client: Client, repository: Repository) -> None:
    done = repository.push(APP).error
    for line in (
        "-----> paas.yml: scale web 1 -> 2",
        "-----> paas.yml: domains (below the global domains) -> declared.example.com",
        "-----> paas.yml: ports (none) -> http:8090:5000",
        "-----> paas.yml: storage (none) -> ",
        "-----> paas.yml: checks:wait-to-retire (default) -> 5s",
        "released as red",
        "Healthcheck succeeded name='/env' (web.2)",
    ):
        assert line in done, line
    assert machine.get("declared.example.com", "/env").text == "red 08 true\n"
    assert machine.get("declared.example.com", port=8090).text == "one\n"
    assert client.ssh("run", APP, "sh", "-c", "echo $WORD; ls -d /data").text == "built\n/data\n"
    assert "echo tidy" in client.ssh("cron:list", APP).text
    assert client.ssh("config:show", APP, "--format", "json").text.strip() == "{}", "defaults are not set on the app"
    first = json.loads(client.ssh("releases", APP, "--format", "json").text)[0]["number"]

    client.ssh("config:set", APP, "COLOUR=it's blue")
    assert machine.get("declared.example.com", "/env").text == "it's blue 08 true\n", "what is set by command wins"
    client.ssh("ps:scale", APP, "web=1")
    changed = FILE.replace('/env, content: "08 true"', "/env").replace("NUMBER: 08", "NUMBER: 9")
    repository.commit({"paas.yml": changed})
    done = repository.push(APP).error
    assert "-----> paas.yml: scale web 1 -> 2" in done and "paas.yml: domains" not in done
    assert machine.get("declared.example.com", "/env").text == "it's blue 9 true\n"
    client.ssh("releases:rollback", APP, str(first))
    assert machine.get("declared.example.com", "/env").text == "red 08 true\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scale:\n  web: 1\ndomans: []\n", "paas.yml:3: domans: 'domans' is not known"),
        ("a: &x [1]\nb: *x\n", "paas.yml:1: anchors and aliases"),
        ("config: !!python/object/apply:os.system [id]\n", "paas.yml:1: tags such as"),
        ("config:\n\tA: 1\n", "paas.yml:2: found character"),
        ("services: {db: postgres}\n", "services cannot be declared yet"),
        ("storage: ['/etc:/host']\n", "Only an admin key may mount '/etc'"),
        ("settings: {builder: {memory: 64g}}\n", "cannot be set by a push"),
        ("settings: {docker-options: {deploy: '[\"-v /:/host\"]'}}\n", "docker-options deploy is not set like this"),
        ("settings: {network: {attach-post-create: theirs}}\n", "cannot be set by a push"),
        ("settings: {checks: {atempts: 2}}\n", "paas.yml:1: settings/checks/atempts: 'atempts' is not a property"),
        ("healthchecks:\n  web:\n  - {type: startup, path: /, atempts: 2}\n", "'atempts' is not known"),
        ("scale:\n  wroker: 1\n", "paas.yml:2: scale/wroker: wroker is not a process type"),
        ("domains: [taken.example.com]\n", "taken.example.com"),
        ("build: {directory: ../x}\n", "paas.yml:1: build/directory"),
    ],
)
def test_what_is_refused(client: Client, machine: Machine, repository: Repository, text: str, message: str) -> None:
    before = client.ssh("releases", APP, "--format", "json").text
    if "taken" in text:
        machine.paas("apps:create", "declared-other")
        machine.paas("domains:set", "declared-other", "taken.example.com")
    repository.commit({"paas.yml": text})
    refused = repository.push(APP, check=False)
    if "taken" in text:
        machine.paas("apps:destroy", "declared-other", "--force")
    assert refused.status != 0 and message in refused.error, refused.error
    assert "Building" not in refused.error
    assert client.ssh("releases", APP, "--format", "json").text == before
