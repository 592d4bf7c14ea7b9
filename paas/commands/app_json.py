"""app-json:* — the file of a repository that says what its app needs."""

from __future__ import annotations

from paas.commands.properties import define
from paas.deploy.repository import PROPERTIES

define(
    "app-json",
    "app.json",
    {item.key: item.help for item in PROPERTIES},
    ("app-json:set wiki appjson-path deploy/app.json", "app-json:set wiki appjson-path"),
)
