"""What is asked again when an instance does not answer, and what never is: by what the app has noted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import web
from tests.traffic.conftest import World


@pytest.fixture(scope="module", autouse=True)
def whole_requests(world: World) -> Iterator[None]:
    """nginx has the whole of a request and could send it once more; what is passed on as it comes it cannot."""
    world.client.ssh("nginx:set", world.app, "proxy-request-buffering")
    yield
    world.client.ssh("nginx:set", world.app, "proxy-request-buffering", "off")


@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("PATCH", 1), ("GET", 5), ("PUT", 5), ("DELETE", 5)])
def test_an_instance_that_closes_without_an_answer(world: World, method: str, times: int) -> None:
    world.forget()
    body = None if method == "GET" else b"x"
    answer = web.request(world.machine.address, 80, world.host, f"/gone?{method}-1", method=method, body=body)
    assert answer.status == 502
    assert world.noted == [f"{method}-1"] * times


def test_an_instance_that_does_not_answer_in_time(world: World) -> None:
    world.client.ssh("nginx:set", world.app, "proxy-read-timeout", "500ms")
    world.forget()
    try:
        answer = web.request(world.machine.address, 80, world.host, "/mute?post-1", method="POST", body=b"x")
    finally:
        world.client.ssh("nginx:set", world.app, "proxy-read-timeout")
    assert answer.status == 504
    assert world.noted == ["post-1"]
