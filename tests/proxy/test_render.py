"""Routes -> nginx configuration, read by the real nginx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from paas.errors import InvalidInput, SystemFailure
from paas.names import AppName, Hostname
from paas.proxy import certificates
from paas.proxy.isolation import Isolation, digest_of
from paas.proxy.nginx import Generation
from paas.proxy.passwords import hashed
from paas.proxy.remembered import Remembered, Texts
from paas.proxy.render import Machine, Places, Public, public_ports, render
from paas.proxy.sections import Sections, section
from paas.routes import Access, Listen, Redirection, Route

PUBLIC = Public(80, 443)
WIKI = Route(AppName("wiki"), (Hostname("wiki.example.com"), Hostname("www.example.com")), IPv4Address("10.87.0.1"))
SHOP = Route(AppName("shop"), (Hostname("shop.example.com"),), IPv4Address("10.87.0.2"))


@pytest.fixture
def secure(tmp_path: Path) -> Route:
    """The wiki, with a certificate for one of its two hostnames."""
    made = certificates.generate([Hostname("wiki.example.com")])
    directory = tmp_path / "cert"
    directory.mkdir()
    (directory / "server.crt").write_text(made.chain)
    (directory / "server.key").write_text(made.key)
    listens = (Listen("http", 80, 80, to_https=443), Listen("https", 443, 80))
    return replace(WIKI, listens=listens, certificate=directory, secure=(Hostname("wiki.example.com"),))


def files(
    *routes: Route,
    directory: Path = Path("/d"),
    public: Public = PUBLIC,
    ipv6: bool = True,
    sections: Sections | None = None,
    first: int = 20000,
) -> dict[str, str]:
    local = {port: first + port for port in public_ports(routes, public)}
    places = Places(directory, directory, directory)
    kept = sections or Sections(directory, directory)
    return render(routes, local, public, places, Machine("www-data", 1024, ipv6, ""), kept)


def part(made: Mapping[str, str], app: str = "wiki") -> str:
    """An app's own part of the configuration."""
    found = section(made["apps.conf"], app)
    assert found is not None
    return found


def problem(tmp_path: Path, *routes: Route) -> str:
    """What nginx says; '' when it takes the configuration."""
    generation = Generation(tmp_path / "g1")
    (generation.directory / "users").mkdir(parents=True, exist_ok=True)
    for name, text in files(*routes, directory=generation.directory).items():
        (generation.directory / name).write_text(text)
    try:
        generation.test()
    except SystemFailure as error:
        return error.message
    return ""


def servers(text: str) -> list[dict[str, list[str]]]:
    """The server blocks of a configuration: directive -> the values it has, wherever they stand in the block."""
    found = []
    for block in text.split("\nserver {")[1:]:
        directives: dict[str, list[str]] = {}
        for line in block.splitlines():
            name, _, value = line.strip().rstrip(";").partition(" ")
            directives.setdefault(name, []).append(value)
        found.append(directives)
    return found


def test_a_plain_app(tmp_path: Path) -> None:
    (server,) = servers(part(files(WIKI)))
    assert server["listen"] == ["20080", "[::]:20080"]
    assert server["server_name"] == ["wiki.example.com www.example.com"]
    assert "proxy_set_header" not in server and "client_max_body_size" not in server
    shared = files(WIKI)["nginx.conf"]
    assert "client_max_body_size 64m;" in shared and 'proxy_set_header X-Forwarded-Port "$paas_port";' in shared
    assert "20080 80;" in shared
    assert problem(tmp_path, WIKI, SHOP) == ""


def test_hostnames_nobody_has_are_refused_on_the_shared_ports() -> None:
    text = files(WIKI)["nginx.conf"]
    assert "listen 20080 default_server;" in text and "return 444;" in text
    assert "listen 20443 ssl http2 default_server;" in text and text.count("ssl_reject_handshake on;") == 1
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in text


def test_https_for_the_hostnames_the_certificate_is_for(secure: Route, tmp_path: Path) -> None:
    to_https, plain, tls = servers(part(files(secure)))
    assert (to_https["server_name"], to_https["return"]) == (["wiki.example.com"], ["301 https://$host$request_uri"])
    assert plain["server_name"] == ["www.example.com"] and "return" not in plain
    assert tls["server_name"] == ["wiki.example.com"] and tls["listen"][0] == "20443 ssl http2"
    assert tls["add_header"][0] == 'Strict-Transport-Security "max-age=15724800; includeSubDomains" always'
    assert problem(tmp_path, secure, SHOP) == ""


def test_without_a_certificate_tls_ports_are_not_opened() -> None:
    route = replace(WIKI, listens=(Listen("http", 80, 80), Listen("https", 8443, 8443)))
    assert public_ports([route], PUBLIC) == [80, 443]
    assert len(servers(part(files(route)))) == 1


