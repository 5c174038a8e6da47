"""The inner clock of a meter, decided from contact to contact; and how it is remembered."""

import datetime
from pathlib import Path

import pytest

from edge_agent.bluetooth.clock_memory import FileClocks
from edge_agent.bluetooth.dating import ClockVerdict
from edge_agent.bluetooth.inner_clock import Contact, decide
from edge_agent.gatt.glucose import GlucoseMeasurement
from simulators.sensor.device.clock import to_date_time

MINUTE, HOUR = 60_000, 3_600_000
DAY = 24 * HOUR


def ms(*parts: int) -> int:
    """Return a time in UTC, ms since 1970."""
    return round(datetime.datetime(*parts, tzinfo=datetime.UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


NOW = ms(2026, 10, 26, 9, 0, 0)
LAST = Contact(ms(2026, 10, 24, 12, 0, 0), 0, 0)
"""The inner clock showed UTC."""


def record(*base: int, offset_min: int | None = None) -> GlucoseMeasurement:
    """Return the newest record of a meter."""
    shown = datetime.datetime(*base)  # type: ignore[arg-type]  # noqa: DTZ001
    return GlucoseMeasurement(
        sequence=9, base_time=to_date_time(shown), time_offset_min=offset_min
    )


EVENING = 2026, 10, 24, 20, 0

CASES = [
    pytest.param(record(*EVENING), 0, None, ClockVerdict.FIRST, 0, False, id="first"),
    pytest.param(
        record(*EVENING, offset_min=60), 0, None, ClockVerdict.FIRST, -HOUR, True,
        id="first, and the clock was moved at some time",
    ),
    pytest.param(
        record(*EVENING, offset_min=60), 0, LAST, ClockVerdict.MOVED, 0, False,
        id="end of summer time",
    ),
    pytest.param(
        record(*EVENING, offset_min=60), HOUR, LAST, ClockVerdict.CONFIRMED, 0, False,
        id="summer time goes on",
    ),
    pytest.param(
        record(*EVENING), HOUR, LAST, ClockVerdict.MOVED, 0, False, id="begin of summer time"
    ),
    pytest.param(
        record(*EVENING, offset_min=60), -8 * HOUR, LAST, ClockVerdict.MOVED, 0, False,
        id="a journey",
    ),
    pytest.param(
        record(*EVENING), 3 * MINUTE, LAST, ClockVerdict.CONFIRMED, 3 * MINUTE, False, id="drift"
    ),
    pytest.param(
        record(2010, 1, 1, 7, 0), ms(2010, 1, 1, 20, 0) - NOW, LAST,
        ClockVerdict.RESET, ms(2010, 1, 1, 20, 0) - NOW, False, id="a new battery",
    ),
    pytest.param(
        record(*EVENING, offset_min=60), 0, Contact(LAST.at_ms, 0, -HOUR),
        ClockVerdict.RESET, -HOUR, False, id="moved, and a new record has the offset of before",
    ),
    pytest.param(
        record(2027, 1, 1, 0, 0), 0, Contact(LAST.at_ms, 9 * HOUR, 9 * HOUR),
        ClockVerdict.UNDECIDED, 0, True, id="in the future by either",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("newest", "shown", "before", "verdict", "ahead", "doubt"), CASES)
def test_an_inner_clock_golden(
    newest: GlucoseMeasurement,
    shown: int,
    before: Contact | None,
    verdict: ClockVerdict,
    ahead: int,
    doubt: bool,
) -> None:
    """What was read at the last contact decides; what cannot be decided is marked."""
    found = decide(newest, shown_ahead_ms=shown, before=before, is_new=True, now_ms=NOW)

    assert (found.verdict, found.ahead_ms, found.is_uncertain) == (verdict, ahead, doubt)


@pytest.mark.parametrize(
    ("newest", "shown", "verdict"),
    [
        pytest.param(
            record(2010, 1, 1, 7, 0), ms(2010, 1, 1, 20, 0) - NOW, ClockVerdict.RESET, id="reset"
        ),
        pytest.param(record(2026, 10, 2, 7, 0), -HOUR, ClockVerdict.MOVED, id="moved"),
    ],
)
def test_an_old_record_tells_less(
    newest: GlucoseMeasurement, shown: int, verdict: ClockVerdict
) -> None:
    """A record that may be from before the last contact is not years old."""
    found = decide(newest, shown_ahead_ms=shown, before=LAST, is_new=False, now_ms=NOW)

    assert found.verdict is verdict
    assert not found.is_uncertain


def test_a_meter_is_remembered_over_a_restart(tmp_path: Path) -> None:
    """The file names no sensor; a damaged or missing one is the first contact again."""
    clocks = FileClocks(tmp_path, tag=lambda label: label[::-1][:9])
    assert clocks.recall("C0:FF:EE:00:00:02") is None
    clocks.keep("C0:FF:EE:00:00:02", LAST)
    clocks.keep("C0:FF:EE:00:00:03", Contact(1, 2, 3))

    again = FileClocks(tmp_path, tag=lambda label: label[::-1][:9])
    assert again.recall("C0:FF:EE:00:00:02") == LAST
    (path,) = tmp_path.iterdir()
    assert b"C0:FF" not in path.read_bytes()
    path.write_bytes(b"?")
    assert FileClocks(tmp_path, tag=bytes).recall("C0:FF:EE:00:00:02") is None


def test_a_disk_that_fails_costs_the_comparison_after_a_restart_alone(tmp_path: Path) -> None:
    """Without a disk the process remembers, and many meters are bounded."""
    clocks = FileClocks(tmp_path / "no such folder", tag=lambda label: label)
    for number in range(600):
        clocks.keep(f"meter {number}", Contact(number, 0, 0))

    assert clocks.recall("meter 599") == Contact(599, 0, 0)
    assert clocks.recall("meter 1") is None
