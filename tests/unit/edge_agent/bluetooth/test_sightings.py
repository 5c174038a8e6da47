"""The list of devices in reach."""

import pytest

from edge_agent.bluetooth.radio.sightings import MAX_NAME, MAX_SIGHTINGS, Sightings, clean
from edge_agent.gatt.registry import uuid_of

STRAP = "C0:FF:EE:00:00:01"
HEART_RATE = uuid_of(0x180D)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param(None, "", id="none"),
        pytest.param("Polar H10", "Polar H10", id="plain"),
        pytest.param("\x1b[2J\r\nx", "�[2J��x", id="escapes"),
        pytest.param("\u202eabc", "�abc", id="right to left"),
        pytest.param("x" * 99, "x" * (MAX_NAME - 1) + "…", id="long"),
    ],
)
def test_a_name_cannot_steer_the_terminal(name: str | None, shown: str) -> None:
    """A device's advertised name cannot control the terminal, and takes one cell."""
    assert clean(name) == shown


def test_what_we_cannot_read_is_left_out() -> None:
    """Devices that the agent cannot read are omitted, unless all are requested."""
    for everything, count in ((False, 1), (True, 2)):
        sightings = Sightings(everything=everything)
        sightings.hear(STRAP, "strap", [HEART_RATE.upper()], -50, now=1.0)
        sightings.hear("C0:FF:EE:00:00:02", "headphones", [uuid_of(0x184E)], -40, now=1.0)
        assert len(sightings.all()) == count


def test_what_was_learned_once_stays() -> None:
    """Name and services remain known when a later advertisement lacks them."""
    sightings = Sightings()
    sightings.hear(STRAP, "strap", [HEART_RATE], -50, now=1.0)
    sightings.hear(STRAP, None, [], -60, now=2.0)

    (seen,) = sightings.all()

    assert (seen.name, seen.kinds, seen.rssi_dbm, seen.heard) == ("strap", ("heart rate",), -60, 2)


def test_a_crowd_is_bounded() -> None:
    """When the list is full, the device heard longest ago is removed."""
    sightings = Sightings()
    for n in range(MAX_SIGHTINGS + 5):
        sightings.hear(f"C0:FF:EE:00:{n // 256:02X}:{n % 256:02X}", "", [HEART_RATE], -50, now=n)

    assert len(sightings.all()) == MAX_SIGHTINGS
    assert min(seen.heard_at for seen in sightings.all()) == 5.0


def test_the_loudest_stands_first() -> None:
    """The strongest signal comes first, and a change of a few dB does not reorder the list."""
    sightings = Sightings()
    sightings.hear("B", "", [HEART_RATE], -41, now=1.0)
    sightings.hear("A", "", [HEART_RATE], -49, now=1.0)
    sightings.hear("C", "", [HEART_RATE], -35, now=1.0)

    assert [seen.address for seen in sightings.all()] == ["C", "A", "B"]
