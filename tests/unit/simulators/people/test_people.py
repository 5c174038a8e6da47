"""People for a run."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.people.people import DEFAULT_SOURCE, Origin, Person, address_of, pick

STRAP = b"epoch_s,hr_bpm,rr_ms\n" + b"".join(b"%d.0,60,1000\n" % n for n in range(1, 600))


@given(st.text())
def test_address_is_of_no_real_sensor(seed: str) -> None:
    """Every address is unicast and locally administered, in MAC notation."""
    address = address_of(seed)

    assert re.fullmatch(r"([0-9A-F]{2}:){5}[0-9A-F]{2}", address)
    assert int(address[:2], 16) & 0b11 == 0b10


def addresses(people: list[Person]) -> list[str]:
    """Return the addresses of all sensors."""
    return [sensor.address for person in people for sensor in person.sensors]


def test_people_are_invented_where_nothing_is_recorded() -> None:
    """Without a source every person is a persona with a strap and a CGM sensor."""
    people = pick(None, 3, seed=1)

    assert [person.name for person in people] == ["person 1", "person 2", "person 3"]
    assert {person.origin for person in people} == {Origin.PERSONA}
    assert people[0].quantities == {"heart_rate", "rr_interval", "glucose_interstitial"}


def test_recorded_people_come_first(tmp_path: Path) -> None:
    """Recorded people come first, and personas complete the number."""
    (tmp_path / "a.csv").write_bytes(STRAP)
    people = pick(tmp_path, 2, seed=1)

    assert [person.origin for person in people] == [Origin.RECORDED, Origin.PERSONA]


def test_same_seed_is_the_same_people() -> None:
    """More people do not change the first ones, and another seed changes all addresses."""
    assert addresses(pick(None, 9, seed=1))[:4] == addresses(pick(None, 2, seed=1))
    assert not set(addresses(pick(None, 9, seed=1))) & set(addresses(pick(None, 9, seed=2)))
    assert len(set(addresses(pick(None, 500, seed=1)))) == 1000


def test_recordings_of_other_quantities_are_passed_over(tmp_path: Path) -> None:
    """People without any wanted quantity are not picked."""
    (tmp_path / "a.txt").write_bytes(b"800\r\n810\r\n820\r\n")
    (tmp_path / "b.csv").write_bytes(STRAP)
    [person] = pick(tmp_path, 1, seed=1, quantities=["heart_rate"])

    assert "heart_rate" in person.quantities


def test_damaged_recordings_are_passed_over(tmp_path: Path) -> None:
    """A recording without a measurement gives no person."""
    (tmp_path / "a.csv").write_bytes(b"epoch_s,hr_bpm,rr_ms\n")
    [person] = pick(tmp_path, 1, seed=1)

    assert person.origin is Origin.PERSONA


def test_nothing_of_a_file_is_in_a_person(tmp_path: Path) -> None:
    """Nothing of a file's name is in a person, because it may be a real name."""
    (tmp_path / "JaneDoe.csv").write_bytes(STRAP)
    [person] = pick(tmp_path, 1, seed=1)

    assert "JaneDoe" not in f"{person.name} {person.description} {person.attribution}"
    assert "JaneDoe" not in repr(person)


def test_samples_begin_anew_and_at_once(tmp_path: Path) -> None:
    """Each call starts the samples from the beginning, and the first one comes soon."""
    (tmp_path / "a.csv").write_bytes(STRAP)
    for person in pick(tmp_path, 2, seed=1):
        for sensor in person.sensors:
            first, again = (list(itertools.islice(sensor.samples(), 900)) for _ in range(2))
            offsets = [sample.offset_ms for sample in first]

            assert first == again
            assert 0 <= offsets[0] <= 2 * sensor.step_ms
            assert offsets == sorted(offsets)


@pytest.mark.skipif(
    not DEFAULT_SOURCE.is_dir(), reason="the recordings are not beside the project"
)
@pytest.mark.parametrize("seed", range(5))
def test_recorded_person_measures_everything_from_the_start(seed: int) -> None:
    """A recorded person with heart rate and glucose has both within the first half hour."""
    for person in pick(DEFAULT_SOURCE, 3, seed=seed):
        wrist, cgm = person.sensors
        for sensor in (wrist, cgm):
            samples = itertools.takewhile(lambda s: s.offset_ms < 6 * 3_600_000, sensor.samples())
            values = [s for s in samples if s.value is not None]

            assert len(values) >= 0.9 * 6 * 3_600_000 / sensor.step_ms
