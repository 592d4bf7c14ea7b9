"""What nginx has taken is known to the next engine."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from paas.names import AppName, Hostname
from paas.proxy.remembered import Remembered, Texts
from paas.routes import Access, Listen, Redirection, Route

PLAIN = Route(AppName("wiki"), (Hostname("wiki.example.com"),), IPv4Address("10.87.0.1"))
FULL = Route(
    AppName("shop"),
    (Hostname("shop.example.com"), Hostname("*.shop.example.com")),
    IPv4Address("10.87.0.2"),
    listens=(Listen("http", 80, 80, to_https=443), Listen("grpcs", 9000, 90)),
    settings={"hsts": "false"},
    certificate=Path("/certs/1"),
    secure=(Hostname("shop.example.com"),),
    access=Access((("anna", "$2b$x"),), ("192.0.2.0/24",)),
    redirections=(Redirection(Hostname("old.example.com"), "https://shop.example.com/x", 307),),
    maintenance=Path("/pages/1"),
)


def test_routes_come_back_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "nginx" / "served.json"
    Remembered(file, Texts()).keep({"wiki": PLAIN, "shop": FULL})
    assert file.stat().st_mode & 0o777 == 0o600
    assert Remembered(file, Texts()).routes == {"wiki": PLAIN, "shop": FULL}


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"app": "x"}]', "{}"])
def test_a_damaged_file_is_no_obstacle(tmp_path: Path, text: str) -> None:
    file = tmp_path / "served.json"
    file.write_text(text)
    remembered = Remembered(file, Texts())
    assert remembered.routes == {}
    remembered.keep({"wiki": PLAIN})
    assert Remembered(file, Texts()).routes == {"wiki": PLAIN}
