"""What apps are set to be: names, ports, scale, keys, config vars; against a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.apps.domains import hostname
from paas.apps.environment import Environment, parse_assignments
from paas.apps.keys import parse_public_key
from paas.apps.ports import Ports, effective, parse, web_port
from paas.apps.processes import of_release, parse_procfile, parse_scale
from paas.apps.properties import Properties, Property
from paas.errors import Conflict, InvalidInput
from paas.model import ImageConfig, PortMap
from paas.names import AppName, EnvKey, Hostname, ProcessType
from paas.settings import Settings
from paas.state import apps
from paas.state.database import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "paas.db")
    yield database
    database.close()


@pytest.mark.parametrize("name", ["../x", "-x", "A B", "a" * 300, "ünï", "", "a..b", "x-", "a\n"])
def test_app_names_are_refused_not_corrected(name: str) -> None:
    with pytest.raises(InvalidInput):
        AppName(name)


@pytest.mark.parametrize("name", ["x;return 200", "a b", "$host", "EXAMPLE.com", "a..b", "-a.b", "x" * 64 + ".b", ""])
def test_hostnames_with_anything_else_in_them(name: str) -> None:
    with pytest.raises(InvalidInput):
        Hostname(name)


def test_config_vars(db: Database) -> None:
    app = apps.insert(db, AppName("wiki"))
    environment = Environment(db)
    changes = environment.changes(app, {"A": "x\ny 'z'", "B": "2"})
    environment.save(app, changes)
    assert environment.merged(app) == {"A": "x\ny 'z'", "B": "2"}
    assert environment.changes(app, {"A": "x\ny 'z'"}) == {}, "an unchanged value is no change"
    assert environment.changed(app, {"B": None}) == {"A": "x\ny 'z'"}


@pytest.mark.parametrize("values", [{"A": "\0"}, {"A": "x" * (1 << 20)}, {"1A": "x"}, {"A B": "x"}, {"PORT": "1"}])
def test_config_vars_that_no_process_could_have(db: Database, values: dict[str, str | None]) -> None:
    app = apps.insert(db, AppName("wiki"))
    with pytest.raises(InvalidInput) as error:
        Environment(db).changes(app, values)
    assert "xxx" not in str(error.value), "values never stand in errors"


def test_assignments() -> None:
    assert parse_assignments(["A=b=c", "D="]) == {"A": "b=c", "D": ""}
    with pytest.raises(InvalidInput):
        parse_assignments(["secret-without-equals"])
    with pytest.raises(InvalidInput):
        EnvKey("a-b")


def test_the_port_a_web_process_listens_on() -> None:
    assert web_port([], ImageConfig()) == 5000
    assert web_port([], ImageConfig(exposed_ports=("3000/tcp",))) == 3000
    assert web_port([], ImageConfig(exposed_ports=("80/tcp", "443/tcp"))) == 5000
    assert web_port([PortMap("http", 80, 8080)], ImageConfig(exposed_ports=("3000/tcp",))) == 8080
    more = [PortMap("tcp", 5432, 5432)]
    assert effective(more, ImageConfig(exposed_ports=("3000/tcp",)), 80) == [PortMap("http", 80, 3000), *more]


def test_what_speaks_tls_keeps_to_itself(db: Database) -> None:
    one, two = apps.insert(db, AppName("one")), apps.insert(db, AppName("two"))
    ports = Ports(db, Settings(), lambda port: None)
    ports.save(one, ports.with_added(one, [parse(text) for text in ("https:443:5000", "grpc:50051:50051")]))
    assert ports.with_added(two, [parse("grpcs:443:5000"), parse("grpc:50051:1")]), "the same is spoken there"
    apps.set_property(db, two.id, "proxy:proxy-port", "8080")
    for text, words in (
        ("http:443:80", "by https"),
        ("grpc:80:80", "by http"),
        ("http:50051:80", "another app"),
        ("https:80:80", "by http"),
    ):
        with pytest.raises(Conflict, match=words):
            ports.with_added(two, [parse(text)])
    with pytest.raises(Conflict, match="another app"):
        ports.with_added(one, [parse("tcp:8080:80")])
    with pytest.raises(Conflict, match="the same host port"):
        ports.exactly(one, [parse("http:9000:1"), parse("grpc:9000:1")])
    assert ports.exactly(one, [parse("https:50051:1")]), "in place of what was there"


def test_values_with_several_parts_are_shown_as_they_are_typed(db: Database) -> None:
    app = apps.insert(db, AppName("wiki"))
    known = Properties(db, [Property("x", "names", "names", lambda text: tuple(text.split(",")), ())])
    assert known.report("x", app) == {"x-names": "", "x-global-names": "", "x-computed-names": ""}
    apps.set_property(db, app.id, "x:names", "a,b")
    assert known.report("x", app)["x-computed-names"] == "a,b"


def test_hostnames_of_all_scripts() -> None:
    assert hostname("bücher.example.com") == "xn--bcher-kva.example.com"
    assert hostname("*.例え.jp") == "*.xn--r8jz45g.jp"
    for text in ("straße.de", "a b.de", "ü;return 200", "ü..de", "\u2028.de", "x" * 300 + "ü", "*.*.de"):
        with pytest.raises(InvalidInput):
            hostname(text)


def test_host_ports_belong_to_one(db: Database) -> None:
    one, two = apps.insert(db, AppName("one")), apps.insert(db, AppName("two"))
    ports = Ports(db, Settings(), lambda port: "smtpd (pid 7)" if port == 25 else None)
    ports.save(one, ports.with_added(one, [parse("tcp:5432:5432"), parse("http:9999:80")]))
    assert ports.with_added(two, [parse("http:9999:80")]), "hostnames tell http maps apart"
    for text, words in (
        ("tcp:5432:1", "another app"),
        ("tcp:2222:1", "paas itself"),
        ("tcp:80:80", "all apps"),
        ("tcp:25:25", "smtpd"),
        ("tcp:18001:1", "paas itself"),
    ):
        with pytest.raises(Conflict, match=words):
            ports.with_added(two, [parse(text)])


@pytest.mark.parametrize("text", ["x", "http:1", "ftp:1:2", "tcp:0:1", "tcp:1:70000", "tcp:1:2:3", "grpcx:443:80"])
def test_port_maps_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)


def test_processes() -> None:
    procfile = parse_procfile("# comment\nweb: ./serve --port $PORT\nworker:  ./work\nrelease: ./migrate\n")
    found = of_release({ProcessType("web"): 2}, procfile)
    assert [(p.type, p.count) for p in found] == [("web", 2), ("worker", 0)]
    assert of_release({ProcessType("web"): 1}, {})[0].command is None
    assert parse_scale(["web=3"]) == {"web": 3}
    for text in ("web: a\nweb: b", "no colon", "Web!: x"):
        with pytest.raises(InvalidInput):
            parse_procfile(text)
    for word in ("web", "web=-1", "web=1000", "web=x"):
        with pytest.raises(InvalidInput):
            parse_scale([word])


@pytest.mark.parametrize("text", ["", "ssh-rsa", "ssh-ed25519 !!!", "-----BEGIN OPENSSH PRIVATE KEY-----", "sk-x AAAA"])
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_public_key(text)
