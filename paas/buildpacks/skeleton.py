"""A buildpack to begin with."""

from __future__ import annotations

from collections.abc import Mapping

from paas.buildpacks.pack import MANIFEST, TEMPLATE, check_name

_MANIFEST = """\
# docs/guides/buildpacks.md says what may stand here.
title: {name}
detect:
  file: {name}.conf
processes:
  web: exec ./start
no-start:
  - "Add a Procfile with one line: web: ./start"
"""
_TEMPLATE = """\
{% import "macros.j2" as m with context %}
{{ m.prepared(base, pack ~ "-base", ["ca-certificates"], "A base") }}

FROM {{ pack }}-base AS {{ pack }}-build
{{ m.app_packages() }}
WORKDIR /app
{{ m.code() }}

FROM {{ pack }}-build
{{ m.finish() }}
"""


def skeleton(name: str) -> Mapping[str, str]:
    """File name -> text. Raises InvalidInput for what is no name of a pack."""
    return {MANIFEST: _MANIFEST.replace("{name}", check_name(name)), TEMPLATE: _TEMPLATE}
