"""What all apps share: hostnames, host ports, flags of containers, directories; from the hands of one app's owner."""

from __future__ import annotations

import json

import pytest

from paas.apps.claims import meet
from tests.harness.apps import httpd
from tests.tenants.conftest import OURS, VICTIM, VICTIM_HOST, Tenants


@pytest.mark.parametrize(
    "hostname",
    [
        *("_", "default_server", "~^.*$", "*", "a;b", "a{b", "a b", "$host", "a_b.example", "[::1]", "victim.example/"),
        *(VICTIM_HOST, "VICTIM.example", "victim.example.", ".victim.example", "victim.example:80"),
        *("*.example", "*.com", "*.victim.example", "login.victim.example", "a.b.victim.example"),
        *(f"{VICTIM}.paas.test", "paas.test", "*.paas.test", "*.test", "unborn.paas.test", f"www.{VICTIM}.paas.test"),
        *("127.0.0.1", "10.86.0.1", "0x7f.1", "2130706433", "localhost", "www.localhost", "intranet"),
    ],
)
def test_hostnames_that_are_not_ours(tenants: Tenants, hostname: str) -> None:
    assert VICTIM not in tenants.refused("domains:add", OURS, hostname).replace(hostname, ""), "it does not say whose"
    assert tenants.root.get(VICTIM_HOST).text == "victim\n"


def test_other_ways_to_a_hostname(tenants: Tenants) -> None:
    for hostname in (VICTIM_HOST, "*.example", "login.victim.example", "unborn.paas.test"):
        tenants.refused("redirect:set", OURS, hostname, "evil.example")
        tenants.refused("domains:set", OURS, hostname)


def test_hostnames_that_are_ours(tenants: Tenants) -> None:
    """A name that only looks like another's is another name; wildcards and names below our own are ours."""
    names = ("víctim.example", "shop.mallory.example", "*.mallory.example", f"www.{OURS}.paas.test")
    tenants.mallory.ssh("domains:add", OURS, *names)
    try:
        said = tenants.mallory.ssh("domains:report", OURS, "--domains-app-vhosts").text
        assert "xn--vctim-zsa.example" in said and "í" not in said
        assert tenants.root.get("any.mallory.example").status == 200
    finally:
        tenants.mallory.ssh("domains:reset", OURS)


def test_a_pushed_file_claims_no_more(tenants: Tenants) -> None:
    for line in ("domains: ['*.paas.test']", f"domains: [{VICTIM_HOST}]", "ports: ['tcp:25:25']"):
        done = tenants.push(f"yml-{abs(hash(line))}", {**httpd("x"), "paas.yml": f"{line}\n"})
        assert done.status != 0 and (
            "Access denied" in done.error or "Only an admin" in done.error or VICTIM_HOST in done.error
        )
    assert tenants.root.get(VICTIM_HOST).text == "victim\n"


def test_names_of_apps_are_hostnames_as_well(tenants: Tenants) -> None:
    tenants.root.paas("access:add", "tn-mallory", "create")
    tenants.owner.ssh("domains:add", VICTIM, "*.shop.example")
    try:
        for name in ("login.shop.example", "10.0.0.1", "x.paas.test"):
            assert "Access denied" in tenants.refused("apps:create", name)
            assert "Access denied" in tenants.refused("apps:rename", OURS, name)
            assert "Access denied" in tenants.refused("apps:clone", OURS, name)
    finally:
        tenants.owner.ssh("domains:remove", VICTIM, "*.shop.example")
        tenants.root.paas("access:remove", "tn-mallory", "--role", "create", check=False)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (("domains:add", OURS, "once.paas.test"), ("domains:remove", OURS, "once.paas.test")),
        (("ports:add", OURS, "tcp:1000:5000"), ("ports:remove", OURS, "tcp:1000:5000")),
        (("storage:mount", OURS, "/srv:/srv"), ("storage:unmount", OURS, "/srv:/srv")),
        (
            ("docker-options:add", OURS, "deploy", "-v /srv:/srv"),
            ("docker-options:remove", OURS, "deploy", "-v /srv:/srv"),
        ),
        (
            ("network:set", OURS, "attach-post-create", "tn-private"),
            ("network:set", OURS, "attach-post-create"),
        ),
    ],
)
def test_a_rollback_brings_back_nothing_that_an_admin_gave_and_took(
    tenants: Tenants, given: tuple[str, ...], taken: tuple[str, ...]
) -> None:
    if "tn-private" in given:
        tenants.root.paas("network:create", "tn-private")
    tenants.root.paas(*given)
    with_it = json.loads(tenants.root.paas("releases:list", OURS, "--format", "json").text)
    number = str(max(release["number"] for release in with_it))
    tenants.root.paas(*taken)
    tenants.mallory.ssh("config:set", OURS, "TAKEN=1")
    said = tenants.refused("releases:rollback", OURS, number)
    assert "denied" in said or "Only an admin" in said
    tenants.mallory.ssh("releases:rollback", OURS)  # back to what it was after all was taken


