"""The messages of a player, which may be hostile."""

import asyncio
import json
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from edge_agent.sources.recorded import (
    MAX_TAKEN,
    MAX_WAITING,
    RecordedSensors,
    format_listen,
    parse_line,
)
from edge_agent.values.measurement import Measurement
from runtime.errors import ConfigError
from tests.fakes.edge_agent import OTHER_SENSOR, SENSOR
from wire.quantities import Quantity, all_quantities
from wire.refusals import FROM_SENSOR, Refusal

GOOD = {"sensor": SENSOR, "record": 3, "quantity": "heart_rate", "value": 72.0, "at_ms": 5}


def line(**changes: object) -> bytes:
    """Return a valid line with *changes*; None omits a field."""
    fields = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    return json.dumps(fields).encode()


def test_value_and_fault_golden() -> None:
    """Hand-written lines with a value, a whole number and a fault."""
    assert parse_line(line()) == Measurement(SENSOR, 1, 5, 72, None, 3)
    assert parse_line(line(value=72)) == Measurement(SENSOR, 1, 5, 72, None, 3)
    assert parse_line(line(value=None, fault="off_body")) == Measurement(
        SENSOR, 1, 5, None, Refusal.OFF_BODY, 3
    )


@pytest.mark.parametrize(
    ("quantity", "value", "steps"),
    [
        pytest.param("glucose_capillary", b"5.555", 556, id="a tie goes to the even step"),
        pytest.param("glucose_capillary", b"5.545", 554, id="a tie that is even below"),
        pytest.param("body_temperature", b"36.9749999999999999999999999", 3697, id="many digits"),
        pytest.param("heart_rate", b"1e308", 301, id="beyond the range"),
        pytest.param("heart_rate", b"-1e400", 19, id="below the range, beyond a float"),
        pytest.param("heart_rate", b"9e999999999", 301, id="more digits than memory"),
        pytest.param("heart_rate", b"9e-999999999", 0, id="nothing"),
        pytest.param("heart_rate", b"99999999999999999999999999", 301, id="a long whole number"),
    ],
)
def test_value_becomes_exact_steps(quantity: str, value: bytes, steps: int) -> None:
    """The digits of a line become exact steps without a float, and no number uses much memory."""
    read = parse_line(line(quantity=quantity).replace(b"72.0", value))
    assert read is not None
    assert read.steps == steps


@given(st.sampled_from(list(all_quantities())), st.data())
def test_every_step_survives_a_line(quantity: Quantity, data: st.DataObject) -> None:
    """Every step, written at full resolution, is read as the same step."""
    steps = data.draw(st.integers(quantity.low, quantity.high))
    read = parse_line(line(quantity=quantity.name, value=quantity.to_unit(steps)))
    assert read is not None
    assert read.steps == steps


@pytest.mark.parametrize("fault", list(Refusal))
def test_player_tells_only_what_a_sensor_can(fault: Refusal) -> None:
    """A player cannot send a refusal that only the agent may decide, such as a missing lease."""
    assert (parse_line(line(value=None, fault=fault)) is not None) == (fault in FROM_SENSOR)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"", id="empty"),
        pytest.param(line(value=None), id="neither value nor fault"),
        pytest.param(line(fault="off_body"), id="both"),
        pytest.param(line(fault="tired", value=None), id="unknown fault"),
        pytest.param(line(quantity="mood"), id="unknown quantity"),
        pytest.param(line(value="72"), id="text for a number"),
        pytest.param(line(value="NaN"), id="text for no number"),
        pytest.param(line(value=True), id="a truth value"),
        pytest.param(line(value=[72]), id="a list"),
        pytest.param(line(record=0), id="record 0"),
        pytest.param(line(record=1 << 60), id="record too large"),
        pytest.param(line(at_ms=1 << 60), id="time too large"),
        pytest.param(line(sensor=""), id="no sensor"),
        pytest.param(line(sensor="x" * 65), id="long sensor"),
        pytest.param(line(sensor=None), id="sensor missing"),
        pytest.param(line().replace(b"72.0", b"NaN"), id="NaN"),
        pytest.param(line().replace(b"C0:FF", b"\\ud800"), id="half a surrogate pair"),
        pytest.param(b"[" * 4000, id="deep"),
    ],
)
def test_no_measurement(bad: bytes) -> None:
    """A line that holds no measurement is counted as such."""
    assert parse_line(bad) is None


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.floats() | st.text() | st.integers(), lambda c: st.lists(c)).map(
        lambda v: json.dumps(v).encode()
    )
)
def test_parse_raises_nothing(data: bytes) -> None:
    """No bytes raise an undeclared error."""
    parse_line(data)


def test_listen_golden() -> None:
    """The listen message is one line of JSON."""
    assert format_listen({SENSOR: 7}) == b'{"listen":{"C0:FF:EE:00:00:01":7}}\n'


async def test_players_are_told_and_heard(tmp_path: Path) -> None:
    """A player gets a listen message at once and at each change, from the durable cursor on."""
    malformed: list[None] = []
    sensors = RecordedSensors(malformed=lambda: malformed.append(None))
    async with asyncio.timeout(5), sensors.serve(tmp_path / "s"):
        await sensors.listen({SENSOR: 2})
        sensors.advance({SENSOR: 4, OTHER_SENSOR: 9})
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        assert json.loads(await reader.readline()) == {"listen": {SENSOR: 4}}
        writer.write(b"rubbish\n" + line() + b"\n")
        assert await sensors.take(within_s=5.0) == [parse_line(line())]
        assert len(malformed) == 1
        assert await sensors.take(within_s=0.0) == []
        await sensors.listen({})
        assert json.loads(await reader.readline()) == {"listen": {}}
        writer.close()
    assert not (tmp_path / "s").exists()


async def test_nothing_is_said_before_it_is_known(tmp_path: Path) -> None:
    """
    While the agent starts, a player gets no listen message, because an empty one would stop its
    sensors.
    """
    sensors = RecordedSensors(malformed=lambda: None)
    async with asyncio.timeout(5), sensors.serve(tmp_path / "s"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(line() + b"\n")
        # A player that has sent a line has been accepted.
        assert len(await sensors.take(within_s=5.0)) == 1
        sensors.advance({SENSOR: 4})
        await sensors.listen({SENSOR: 5})
        assert json.loads(await reader.readline()) == {"listen": {SENSOR: 5}}
        writer.close()


async def test_flood_waits_in_the_socket(tmp_path: Path) -> None:
    """A player that sends without end is read only as far as there is room, and loses nothing."""
    sensors = RecordedSensors(malformed=lambda: None)
    count = 3 * MAX_WAITING
    async with asyncio.timeout(10), sensors.serve(tmp_path / "s"):
        _, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.writelines(line(record=i + 1) + b"\n" for i in range(count))
        sending = asyncio.create_task(writer.drain())
        while len(sensors._waiting) < MAX_WAITING:  # noqa: ASYNC110 - nothing says so
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(sensors._waiting) == MAX_WAITING
        taken: list[int | None] = []
        while len(taken) < count:
            some = await sensors.take(within_s=5.0)
            assert 0 < len(some) <= MAX_TAKEN
            assert len(sensors._waiting) <= MAX_WAITING
            taken += [measurement.record for measurement in some]
        await sending
        writer.close()
    assert taken == list(range(1, count + 1))


async def test_socket_must_be_possible(tmp_path: Path) -> None:
    """An impossible socket path is an error for the operator."""
    with pytest.raises(ConfigError, match="recorded_socket"):
        async with RecordedSensors(malformed=lambda: None).serve(tmp_path / ("x" * 200)):
            pass
