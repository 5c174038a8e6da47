"""The sensors of a person."""

import itertools
from collections.abc import Iterator

import pytest

from edge_agent.gatt import racp
from edge_agent.gatt.racp import Operator, RacpOpCode
from simulators.people.people import pick
from simulators.sensor.device.faults import FaultKind
from simulators.sensor.kinds.cgm import CgmSensor
from simulators.sensor.kinds.glucose_meter import GlucoseMeter
from simulators.sensor.options import SensorKind, SensorOptions
from simulators.sensor.sensor_factory import build, split, static_address

NOW_S = 1_790_000_000.0


def now() -> float:
    """Return a constant time."""
    return NOW_S


def test_an_invented_person_has_each_kind() -> None:
    """Two invented people have four sensors each, with distinct addresses."""
    worn = build(pick(None, 2, seed=1), tuple(SensorKind), SensorOptions(), now=now)

    assert [one.kind for one in worn] == list(SensorKind) * 2
    assert len({one.sensor.address for one in worn}) == 8


def test_the_same_seed_has_the_same_addresses() -> None:
    """The same seed gives the same addresses."""
    addresses = [
        [one.sensor.address for one in build(pick(None, 2, seed=s), tuple(SensorKind), w, now=now)]
        for s, w in (
            (1, SensorOptions(seed=1)),
            (1, SensorOptions(seed=1)),
            (2, SensorOptions(seed=2)),
        )
    ]

    assert addresses[0] == addresses[1]
    assert not set(addresses[0]) & set(addresses[2])


@pytest.mark.parametrize(
    ("address", "static"),
    [("02:00:00:00:00:01", "C2:00:00:00:00:01"), ("FE:00:00:00:00:01", "FE:00:00:00:00:01")],
)
def test_addresses_are_static_random_ones(address: str, static: str) -> None:
    """Addresses are static random ones, with the two top bits set."""
    assert static_address(address) == static


def test_a_history_lies_in_the_past() -> None:
    """A meter and a CGM sensor have records for the requested hours."""
    kinds = (SensorKind.METER, SensorKind.CGM)
    [meter, cgm] = [
        one.sensor
        for one in build(pick(None, 1, seed=1), kinds, SensorOptions(history_h=48), now=now)
    ]
    assert isinstance(meter, GlucoseMeter)
    assert isinstance(cgm, CgmSensor)

    ages_h = [
        (meter.clock.shown() - record.shown_at).total_seconds() / 3600
        for record in meter.memory
        if record.shown_at is not None
    ]
    minutes = [record.key for record in cgm.memory]

    assert ages_h == sorted(ages_h, reverse=True)
    assert 0 < ages_h[-1] < ages_h[0] <= 48
    assert 6 <= len(ages_h) <= 16
    assert cgm.session.minute() == 48 * 60
    assert minutes == sorted(minutes)
    assert 0 <= minutes[0] < minutes[-1] < 48 * 60
    assert len(minutes) > 500


def test_without_history_nothing_is_stored() -> None:
    """Without a history a sensor has no record."""
    kinds = (SensorKind.METER, SensorKind.CGM)
    worn = build(pick(None, 1, seed=1), kinds, SensorOptions(history_h=0), now=now)

    for one in worn:
        assert isinstance(one.sensor, GlucoseMeter | CgmSensor)
        assert one.sensor.memory.select(racp.Request(RacpOpCode.REPORT, Operator.ALL)) == []


def test_faults_go_to_their_kind() -> None:
    """A fault for straps does not affect a meter."""
    wishes = SensorOptions(faults={SensorKind.STRAP: ("drop@1",)})
    worn = build(pick(None, 1, seed=1), tuple(SensorKind), wishes, now=now)

    assert [one.kind for one in worn if one.sensor.faults.strikes(FaultKind.DROP, 1)] == [
        SensorKind.STRAP
    ]


def test_what_was_is_split_from_what_will_be() -> None:
    """`split` puts each item on one side of the moment, with its distance from it."""

    def items() -> Iterator[tuple[int, str]]:
        for n in itertools.count():
            yield n * 10, f"item {n}"

    past, future = split(items(), at_ms=20)

    assert past == [(20, "item 0"), (10, "item 1")]
    assert list(itertools.islice(future, 2)) == [(0, "item 2"), (10, "item 3")]