@pytest.mark.parametrize(
    "words",
    [
        *(("ports:add", OURS, port) for port in ("tcp:22:22", "udp:53:53", "http:25:5000", "tcp:80:80", "tcp:2222:22")),
        ("ports:set", OURS, "tcp:443:443"),
        ("ports:add", OURS, "http:18000:80"),
        ("ports:add", OURS, "http:8000:80;x"),
        ("proxy:set", OURS, "proxy-port", "25"),
        ("nginx:set", OURS, "client-max-body-size", "1m; alias /"),
        ("nginx:set", OURS, "x-forwarded-for-value", "$document_root"),
        ("nginx:set", OURS, "limit-req", "1r/s zone=other"),
        ("nginx:set", OURS, "access-log-path", "/etc/cron.d/x"),
        ("nginx:set", "--global", "hsts", "false"),
        ("resource:limit", "--global", "--memory", "1g"),
        ("config:set", "--global", "A=b"),
        ("network:set", OURS, "attach-post-create", "host"),
        ("builder-dockerfile:set", OURS, "dockerfile-path", "../../etc/passwd"),
        ("builder:set", OURS, "build-dir", "/etc"),
        ("app-json:set", OURS, "appjson-path", "../x"),
        ("ps:set", OURS, "procfile-path", "/etc/passwd"),
        ("git:set", OURS, "deploy-branch", "--upload-pack=id"),
        ("git:sync", OURS, "ext::sh -c id"),
        ("git:sync", OURS, "file:///etc"),
        ("git:sync", OURS, "/etc"),
        ("git:sync", OURS, "--upload-pack=id"),
        ("git:from-archive", OURS, "file:///etc/passwd"),
        ("git:from-archive", OURS, "http://127.0.0.1:2222/x.tar"),
        ("git:load-image", OURS, "debian:bookworm"),
        ("registry:set", OURS, "image-repo", f"paas/{VICTIM}"),
        ("certs:add", OURS, "/etc/ssl/certs/x.pem", "/etc/ssl/private/x.key"),
        ("config:show", VICTIM),
        ("run", VICTIM, "id"),
        ("enter", VICTIM, "web"),
        ("logs", VICTIM),
        ("releases:list", VICTIM),
        ("apps:destroy", VICTIM, "--force"),
    ],
)
def test_settings_that_reach_beyond_the_app(tenants: Tenants, words: tuple[str, ...]) -> None:
    tenants.refused(*words)


@pytest.mark.parametrize(
    "option",
    [
        *("--privileged", "--pid=host", "--pid=container:x", "--ipc=host", "--uts=host", "--userns=host"),
        *("--network=host", "--network=container:x", "--cgroup-parent=/", "--device=/dev/sda", "--gpus=all"),
        *("--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE", "--cap-add=NET_ADMIN", "--security-opt=seccomp=unconfined"),
        *("--security-opt=apparmor=unconfined", "--sysctl=kernel.shmmax=1", "--oom-score-adj=-1000", "--runtime=x"),
        *(
            "-v /:/host",
            "-v /etc:/x:ro",
            "-v ../../etc:/x",
            "--mount=type=bind,source=/,target=/h",
            "--pids-limit=99999",
        ),
        *("-v /var/run/docker.sock:/s", "--volumes-from=x", "--env-file=/etc/shadow", "--cidfile=/etc/x", "-p 22:22"),
        "--pids-limit=99999",
        *("--log-driver=syslog", "--ulimit=rtprio=99", "--label-file=/etc/shadow", "--link=x", "--publish-all"),
    ],
)
def test_options_of_containers_that_reach_the_host(tenants: Tenants, option: str) -> None:
    for phase in ("deploy", "run"):
        tenants.refused("docker-options:add", OURS, phase, option)


@pytest.mark.parametrize("name", ["../x", "/etc", "x/../../etc", ".", "..", "a\nb", "-rf", "tn-theirs"])
def test_names_of_directories(tenants: Tenants, name: str) -> None:
    if name == "tn-theirs":
        tenants.owner.ssh("storage:mount", VICTIM, "tn-theirs:/data")
    tenants.refused("storage:mount", OURS, f"{name}:/data")
    tenants.refused("storage:create", name)


def test_which_hostnames_meet() -> None:
    assert meet("b.a.example", "a.example") and meet("c.b.a.example", "*.a.example")
    assert (
        meet("*.a.example", "a.example") and meet("*.a.example", "c.b.a.example") and meet("*.example", "*.a.example")
    )
    for other in ("a.example", "ba.example", "a.example.org", "*.c.a.example"):
        assert not meet("a.example", other)
    assert not meet("*.b.a.example", "c.a.example")
