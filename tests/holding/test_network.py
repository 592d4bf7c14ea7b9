"""network:*: apps that reach each other, seen from inside of them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from paas.names import AppName, ProcessType
from paas.schedulers.linked import Member, plan
from tests.harness.apps import httpd
from tests.holding.conftest import APP, Held

OTHER = "neighbour"
_ASK = 'exec 3<>/dev/tcp/$0/$1 && printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3 && cat <&3'
"""bash, with the C library of an ordinary image looking up the name."""


@pytest.fixture(scope="module")
def pair(held: Held) -> Iterator[Held]:
    """APP, which is asked, and OTHER, which asks."""
    files = httpd("next door")
    files["Dockerfile"] = (
        "FROM debian:bookworm\nADD root.tar /bb\n"
        'CMD ["/bin/sh", "-c", "exec /bb/bin/busybox httpd -f -p $PORT -h /bb/www"]\n'
    )
    held.client.repository(OTHER, files).push(OTHER)
    held.ssh("network:create", "street")
    yield held
    held.machine.paas("apps:destroy", OTHER, "--force")
    for key in ("attach-post-create", "attach-post-deploy", "tld"):
        held.ssh("network:set", APP, key)
    held.ssh("network:destroy", "street")


def asks(held: Held, name: str, port: int = 5000) -> str:
    """The page that OTHER gets; '' for none."""
    argv = ["exec", f"{OTHER}.web.1", "timeout", "3", "bash", "-c", _ASK, name, str(port)]
    return held.machine.paas(*argv, check=False).text.rpartition("\r\n")[2]


def test_apps_on_one_network_reach_each_other(pair: Held) -> None:
    page, before = pair.machine.get(APP).text, pair.ids()
    assert asks(pair, f"{APP}.web") == ""
    pair.ssh("network:set", OTHER, "attach-post-create", "street")
    assert asks(pair, f"{APP}.web") == "", "only one of them is on it"
    first = pair.current()
    pair.ssh("network:set", APP, "attach-post-deploy", "street")
    pair.ssh("network:set", APP, "tld", "internal")
    assert pair.ids() == before, "nothing is restarted"
    for name in (f"{APP}.web", f"web.{APP}", f"{APP}.web.internal"):
        assert asks(pair, name) == page, name
    assert asks(pair, f"{APP}.web", 80) == page, "its public port as well"
    run = pair.ssh("run", OTHER, "timeout", "3", "bash", "-c", _ASK, f"{APP}.web", "5000")
    assert run.endswith(page)
    assert pair.json("network:info", "street")["apps"] == [APP, OTHER]
    assert "on it" in pair.refused("network:destroy", "street")

    hosts = pair.machine.paas("exec", f"{OTHER}.web.1", "cat", "/etc/hosts").text
    virtual = next(line.split()[0] for line in hosts.splitlines() if line.endswith(f"{APP}.web"))
    address = str(pair.json("network:report", APP)["network-web-listeners"]).partition(":")[0]
    assert asks(pair, address) == "", "past the virtual address there is still a wall"
    pair.ssh("ps:scale", APP, "web=2")
    assert [asks(pair, f"{APP}.web") for _ in range(4)] == 4 * [page]
    pair.ssh("ps:scale", APP, "web=1")
    pair.ssh("ps:restart", APP, "web")
    assert asks(pair, f"{APP}.web") == page

    pair.ssh("releases:rollback", APP, str(first))
    assert asks(pair, f"{APP}.web") == "" and asks(pair, virtual) == ""
    assert APP not in pair.machine.paas("exec", f"{OTHER}.web.1", "cat", "/etc/hosts").text


def test_links_are_there_after_a_restart_of_the_engine(pair: Held) -> None:
    page = pair.machine.get(APP).text
    pair.ssh("network:set", OTHER, "initial-network", "street")
    pair.ssh("network:set", APP, "attach-post-create", "street")
    pair.machine.engine_kill()
    pair.machine.engine_start()
    assert asks(pair, f"{APP}.web") == page
    pair.ssh("network:rebuildall")
    pair.ssh("apps:rename", APP, "renamed")
    try:
        assert asks(pair, "renamed.web") == page and asks(pair, f"{APP}.web") == ""
    finally:
        pair.ssh("apps:rename", "renamed", APP)
    pair.ssh("network:set", OTHER, "attach-post-create")
    assert asks(pair, f"{APP}.web") == page, "it was attached twice"


def test_networks(held: Held) -> None:
    held.ssh("network:create", "lane")
    held.refused("network:create", "lane")
    assert "lane" in held.ssh("network:list").splitlines()
    held.ssh("network:exists", "lane")
    held.refused("network:exists", "lan")
    for name in ("host", "none", "bridge", "../x", "a b", "x" * 80, "--x"):
        assert held.client.ssh("network:create", name, check=False).status in (1, 2)
    before = held.json("network:report", APP)
    for key, value in (
        ("attach-post-create", "nowhere"),
        ("attach-post-create", "lane,nowhere"),
        ("attach-post-create", "host"),
        ("bind-all-interfaces", "true"),
        ("static-web-listener", "1.2.3.4:80"),
        ("tld", "x;y"),
    ):
        held.refused("network:set", APP, key, value)
    held.refused("network:set", "missing-app", "tld", "x", status=20)
    held.refused("network:rebuild", "missing-app", status=20)
    assert held.json("network:report", APP) == before
    held.ssh("network:destroy", "lane")


def member(name: str, early: set[str], late: set[str], number: int) -> Member:
    web, virtual = ProcessType("web"), IPv4Address(f"10.87.0.{number}")
    address = IPv4Address(f"10.86.0.{number}")
    return Member(
        AppName(name),
        frozenset(early),
        frozenset(late),
        {web: (virtual, (address,))},
        "",
        [(f"{name}-runs", address, True), (f"{name}-starts", IPv4Address(f"10.86.1.{number}"), False)],
    )


def test_who_reaches_whom() -> None:
    found = plan([member("a", {"x"}, set(), 1), member("b", set(), {"x", "y"}, 2), member("c", {"y"}, set(), 3)])
    reached = {(str(source), str(virtual)) for source, virtual in found.links}
    assert ("10.86.0.1", "10.87.0.2") in reached and ("10.86.1.1", "10.87.0.2") in reached
    assert ("10.86.0.2", "10.87.0.1") in reached and ("10.86.0.2", "10.87.0.3") in reached
    assert ("10.86.1.2", "10.87.0.1") not in reached, "before it serves it is on no network"
    assert ("10.86.0.1", "10.87.0.3") not in reached, "a and c share none"
    assert [name for name, _ in found.names["a-runs"]] == ["a.web", "web.a", "b.web", "web.b"]
