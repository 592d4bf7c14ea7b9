"""Attempts on the walls, one by one, from a container of an image and from an instance of an app."""

from __future__ import annotations

import pytest

from tests.containment.probes import ALL, Outcome, Probe


@pytest.mark.parametrize("probe", ALL, ids=lambda probe: probe.name)
@pytest.mark.parametrize("where", ["image_container", "app_instance"])
def test_the_wall_holds(where: str, probe: Probe, request: pytest.FixtureRequest) -> None:
    found: dict[str, Outcome] = request.getfixturevalue(where)
    assert probe.name in found, f"it has not run; {len(found)} others have"
    assert probe.held(found[probe.name]), found[probe.name]
