"""Templates of --format: what they show, and what they refuse."""

from __future__ import annotations

import pytest

from paas.commands.filters import has_label, passed
from paas.commands.formats import parse_format
from paas.commands.templates import parse
from paas.errors import InvalidInput

VALUE = {
    "ID": "0123",
    "Names": "brave_fox",
    "State": {"Status": "running", "Running": True, "ExitCode": 0},
    "Config": {"Cmd": ["sh", "-c", "a b"], "Labels": {"team": "shop", "tier.name": "web"}, "User": None},
    "Ports": {"80/tcp": [{"HostPort": "8080"}]},
    "Networks": {"own": {"IPAddress": "10.86.0.1"}, "more": {"IPAddress": "10.86.0.2"}},
    "Label": lambda key: {"team": "shop"}.get(key, ""),
    "Mounts": [],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.ID}} {{.Names}}", "0123 brave_fox"),
        ("{{ .State.Status }}\\t{{.State.Running}}", "running\ttrue"),
        ("plain text", "plain text"),
        ("a {{- .ID -}} b", "a0123b"),
        ("{{json .Config.Cmd}}", '["sh","-c","a b"]'),
        ("{{.Config.Cmd}}", "[sh -c a b]"),
        ("{{.Config.Labels}}", "map[team:shop tier.name:web]"),
        ("{{.Config.User}}", "<no value>"),
        ('{{join .Config.Cmd ", "}}', "sh, -c, a b"),
        ("{{.Names | upper | len}}", "9"),
        ('{{index .Config.Labels "tier.name"}}', "web"),
        ('{{index .Config.Labels "none"}}', ""),
        ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
        ("{{range .Networks}}{{.IPAddress}} {{end}}", "10.86.0.1 10.86.0.2 "),
        ("{{range .Mounts}}x{{else}}none{{end}}", "none"),
        ("{{if .State.ExitCode}}failed{{else}}fine{{end}}", "fine"),
        ('{{.Label "team"}}', "shop"),
        ("{{`{{`}}", "{{"),
    ],
)
def test_shown(template: str, text: str) -> None:
    assert parse(template).render(VALUE) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{.Nothing}}",
        "{{.State.Nothing}}",
        "{{.ID.Deeper}}",
        "{{.ID",
        "{{}}",
        "{{printf .ID}}",
        "{{.ID | }}",
        "{{json}}",
        "{{join .ID}}",
        "{{index .Config.Cmd 9}}",
        "{{len .State.ExitCode}}",
        "{{range .ID}}{{end}}",
        "{{range .Networks}}",
        "{{end}}",
        "{{else}}",
        '{{template "x"}}',
        "{{$x := .ID}}",
        "{{" + "(" * 500 + ".ID" + ")" * 500 + "}}",
        "{{if .ID}}" * 100,
        "x" * 5000,
        "{{.__class__}}",
        "{{.Names.format}}",
    ],
)
def test_refused(template: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse(template).render(VALUE)
    assert len(error.value.message) < 200


def test_headings_stand_where_the_fields_do() -> None:
    table = parse_format("table {{.ID}}\\t{{upper .Names}}: {{json .Other}}")
    assert table.table and table.template is not None
    assert table.template.headings({"ID": "CONTAINER ID", "Names": "NAMES"}) == "CONTAINER ID\tNAMES: OTHER"


def test_filters_of_one_key_are_alternatives_but_labels_add_up() -> None:
    things = [{"a": "1"}, {"a": "1", "b": "2"}, {"b": "2"}]
    tests = {"label": has_label, "size": lambda thing, text: len(thing) == int(text)}
    assert passed(things, [("label", "a"), ("label", "b=2")], tests) == [things[1]]
    assert passed(things, [("size", "2"), ("size", "1"), ("label", "a=1")], tests) == things[:2]
