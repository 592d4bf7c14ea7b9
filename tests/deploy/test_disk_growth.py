"""When something is measured again, and who has grown."""

from __future__ import annotations

from paas.deploy.disk_growth import Amount, Due, Gauge, Known, due, most_grown
from paas.system.disk import Left

MIB = 1 << 20
STEP = 100 * MIB


def left(bytes: int, inodes: int = 1000) -> Left:
    return Left(bytes, inodes, 0, 0, 1 << 40)


def known(bytes: int, inodes: int = 0, *, cost: float = 0.0, measured: bool = True) -> Known:
    size = Amount(bytes, inodes)
    return Known(size, size, Amount(), 0.0, cost, measured)


def test_what_is_deleted_is_a_movement_as_well() -> None:
    gauge = Gauge()
    for bytes in (100, 90, 120, 50):
        moved = gauge.look(left(bytes))
    assert moved == Amount(110, 0)
    assert gauge.look(left(50, 990)) == Amount(110, 10)


def test_nobody_is_measured_who_cannot_have_passed_the_limit() -> None:
    limit = Amount(10 * MIB, 100)
    one = known(6 * MIB, 50)
    assert due(None, limit, Amount(), STEP, 0) is Due.NOW
    assert due(one, limit, Amount(4 * MIB - 1, 49), STEP, 5) is Due.NO
    assert due(one, limit, Amount(4 * MIB, 0), STEP, 5) is Due.NOW
    assert due(one, limit, Amount(0, 50), STEP, 5) is Due.NOW
    assert due(one, Amount(0, 100), Amount(99 * MIB, 0), STEP, 5) is Due.NO, "0 is no limit"
    assert due(known(20 * MIB), limit, Amount(), STEP, 5) is Due.NO
    assert due(known(20 * MIB), limit, Amount(1, 0), STEP, 5) is Due.NOW


def test_sizes_are_learnt_anew_as_the_disk_fills_and_as_time_goes() -> None:
    assert due(known(0), None, Amount(STEP - 1, 10_000), STEP, 5) is Due.NO
    assert due(known(0), None, Amount(STEP, 0), STEP, 5) is Due.NOW
    assert due(known(0), None, Amount(), STEP, 59) is Due.NO
    assert due(known(0), None, Amount(), STEP, 60) is Due.NOW
    assert due(known(0), None, Amount(1, 0), STEP, 14) is Due.NO
    assert due(known(0), None, Amount(1, 0), STEP, 15) is Due.NOW
    assert due(known(0, cost=5), None, Amount(), STEP, 299) is Due.NO
    assert due(known(0, measured=False), None, Amount(), STEP, 5) is Due.NOW


def test_what_takes_long_is_not_done_all_the_time() -> None:
    assert due(known(0, cost=2), None, Amount(STEP, 0), STEP, 7) is Due.SOON
    assert due(known(0, cost=2), None, Amount(STEP, 0), STEP, 8) is Due.NOW


def test_who_has_grown_most() -> None:
    growth = {"a": Amount(5, 900), "b": Amount(80, 2), "c": Amount(-500, 0)}
    assert most_grown(growth, inodes=False, least=10) == "b"
    assert most_grown(growth, inodes=True, least=10) == "a"
    assert most_grown(growth, inodes=False, least=81) is None
    assert most_grown({}, inodes=False, least=0) is None
