"""git:* — what pushes do."""

from __future__ import annotations

from paas.commands.properties import define
from paas.deploy.pipeline import PROPERTIES

define(
    "git",
    "pushes",
    {item.key: item.help for item in PROPERTIES},
    (
        "git:set wiki deploy-branch production",
        "git:set wiki deploy-branch",
        "git:set --global deploy-branch main",
    ),
)
