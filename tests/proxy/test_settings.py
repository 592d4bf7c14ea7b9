"""What can be set on nginx: hostile values cannot leave their directive."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.errors import InvalidInput
from paas.proxy.settings import BY_KEY, SETTINGS, Setting, complete

HOSTILE = [
    "1m; return 200 x",
    "1m;",
    "60s }",
    "on{",
    '"',
    "'",
    "\\",
    "#",
    "1m\n",
    "1m\nreturn 200;",
    "$(id)",
    "${remote_addr}",
    '$remote_addr"; deny all; #',
    "$remote_addr\\",
    "$http_authorization",
    "$cookie_session",
    "off; error_log /etc/passwd",
    "fe80::1%eth0",
    "١",
    "\0",
    "a" * 300,
    "$Remote_addr",
    "$",
]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_hostile_values(setting: Setting) -> None:
    for text in HOSTILE:
        with pytest.raises(InvalidInput):
            setting.parse(text)


@given(st.sampled_from(SETTINGS), st.text(max_size=40))
def test_no_value_holds_what_could_end_its_directive(setting: Setting, text: str) -> None:
    try:
        value = setting.parse(text)
    except InvalidInput:
        return
    assert not re.search(r"[;{}\"'\\#\r\n\0]", value)
    assert setting.parse(value) == value, "what is kept is taken again"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_the_defaults_are_values(setting: Setting) -> None:
    assert not setting.default or setting.parse(setting.default) == setting.default


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("client-max-body-size", "200M", "200m"),
        ("client-max-body-size", "0", "0"),
        ("proxy-read-timeout", "120", "120s"),
        ("proxy-buffering", "false", "off"),
        ("hsts", "off", "false"),
        ("proxy-buffers", "8 4k", "8 4k"),
        ("proxy-keepalive", "on", "64"),
        ("bind-address-ipv6", "[::1]", "::1"),
        ("x-forwarded-for-value", "$http_x_forwarded_for, $remote_addr", "$http_x_forwarded_for, $remote_addr"),
    ],
)
def test_values(key: str, text: str, value: str) -> None:
    assert BY_KEY[key].parse(text) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("proxy-buffers", "1 4k"),
        ("proxy-buffers", "9999 1m"),
        ("proxy-buffers", "4k"),
        ("proxy-buffer-size", "64m"),
        ("proxy-keepalive", "1"),
        ("client-max-body-size", "99999999999999"),
        ("bind-address-ipv4", "127.0.0.1:80"),
        ("access-log-path", "off/../x"),
        ("access-log-path", "/var/log/x.log"),
        ("access-log-format", "main"),
    ],
)
def test_values_that_would_harm_others(key: str, text: str) -> None:
    with pytest.raises(InvalidInput):
        BY_KEY[key].parse(text)


def test_what_the_database_holds_is_looked_at_once_more() -> None:
    assert complete({"hsts": "false"})["hsts"] == "false" and complete({})["hsts"] == "true"
    with pytest.raises(InvalidInput):
        complete({"client-max-body-size": "1m; return 200"})
