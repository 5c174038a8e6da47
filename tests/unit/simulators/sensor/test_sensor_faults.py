"""The faults of virtual sensors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import FaultError
from simulators.sensor.device.faults import Fault, FaultKind, Faults, parse


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("drop@40", Fault(FaultKind.DROP, 40, 40), id="once"),
        pytest.param("busy", Fault(FaultKind.BUSY), id="always"),
        pytest.param("silence@100-", Fault(FaultKind.SILENCE, 100), id="from then on"),
        pytest.param("malformed@3-9", Fault(FaultKind.MALFORMED, 3, 9), id="for a while"),
        pytest.param("drop@40-/40", Fault(FaultKind.DROP, 40, None, 40), id="each fortieth"),
        pytest.param("repeat", Fault(FaultKind.REPEAT, number=2), id="its usual number"),
        pytest.param("repeat=5@2", Fault(FaultKind.REPEAT, 2, 2, number=5), id="another number"),
        pytest.param("flood", Fault(FaultKind.FLOOD, number=1000), id="a flood"),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    """A fault is written as kind, number and place; missing parts have defaults."""
    assert parse(text) == fault


@pytest.mark.parametrize(
    "text",
    [
        "",
        "explode",
        "drop@",
        "drop@0",
        "drop@9-3",
        "drop@1/0",
        "drop=3",
        "repeat=0",
        "flood=",
        "drop@1-2-3",
        "drop @1",
        "DROP",
    ],
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    """A text that names no fault is refused."""
    with pytest.raises(FaultError):
        parse(text)


@given(st.text(max_size=20))
def test_reading_raises_nothing_else(text: str) -> None:
    """No text raises any other error."""
    try:
        parse(text)
    except FaultError:
        pass


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("drop@3", [3]),
        ("drop", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("drop@7-", [7, 8, 9]),
        ("drop@2-4", [2, 3, 4]),
        ("drop@2-/3", [2, 5, 8]),
        ("drop@2-6/2", [2, 4, 6]),
    ],
)
def test_a_fault_strikes_at_its_places(text: str, places: list[int]) -> None:
    """Both ends of a range are included, and steps count from its first place."""
    faults = Faults(text)

    assert [n for n in range(1, 10) if faults.strikes(FaultKind.DROP, n)] == places


def test_a_fault_is_of_its_kind_alone() -> None:
    """A fault affects only its own kind, and the first matching one is found."""
    faults = Faults("repeat=3@5", "repeat=4@4-")

    assert not faults.strikes(FaultKind.DROP, 5)
    assert faults.find(FaultKind.REPEAT, 5) == Fault(FaultKind.REPEAT, 5, 5, number=3)
    assert faults.find(FaultKind.REPEAT, 6) == Fault(FaultKind.REPEAT, 4, number=4)


def test_faults_come_and_go() -> None:
    """Faults can be added to and removed from a running sensor."""
    faults = Faults()
    assert not faults.strikes(FaultKind.BUSY, 1)

    faults.add("busy")
    assert faults.strikes(FaultKind.BUSY, 1)

    faults.clear()
    assert not faults.strikes(FaultKind.BUSY, 1)
