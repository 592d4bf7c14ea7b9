"""What can be set on nginx for an app: one declaration for each setting, with a parser that lets nothing else through.

A value is kept as the text the parser returns. No such text holds a character with which it could end its directive:
no quote, semicolon, brace, backslash or line end.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paas.errors import InvalidInput
from paas.names import shown

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_HEADER_VARIABLES = (
    "remote_addr",
    "realip_remote_addr",
    "proxy_protocol_addr",
    "proxy_add_x_forwarded_for",
    "http_x_forwarded_for",
    "http_x_forwarded_proto",
    "http_x_forwarded_port",
    "http_x_forwarded_ssl",
    "http_x_real_ip",
    "http_cf_connecting_ip",
    "scheme",
    "https",
    "server_port",
    "host",
)
LOG_FORMATS = ("paas", "combined", "json")
_BUFFERS_LIMIT = 16 << 20
_BUFFER_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Setting:
    """`default` is what holds where nothing is set; `directive` names the one directive the value stands in."""

    key: str
    help: str
    parse: Callable[[str], str]
    default: str
    directive: str = ""
    global_only: bool = False


def size(text: str) -> str:
    """Bytes: 0, 512, 64k, 200m, 2g. Raises InvalidInput."""
    found = text.lower()
    if not re.fullmatch(r"\d{1,9}[kmg]?", found, re.ASCII):
        raise InvalidInput(f"{shown(text)} is not a size", hint="Examples: 64k, 200m, 2g; 0 for no limit")
    return found


def buffer(text: str) -> str:
    """The size of a buffer, up to 1m: each connection may take one."""
    found = size(text)
    if not 1024 <= _bytes(found) <= _BUFFER_LIMIT:
        raise InvalidInput(f"{shown(text)} is not the size of a buffer", hint="From 1k to 1m, such as 16k")
    return found


def buffers(text: str) -> str:
    """`NUMBER SIZE`, together up to 16m."""
    words = text.split(" ")
    if len(words) != 2 or not re.fullmatch(r"\d{1,4}", words[0], re.ASCII) or int(words[0]) < 2:
        raise InvalidInput(f"{shown(text)} is not a number and a size of buffers", hint="Example: 16 16k")
    each = buffer(words[1])
    if int(words[0]) * _bytes(each) > _BUFFERS_LIMIT:
        raise InvalidInput(f"{shown(text)} is more than 16m for each connection", hint="Example: 16 16k")
    return f"{int(words[0])} {each}"


def time(text: str) -> str:
    """60s, 500ms, 10m, 2h; a bare number is seconds. Raises InvalidInput."""
    if not re.fullmatch(r"\d{1,8}(ms|s|m|h|d)?", text, re.ASCII):
        raise InvalidInput(f"{shown(text)} is not a time", hint="Examples: 60s, 500ms, 10m, 2h")
    return text if not text.isdigit() else f"{text}s"


def switch(text: str) -> str:
    """`on` or `off`, also written as true and false. Raises InvalidInput."""
    if text.lower() in ("on", "true", "yes", "1"):
        return "on"
    if text.lower() in ("off", "false", "no", "0"):
        return "off"
    raise InvalidInput(f"{shown(text)} is neither on nor off")


def boolean(text: str) -> str:
    return "true" if switch(text) == "on" else "false"


def keepalive(text: str) -> str:
    """How many idle connections to instances each worker keeps; `on` is 64."""
    if re.fullmatch(r"\d{1,4}", text, re.ASCII) and 2 <= int(text) <= 1024:
        return str(int(text))
    if text.isdigit() and text != "0":
        raise InvalidInput(f"{shown(text)} is not a number of connections", hint="From 2 to 1024, or off")
    return "64" if switch(text) == "on" else "off"


def most(text: str) -> str:
    """How many at once: 1 to 65536, or off. Raises InvalidInput."""
    if re.fullmatch(r"\d{1,5}", text, re.ASCII) and 1 <= int(text) <= 65536:
        return str(int(text))
    if text.isdigit():
        raise InvalidInput(f"{shown(text)} is not a number of requests", hint="From 1 to 65536, or off")
    if switch(text) == "on":
        raise InvalidInput("How many?", hint="A number from 1 to 65536, or off")
    return "off"


def rate(text: str) -> str:
    """10r/s, 30r/m, or off; a bare number is requests a second. Raises InvalidInput."""
    found = re.fullmatch(r"([1-9]\d{0,5})(r/[sm])?", text, re.ASCII)
    if found:
        return f"{found[1]}{found[2] or 'r/s'}"
    if text in ("off", "0"):
        return "off"
    raise InvalidInput(f"{shown(text)} is not a rate of requests", hint="Examples: 10r/s, 30r/m, off")


def burst(text: str) -> str:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII):
        raise InvalidInput(f"{shown(text)} is not a number of requests", hint="Example: 20")
    return str(int(text))


def seconds(text: str) -> str:
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII):
        raise InvalidInput(f"{shown(text)} is not a number of seconds")
    return str(int(text))


def log_path(text: str) -> str:
    """Only `off`: another path would let an app write where it pleases."""
    if text != "off":
        raise InvalidInput(
            "Logs lie where paas rotates them; they can only be turned off",
            hint="Give off, or no value to log again. nginx:access-logs and nginx:error-logs show them.",
        )
    return text


def log_format(text: str) -> str:
    if text not in LOG_FORMATS:
        raise InvalidInput(f"{shown(text)} is not a log format", hint=f"Known: {', '.join(LOG_FORMATS)}")
    return text


def header_value(text: str) -> str:
    """Words and some of nginx's variables, for an X-Forwarded header. Raises InvalidInput."""
    if len(text) > 200 or not re.fullmatch(r"[A-Za-z0-9 $_.,:/\[\]-]*", text, re.ASCII):
        raise InvalidInput(f"{shown(text)} cannot be the value of a header", hint="Example: $remote_addr")
    for dollar, name in re.findall(r"(\$)(\w*)", text):
        if name not in _HEADER_VARIABLES:
            known = ", ".join(f"${known}" for known in _HEADER_VARIABLES)
            raise InvalidInput(f"{dollar}{name} is not a variable for a header", hint=f"Known: {known}")
    return text


def ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise InvalidInput(f"{shown(text)} is not an IPv4 address", hint="Example: 127.0.0.1") from None


def ipv6(text: str) -> str:
    bare = text.removeprefix("[").removesuffix("]")
    try:
        if "%" in bare:
            raise ValueError
        return str(ipaddress.IPv6Address(bare))
    except ValueError:
        raise InvalidInput(f"{shown(text)} is not an IPv6 address", hint="Example: ::1") from None


SETTINGS: tuple[Setting, ...] = (
    Setting("client-max-body-size", "largest body of a request", size, "64m", "client_max_body_size"),
    Setting("client-body-timeout", "between two reads of a request's body", time, "60s", "client_body_timeout"),
    Setting("client-header-timeout", "for a request's head", time, "20s", "client_header_timeout"),
    Setting("send-timeout", "between two writes to a client", time, "60s", "send_timeout"),
    Setting("keepalive-timeout", "an idle connection of a client is kept", time, "15s", "keepalive_timeout"),
    Setting("lingering-timeout", "for what a client still sends at the end", time, "5s", "lingering_timeout"),
    Setting("proxy-connect-timeout", "for a connection to an instance", time, "5s"),
    Setting("proxy-read-timeout", "between two reads from an instance", time, "60s"),
    Setting("proxy-send-timeout", "between two writes to an instance", time, "60s"),
    Setting("proxy-buffering", "take an answer at once, for a slow client", switch, "on", "proxy_buffering"),
    Setting(
        "proxy-request-buffering",
        "take a whole request from a slow client before an instance sees it; off streams uploads",
        switch,
        "on",
        "proxy_request_buffering",
    ),
    Setting("proxy-buffers", "number and size of the buffers of an answer", buffers, "16 16k", "proxy_buffers"),
    Setting("proxy-buffer-size", "for the head of an answer", buffer, "16k"),
    Setting(
        "proxy-busy-buffers-size",
        "of the buffers, what may be on its way to the client",
        buffer,
        "",
        "proxy_busy_buffers_size",
    ),
    Setting("proxy-keepalive", "idle connections to instances that are kept: a number or off", keepalive, "64"),
    Setting(
        "limit-conn",
        "requests of all visitors that are answered at once; 503 and a page that says so for more",
        most,
        "4096",
    ),
    Setting("limit-conn-per-ip", "the same for one visitor's address: a number or off", most, "off"),
    Setting("limit-req", "how often one visitor's address may ask, such as 10r/s; 429 for more", rate, "off"),
    Setting("limit-req-burst", "requests beyond limit-req that are let through at once", burst, "20"),
    Setting("hsts", "tell browsers to come by https only, once there is a certificate", boolean, "true"),
    Setting("hsts-max-age", "seconds that browsers remember it", seconds, "15724800"),
    Setting("hsts-include-subdomains", "for subdomains as well", boolean, "true"),
    Setting("hsts-preload", "let browsers put it into their lists", boolean, "false"),
    Setting("bind-address-ipv4", "serve only connections to this address of the host", ipv4, ""),
    Setting("bind-address-ipv6", "serve only connections to this address of the host", ipv6, "::"),
    Setting("x-forwarded-for-value", "X-Forwarded-For, as instances get it", header_value, "$remote_addr"),
    Setting("x-forwarded-port-value", "X-Forwarded-Port", header_value, "$server_port"),
    Setting("x-forwarded-proto-value", "X-Forwarded-Proto", header_value, "$scheme"),
    Setting("x-forwarded-ssl", "X-Forwarded-Ssl", header_value, ""),
    Setting("access-log-path", "off for no access log", log_path, ""),
    Setting("access-log-format", f"one of {', '.join(LOG_FORMATS)}", log_format, "paas"),
    Setting("error-log-path", "off for no error log", log_path, ""),
    Setting("underscore-in-headers", "take headers with '_' in their names", switch, "off", "underscores_in_headers"),
    Setting("http2", "HTTP/2 on TLS ports, which all apps share", switch, "on", global_only=True),
)
BY_KEY = {setting.key: setting for setting in SETTINGS}


def complete(values: Mapping[str, str]) -> dict[str, str]:
    """All settings: these, parsed once more, and the defaults. Raises InvalidInput."""
    found = {setting.key: setting.default for setting in SETTINGS}
    for key, value in values.items():
        if value != BY_KEY[key].default:
            found[key] = BY_KEY[key].parse(value)
    return found


def _bytes(text: str) -> int:
    number = text.rstrip("kmg")
    return int(number) * _UNITS[text[len(number) :]]
