"""The memory of a virtual sensor."""

import datetime

import pytest

from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.racp import Operator, RacpOpCode, RacpResponseCode, Request
from simulators.sensor.device.memory import Memory, StoredRecord

NINE = datetime.datetime(2026, 1, 1, 9)  # noqa: DTZ001


def memory_of(*keys: int, knows_time: bool = True) -> Memory:
    """Return a memory with a record for each of *keys*, an hour apart from nine on."""
    memory = Memory(max_records=100, knows_time=knows_time)
    for hour, key in enumerate(keys):
        memory.add(StoredRecord(key, (), NINE + datetime.timedelta(hours=hour, microseconds=5)))
    return memory


def at(hour: int, day: int | None = 1) -> DateTime:
    """Return the full *hour* of *day* in January."""
    return DateTime(2026, 1, day, hour, 0, 0)


@pytest.mark.parametrize(
    ("operator", "bounds", "keys"),
    [
        (Operator.ALL, (), [1, 2, 3]),
        (Operator.FIRST, (), [1]),
        (Operator.LAST, (), [3]),
        (Operator.UP_TO, (2,), [1, 2]),
        (Operator.FROM, (2,), [2, 3]),
        (Operator.RANGE, (2, 2), [2]),
        (Operator.RANGE, (0, 9), [1, 2, 3]),
        (Operator.FROM, (4,), []),
        (Operator.FROM, (at(10),), [2, 3]),
        (Operator.UP_TO, (at(10),), [1, 2]),
        (Operator.RANGE, (at(9), at(9)), [1]),
    ],
)
def test_a_request_selects(
    operator: Operator, bounds: tuple[int | DateTime, ...], keys: list[int]
) -> None:
    """Both bounds of a request are included, and times are compared by the second."""
    selected = memory_of(1, 2, 3).select(Request(RacpOpCode.REPORT, operator, bounds))

    assert not isinstance(selected, RacpResponseCode)
    assert [record.key for record in selected] == keys


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param((3, 1), id="reversed"),
        pytest.param((at(10), at(9)), id="times reversed"),
        pytest.param((at(9), at(9, day=None)), id="no date"),
        pytest.param((at(9, day=None), at(9)), id="no date first"),
    ],
)
def test_bounds_that_bound_nothing_are_refused(bounds: tuple[int | DateTime, ...]) -> None:
    """A range whose bounds are reversed or no dates is an invalid operand."""
    request = Request(RacpOpCode.REPORT, Operator.RANGE, bounds)

    assert memory_of(1, 2, 3).select(request) is RacpResponseCode.INVALID_OPERAND


@pytest.mark.parametrize("operator", [Operator.FROM, Operator.UP_TO])
def test_one_bound_that_is_no_date_is_refused(operator: Operator) -> None:
    """A single bound that is no date is an invalid operand."""
    request = Request(RacpOpCode.REPORT, operator, (at(9, day=None),))

    assert memory_of(1, 2, 3).select(request) is RacpResponseCode.INVALID_OPERAND


def test_a_sensor_without_a_clock_knows_no_time() -> None:
    """A sensor without a clock answers a request by time with "not supported"."""
    request = Request(RacpOpCode.REPORT, Operator.FROM, (at(9),))

    selected = memory_of(1, knows_time=False).select(request)

    assert selected is RacpResponseCode.OPERAND_NOT_SUPPORTED


def test_a_full_memory_forgets_the_oldest() -> None:
    """When the memory is full, the oldest record is dropped."""
    memory = Memory(max_records=2, knows_time=False)
    for key in (1, 2, 3):
        memory.add(StoredRecord(key, ()))

    assert [record.key for record in memory] == [2, 3]


def test_what_is_deleted_is_gone() -> None:
    """A delete removes exactly the selected records."""
    memory = memory_of(1, 2, 3)
    selected = memory.select(Request(RacpOpCode.DELETE, Operator.FIRST))
    assert not isinstance(selected, RacpResponseCode)

    memory.forget(selected)

    assert [record.key for record in memory] == [2, 3]