def test_settings_stand_in_their_directives(secure: Route, tmp_path: Path) -> None:
    values = {
        "client-max-body-size": "200m",
        "proxy-read-timeout": "120s",
        "proxy-buffering": "off",
        "proxy-buffers": "8 8k",
        "proxy-busy-buffers-size": "16k",
        "proxy-keepalive": "off",
        "hsts": "false",
        "access-log-path": "off",
        "error-log-path": "off",
        "underscore-in-headers": "on",
        "x-forwarded-for-value": "$http_x_forwarded_for, $remote_addr",
        "x-forwarded-port-value": "$server_port",
        "x-forwarded-ssl": "on",
    }
    text = part(files(replace(secure, settings=values)))
    server = servers(text)[-1]
    assert server["client_max_body_size"] == ["200m"] and server["proxy_buffers"] == ["8 8k"]
    assert server["proxy_read_timeout"] == ["120s"] and server["access_log"] == ["off"]
    assert 'X-Forwarded-For "$http_x_forwarded_for, $remote_addr"' in server["proxy_set_header"]
    assert "keepalive 64" not in text and "Strict-Transport" not in text
    assert problem(tmp_path, replace(secure, settings=values)) == ""


def test_every_default_written_out_is_taken_by_nginx(secure: Route, tmp_path: Path) -> None:
    listens = (*secure.listens, Listen("grpc", 5051, 5051), Listen("grpcs", 5052, 5051), Listen("http", 81, 81))
    for format in ("paas", "combined", "json"):
        assert problem(tmp_path, replace(secure, listens=listens, settings={"access-log-format": format})) == ""


def test_a_port_of_ones_own_answers_to_any_hostname_and_a_shared_one_does_not() -> None:
    one, two = (replace(route, listens=(Listen("http", 9000, 9000),)) for route in (WIKI, SHOP))
    assert servers(part(files(one, SHOP)))[0]["listen"][0] == "29000 default_server"
    both = files(one, two)
    assert servers(part(both))[0]["listen"][0] == "29000"
    assert "listen 29000 default_server;" in both["nginx.conf"]


def test_without_hostnames_there_is_nothing_to_serve_on_the_shared_port() -> None:
    assert servers(part(files(replace(WIKI, hostnames=())))) == []


def test_one_port_speaks_one_protocol(tmp_path: Path) -> None:
    grpc = replace(SHOP, listens=(Listen("grpc", 9000, 9000),))
    http = replace(WIKI, listens=(Listen("http", 9000, 9000),))
    assert problem(tmp_path, http, grpc) == ""
    made = files(http, grpc)
    assert servers(part(made)) and not servers(part(made, "shop")), "the first one has it"


def test_an_app_bound_to_an_address_hides_no_other_there(tmp_path: Path) -> None:
    bound = replace(WIKI, settings={"bind-address-ipv4": "127.0.0.1", "bind-address-ipv6": "::1"})
    made = files(bound, SHOP)
    assert servers(part(made))[0]["listen"] == ["127.0.0.1:20080", "[::1]:20080"]
    everywhere = ["20080", "127.0.0.1:20080", "[::]:20080", "[::1]:20080"]
    assert servers(part(made, "shop"))[0]["listen"] == everywhere
    assert all(f"listen {place} default_server;" in made["nginx.conf"] for place in everywhere)
    assert problem(tmp_path, bound, SHOP) == ""


def test_passwords_and_addresses(tmp_path: Path) -> None:
    access = Access((("anna", hashed("x")),), ("192.0.2.0/24", "2001:db8::1"))
    made = files(replace(WIKI, access=access))
    (server,) = servers(part(made))
    assert server["satisfy"] == ["any"] and server["allow"] == ["192.0.2.0/24", "2001:db8::1"]
    assert server["deny"] == ["all"] and server["auth_basic_user_file"] == ['"users/wiki"']
    assert made["users/wiki"].startswith("anna:$2b$")
    (nobody,) = servers(part(files(replace(WIKI, access=Access()))))
    assert nobody["deny"] == ["all"] and "auth_basic" not in nobody
    assert problem(tmp_path, replace(WIKI, access=access)) == ""


def test_redirections_and_maintenance(secure: Route, tmp_path: Path) -> None:
    source = Hostname("old.example.com")
    route = replace(
        secure,
        redirections=(
            Redirection(source, "new.example.com/base", 302),
            Redirection(Hostname("www.example.com"), "https://elsewhere.example.com:8443/"),
        ),
        maintenance=tmp_path,
    )
    first, second, to_https, tls = servers(part(files(route)))
    assert first["return"] == ["302 $scheme://new.example.com/base$request_uri"]
    assert second["return"] == ["301 https://elsewhere.example.com:8443$request_uri"]
    assert second["server_name"] == ["www.example.com"], "the app does not answer to it"
    assert to_https["return"] and "proxy_pass" not in tls and tls["try_files"] == ["$uri =503"]
    assert problem(tmp_path, route) == ""


