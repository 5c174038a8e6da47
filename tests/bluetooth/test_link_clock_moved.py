"""A meter whose owner moves its clock: each record keeps the time at which it was measured."""

import datetime

import pytest

from edge_agent.bluetooth.dating import ClockVerdict
from edge_agent.bluetooth.sensors import RadioTimeouts
from simulators.sensor.device.clock import SensorClock
from simulators.sensor.kinds.glucose_meter import GlucoseMeter
from simulators.sensor.signals import Strip
from tests.bluetooth.air import METER, radio
from tests.bluetooth.hurry import HurriedClock, hurry
from tests.fakes.bluetooth import ToldHost, collecting
from tests.fixtures.link import AirLink


async def visits(*moves_min: int, ahead_s: float) -> tuple[list[int], list[int], dict[str, float]]:
    """
    Measure, have the owner move the clock, and wait until it was fetched, for each of *moves_min*.

    Returns:
        The true times of the records, the times that they got (both in ms), and the verdicts.
    """
    clock = HurriedClock()
    meter = GlucoseMeter(METER, SensorClock(clock.seconds, ahead_s=ahead_s))
    link = AirLink()
    await link.adapter.switch_on(link.air)
    await link.add(meter)
    true_ms: list[int] = []
    async with collecting(
        radio(link), ToldHost(), {METER: 0}, patience=RadioTimeouts(), clock=clock
    ) as collector:
        for move_min in moves_min:
            meter.measure(Strip(6.0))
            true_ms.append(clock.now_ms())
            shown = meter.clock.shown()
            meter.clock.set(shown + datetime.timedelta(minutes=move_min))
            await collector.until(lambda: len(collector.taken_of_records()) == len(true_ms),
                                  within_s=600.0)  # fmt: skip
            await collector.during(90.0)
        verdicts = {v.value: collector.value("meter_clocks_total", verdict=v.value)
                    for v in ClockVerdict}  # fmt: skip
        given = [measured.at_ms for measured in collector.taken_of_records()]
    await link.close()
    return true_ms, given, verdicts


@pytest.mark.parametrize("ahead_s", [0.0, -7200.0, 86_400.0], ids=["right", "behind", "a day off"])
@pytest.mark.parametrize(
    "moves_min",
    [
        pytest.param((0, -60), id="end of summer time"),
        pytest.param((0, 60, 0), id="begin of summer time"),
        pytest.param((0, -540, 540, 0), id="a journey and back"),
        pytest.param((0, 1440), id="a wrong day put right"),
    ],
)
def test_a_moved_clock_moves_no_record(moves_min: tuple[int, ...], ahead_s: float) -> None:
    """What was measured before the owner moved the clock, and fetched after, is dated right."""
    true_ms, given, verdicts = hurry(visits(*moves_min, ahead_s=ahead_s))

    assert given == pytest.approx(true_ms, abs=60_000)
    assert verdicts["moved"] > 0
    assert verdicts["undecided"] == 0
