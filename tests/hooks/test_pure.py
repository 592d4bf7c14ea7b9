"""Files of repositories, schedules, and what a server may answer: the parts by themselves, with hostile input."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas import output
from paas.apps import appjson, checking, jsonc, paasyml, yamlfile
from paas.apps.nodes import Node
from paas.apps.schedule import Schedule
from paas.declared import Check, CronTask, Declared
from paas.deploy.cron import believed, due_minutes, id_of, is_due
from paas.errors import InvalidInput
from paas.model import Release
from paas.names import AppName, ProcessType
from paas.schedulers import asking
from paas.schedulers.plan import Slot, waves
from paas.state import declared as codec
from tests.harness.authority import Authority


def plain(node: Node) -> object:
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    return [plain(item) for item in node.value] if isinstance(node.value, list) else node.value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_json_is_read_as_json(value: object, spaced: bool) -> None:
    text = json.dumps(value, indent=2 if spaced else None, ensure_ascii=spaced)
    assert plain(jsonc.parse(text.encode(), "f")) == value
    assert plain(jsonc.parse(f"/* a */ {text} // b".encode(), "f")) == value


@given(st.binary(max_size=60) | st.text('{}[]",:/*\\u0123 \ntrue-e.', max_size=30).map(str.encode))
def test_whatever_stands_there_is_read_or_refused(data: bytes) -> None:
    for parse in (jsonc.parse, yamlfile.parse):
        try:
            parse(data, "f")
        except InvalidInput as error:
            assert error.message.startswith("f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1: the file ends too early"),
        ('{"a": 1,\n "a": 2}', "f:2: 'a' stands here twice"),
        ("{'a': 1}", "f:1: a key in double quotes"),
        ('{"a": 1,,}', "f:1: a key"),
        ("[1\n\n2]", "f:3: a comma or ] is missing"),
        ('{"a": /* x', "f:1: a comment is not closed"),
        ("[" * 100_000, "f:1: nested too deeply"),
        ("\n\n[NaN]", "f:3: 'NaN]' is no value"),
        ("[01]", "f:1: a comma"),
        ('{"a": "\\ud800"}', "half of a surrogate"),
        ("1" * 100_000, "the number is too long"),
        ("x" * 300_000, "longer than"),
    ],
)
def test_bad_json(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        jsonc.parse(text.encode(), "f")
    assert message in error.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: &x\n  c: 1\n", "f:2: anchors"),
        ("a: *x", "f:1: anchors"),
        ("a: !!binary aGk=", "f:1: tags"),
        ("a: ! x", "f:1: tags"),
        ("a: 1\na: 2", "f:2: 'a' stands here twice"),
        ("[a]: 1", "f:1: a key has to be text"),
        ("--- 1\n--- 2\n", "f:2: only one document"),
        ("[" * 20_000, "f:1: nested too deeply"),
        ("a: 'x", "f:1"),
        ("%YAML 9.9\n--- a", "f:1"),
    ],
)
def test_bad_yaml(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        yamlfile.parse(text.encode(), "f")
    assert message in error.value.message


def test_plain_yaml_is_what_it_looks_like() -> None:
    text = b"a: yes\nb: 80:50\nc: 010\nd: 1e3\ne: 2024-01-01\nf: ~\ng: -3\nh: 1.50\ni: '1'\nj: TRUE\n"
    expected = {"a": "yes", "b": "80:50", "c": "010", "d": "1e3", "e": "2024-01-01", "f": None, "g": -3, "h": 1.5}
    assert plain(yamlfile.parse(text, "f")) == expected | {"i": "1", "j": "TRUE"}
    assert plain(yamlfile.parse(b"", "f")) == plain(yamlfile.parse(b"# nothing\n", "f")) in ({}, None)


def test_an_empty_paas_yml_says_nothing() -> None:
    assert paasyml.parse(b"") == paasyml.parse(b"config:\nscale: ~\n") == paasyml.PaasYml()


@pytest.mark.parametrize(
    "check",
    [
        {"path": "/"},
        {"type": "startup"},
        {"type": "startup", "path": "/", "uptime": 1},
        {"type": "startup", "path": "http://169.254.169.254/"},
        {"type": "startup", "path": "/ HTTP/1.1\r\nHost: x"},
        {"type": "startup", "path": "/", "httpHeaders": [{"name": "A", "value": "x\r\nB: y"}]},
        {"type": "startup", "path": "/", "httpHeaders": [{"name": "A:B", "value": "x"}]},
        {"type": "startup", "command": "ls -l"},
        {"type": "startup", "command": []},
        {"type": "startup", "path": "/", "attempts": True},
        {"type": "startup", "path": "/", "timeout": 1e300},
        {"type": "sometimes", "path": "/"},
        {"type": "startup", "path": "/", "onFailure": {"url": "http://127.0.0.1/"}},
        {"type": "startup", "listening": True, "port": 70000},
    ],
)
def test_checks_that_are_none(check: object) -> None:
    with pytest.raises(InvalidInput, match=r"^app.json:1: healthchecks/web/0"):
        appjson.parse(json.dumps({"healthchecks": {"web": [check]}}).encode())


def test_config_of_app_json() -> None:
    env = {
        "A": "a",
        "KEPT": "x",
        "SYNC": {"value": "s", "sync": True},
        "GEN": {"generator": "secret"},
        "GENSYNC": {"generator": "secret", "sync": True},
        "MAY": {"required": False},
    }
    variables = appjson.parse(json.dumps({"env": env}).encode()).env
    first = appjson.changed_config(variables, {"KEPT": "mine", "SYNC": "mine"}, first=True)
    assert set(first) == {"A", "SYNC", "GEN", "GENSYNC"} and first["SYNC"] == "s"
    assert first["GEN"] != first["GENSYNC"] and len(first["GEN"]) == 64
    assert appjson.changed_config(variables, {**first, "SYNC": "other"}, first=False) == {"SYNC": "s"}
    must = appjson.parse(b'{"env": {"MUST": {}}}').env
    with pytest.raises(InvalidInput, match="required env var MUST has no value, no default, and no TTY for prompt"):
        appjson.changed_config(must, {}, first=True)
    assert appjson.changed_config(must, {}, first=False) == {}


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("* * * * *", "2024-02-28 23:59", "2024-02-29 00:00"),
        ("30 4 * * *", "2024-01-01 04:30", "2024-01-02 04:30"),
        ("*/20 8-10 * * *", "2024-01-01 08:41", "2024-01-01 09:00"),
        ("0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00"),
        ("0 0 13 * fri", "2024-01-01 00:00", "2024-01-05 00:00"),  # either day will do
        ("0 0 */2 * 1", "2024-01-01 00:00", "2024-01-15 00:00"),  # both have to
        ("5,10-12 0 * JAN Sun", "2024-01-01 00:00", "2024-01-07 00:05"),
        ("0 0 * * 7", "2024-01-01 00:00", "2024-01-07 00:00"),
        ("5/20 * * * *", "2024-01-01 00:06", "2024-01-01 00:25"),
        ("@weekly", "2024-01-01 00:00", "2024-01-07 00:00"),
        ("@YEARLY", "2024-01-01 00:00", "2025-01-01 00:00"),
    ],
)
def test_schedules(text: str, after: str, expected: str) -> None:
    schedule = Schedule(text)
    found = schedule.after(datetime.fromisoformat(after))
    assert found == datetime.fromisoformat(expected) and schedule.matches(found)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "*/0 * * * *",
        ),
        *(
            "5-1 * * * *",
            "a * * * *",
            "* * 30 2 *",
            "@reboot",
            "-1 * * * *",
            "1,,2 * * * *",
            "* * * * mon-",
            "²* * * * *",
        ),
        "1" * 300,
    ],
)
def test_schedules_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        Schedule(text)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)),
    st.sampled_from(["7 3 1 * 0", "*/7 * * */5 2", "1 1 31 * *"]),
)
def test_the_next_time_is_the_first_that_matches(start: datetime, text: str) -> None:
    schedule = Schedule(text)
    assert start < schedule.after(start) and schedule.matches(schedule.after(start))


def test_a_clock_that_jumps() -> None:
    assert due_minutes(100, 101) == [101]
    assert due_minutes(100, 103) == [101, 102, 103], "held up a little"
    assert due_minutes(100, 5000) == [5000], "set ahead: what lies between is not run"
    assert due_minutes(100, 100) == due_minutes(100, 95) == []
    assert (believed(100, 95), believed(1000, 10), believed(100, 101)) == (100, 10, 101)
    twice = datetime(2024, 10, 27, 2, 30, fold=1)
    assert not is_due(Schedule("30 2 * * *"), twice) and is_due(Schedule("30 * * * *"), twice)


def test_ids_are_base_36_and_stay() -> None:
    task = CronTask(("true",), "true", "@daily")
    assert id_of("node-js-app", task) == id_of("node-js-app", task) != id_of("other", task)
    assert int(id_of("a", task), 36).to_bytes(17) == b"a===true===@daily"


def test_what_is_declared_is_kept() -> None:
    text = b"""{"cron": [{"command": "a 'b c'", "schedule": "@daily", "concurrency_policy": "replace"}],
        "formation": {"web": {"quantity": 2, "max_parallel": 1}, "w": {"max_parallel": -1}},
        "healthchecks": {"web": [{"type": "liveness", "command": ["x"], "wait": 0.5, "onFailure": {"command": ["y"]}},
        {"type": "startup", "path": "/", "httpHeaders": [{"name": "A", "value": "b"}]}]}}"""
    declared = appjson.parse(text).declared
    assert codec.read(json.loads(json.dumps(codec.words(declared)))) == declared
    assert codec.read({}) == Declared()


def test_waves() -> None:
    web, worker = ProcessType("web"), ProcessType("worker")
    declared = Declared(max_parallel={web: 2})
    release = Release(AppName("a"), 1, "", {}, (), (), (), "", "", "", "", declared=declared)
    slots = [*(Slot(web, n) for n in (1, 2, 3)), *(Slot(worker, n) for n in (1, 2, 3))]
    assert waves(slots, release, lambda kind: False) == [[*slots[:2], *slots[3:]], [slots[2]]]
    assert waves(slots, release, lambda kind: kind == web) == [slots[3:], slots[:3]]
    assert waves([], release, lambda kind: False) == []


def test_lists_of_checks() -> None:
    web, worker = ProcessType("web"), ProcessType("worker")
    assert checking.lists("", "web", "disabled", [web]) == {"disabled-list": "web", "skipped-list": None}
    assert checking.lists("web", "", "disabled", [worker])["disabled-list"] == "web,worker"
    assert checking.lists("_all_", "x", "enabled", []) == {"disabled-list": None, "skipped-list": None}
    with pytest.raises(InvalidInput):
        checking.lists("_all_", "", "enabled", [web])


# -- what a server may answer -------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[int, list[bytes]]]:
    """Answers each connection with the next of the given texts, byte by byte when it begins with a `~`."""
    answers: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(4096)
                    text = answers.pop(0) if len(answers) > 1 else answers[0]
                    for piece in [text[n : n + 1] for n in range(1, len(text))] if text[:1] == b"~" else [text]:
                        connection.sendall(piece)
                        if text[:1] == b"~":
                            time.sleep(0.05)
                except OSError:
                    continue

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], answers
    listener.close()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], ""),
        ([b"HTTP/1.1 200 OK\r\n\r\nall is well"], ""),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nis w\r\n3\r\nell\r\n0\r\n\r\n"], ""),
        ([b"HTTP/1.1 200 OK\r\n\r\nno"], "lacks 'is well'"),
        ([b"HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nis well"], ""),
        ([b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n"], "answered 302"),
        ([b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n"], "redirected more than"),
        ([b"HTTP/1.1 503 Busy\r\n\r\n"], "answered 503"),
        ([b"SSH-2.0-x\r\n"], "BadStatusLine"),
        ([b""], "it hung up"),
        ([b"~HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50], "no answer after"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n"], "HTTPException"),
    ],
)
def test_answers(server: tuple[int, list[bytes]], answers: list[bytes], reason: str) -> None:
    port, given_answers = server
    given_answers += answers
    content = "" if b"204" in answers[0] else "is well"
    check = Check("startup", path="/", content=content)
    found = asking.get(IPv4Address("127.0.0.1"), port, check, "app.example.com", 0.5)
    assert reason in found if reason else found == ""


def test_https_is_asked_whatever_certificate_there_is(tmp_path: Path) -> None:
    """An instance is asked by its address, which no certificate names."""
    certificate, key = Authority().issue("elsewhere.example.com")
    (tmp_path / "both.pem").write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    asked: list[bytes] = []

    def serve() -> None:
        for _ in range(2):
            plain, _ = listener.accept()
            try:
                with context.wrap_socket(plain, server_side=True) as secure:
                    asked.append(secure.recv(65536))
                    secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except OSError:
                plain.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    address = IPv4Address("127.0.0.1")
    secure = Check("startup", path="/health", scheme="https", content="ok")
    assert asking.get(address, port, secure, "app.example.com", 5) == ""
    assert asked[0].startswith(b"GET /health HTTP/1.1\r\nHost: app.example.com\r\n")
    assert asking.get(address, port, Check("startup", path="/health"), "app.example.com", 5) != "", "not without TLS"
    thread.join(5)
    listener.close()


@pytest.mark.parametrize("columns", [20, 24, 31, 40, 60, 80])
def test_tables_keep_within_a_terminal_whatever_is_written_in_them(columns: int) -> None:
    wide = "\u6f22\u5b57\u304b\u306a\ud55c\uae00" * 6  # two cells each
    marks = "e\u0301" * 30  # a letter and an accent that takes no cell
    rows = [("web.1", wide, "2026-01-01"), ("w\u00fcrm", marks, wide), ("\u200b", "\U0001f680" * 20, "x")]
    lines = output.table(("NAME", "COMMAND", "CREATED"), rows, columns)
    narrowest = 3 * 8 + 2 * 3  # columns keep eight cells
    assert all(output.cells(line) <= max(columns, narrowest) for line in lines), lines
    assert len(lines) == 4 and all("\n" not in line for line in lines)
    whole = output.table(("NAME", "COMMAND", "CREATED"), rows)
    assert wide in whole[1] and marks in whole[2] and "\u2026" not in "".join(whole)
    starts = {
        output.cells(line[: line.index(third)]) for line, third in zip(whole, ("CREATED", "2026", wide), strict=False)
    }
    assert len(starts) == 1, "the third column begins in one cell"


@given(st.text(max_size=60), st.integers(1, 40))
def test_what_is_cut_fits(text: str, width: int) -> None:
    short = output.cut(text, width)
    assert output.cells(short) <= width
    assert short == text or (short.endswith("\u2026") and text.startswith(short[:-1]))
