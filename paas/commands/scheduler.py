"""scheduler:* and scheduler-docker-local:* — what runs the containers of apps."""

from __future__ import annotations

from paas.apps.container_settings import declared
from paas.commands.properties import define
from paas.settings import Settings

_KEYS = declared(Settings())

define(
    "scheduler",
    "what runs the containers of apps",
    {item.key: item.help for item in _KEYS if item.noun == "scheduler"},
    ("scheduler:set wiki shell /bin/bash",),
)
define(
    "scheduler-docker-local",
    "how containers of apps are started",
    {item.key: item.help for item in _KEYS if item.noun == "scheduler-docker-local"},
    ("scheduler-docker-local:set wiki init-process false", "scheduler-docker-local:set wiki parallel-schedule-count 4"),
)