@pytest.mark.parametrize(
    "route",
    [
        replace(WIKI, app="a b;"),  # type: ignore[arg-type]
        replace(WIKI, hostnames=("x;return 200",)),  # type: ignore[arg-type]
        replace(WIKI, settings={"client-max-body-size": "1m; return 200 x"}),
        replace(WIKI, settings={"no-such-key": "x"}),
        replace(WIKI, certificate=Path('/a"; return 200 "')),
        replace(WIKI, maintenance=Path("/a/$host")),
        replace(WIKI, access=Access((("a:b\nc", "$2b$x"),))),
        replace(WIKI, access=Access((("a", "plain"),))),
        replace(WIKI, access=Access(allowed=("all; return 200",))),
        replace(WIKI, redirections=(Redirection(Hostname("a.example.com"), "b.example.com/$cookie_x"),)),
        replace(WIKI, redirections=(Redirection(Hostname("a.example.com"), 'b";}'),)),
    ],
    ids=str,
)
def test_hostile_values_are_refused_once_more(route: Route) -> None:
    with pytest.raises(InvalidInput, match="cannot stand"):
        files(route)


def test_what_nginx_refuses_is_left_out_and_others_are_served(tmp_path: Path) -> None:
    isolation = Isolation(
        lambda route: replace(route, maintenance=Path("/page")), Remembered(tmp_path / "served.json", Texts())
    )
    isolation.accept([WIKI])
    broken = replace(WIKI, settings={"hsts": "false"})
    never = replace(SHOP, hostnames=(Hostname("never.example.com"),))
    third = replace(SHOP, app=AppName("third"))

    def says(routes: Sequence[Route]) -> str | None:
        return "no" if broken in routes or never in routes else None

    found = isolation.without_the_broken([broken, never, third], says, SystemFailure("all"))
    assert found == [WIKI, replace(never, maintenance=Path("/page")), third]
    assert isolation.refused == {"wiki": "no", "shop": "no"}
    next_engine = Isolation(
        lambda route: replace(route, maintenance=Path("/page")), Remembered(tmp_path / "served.json", Texts())
    )
    assert next_engine.without_the_broken([broken, third], says, SystemFailure("all")) == [WIKI, third]
    isolation.accept(found)
    assert isolation.refused == {}
    with pytest.raises(SystemFailure, match="all"):
        isolation.without_the_broken([third], says, SystemFailure("all"))


def test_one_that_is_broken_among_thousands_is_found_by_few_tests(tmp_path: Path) -> None:
    routes = [replace(WIKI, app=AppName(f"app-{number}")) for number in range(4096)]
    tests: list[int] = []

    def says(tested: Sequence[Route]) -> str | None:
        tests.append(len(tested))
        return "no" if routes[1000] in tested else None

    isolation = Isolation(lambda route: replace(route, maintenance=Path("/page")), Remembered(tmp_path / "x", Texts()))
    found = isolation.without_the_broken(routes, says, SystemFailure("all"))
    assert [route.app for route in found if route.maintenance] == ["app-1000"] and len(found) == 4096
    assert len(tests) < 30 and sum(tests) < 4 * 4096


def test_the_digest_sees_what_a_configuration_depends_on() -> None:
    texts = Texts()
    routes = ([WIKI], [replace(WIKI, settings={"hsts": "x"})], [WIKI, SHOP])
    seen = {digest_of(each, http2, texts) for each in routes for http2 in (True, False)}
    assert len(seen) == 6 and digest_of([WIKI], True, texts) in seen


def test_what_was_made_of_a_route_is_good_until_something_it_depends_on_changes() -> None:
    kept = Sections(Path("/d"), Path("/d"))
    own_port = replace(WIKI, listens=(Listen("http", 9000, 9000),))
    bound = replace(SHOP, listens=own_port.listens, settings={"bind-address-ipv4": "127.0.0.1"})
    changes: list[tuple[Route, ...]] = [
        (own_port, SHOP),
        (own_port, bound),  # no longer alone on its port, and an address has to be named
        (replace(own_port, hostnames=SHOP.hostnames), bound),
        (replace(own_port, access=Access((("anna", hashed("x")),))), bound),
        (own_port, SHOP),
    ]
    for first, routes in enumerate(changes, start=20001):
        fresh = files(*routes, first=first)
        assert files(*routes, first=first, sections=kept) == fresh
        assert str(first + 9000) in part(fresh) and "\0" not in "".join(fresh.values())
        assert files(*routes, first=first, ipv6=False, sections=kept) == files(*routes, first=first, ipv6=False)
