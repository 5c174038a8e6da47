"""The timetable of a sensor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.sample import Sample, SampleFault
from simulators.replay.timetable import DueRecord, Timetable, speed_of
from tests.fakes.simulators import counting_sensor


def timetable(*, speed: float = 1.0, max_kept: int = 100) -> Timetable:
    """Return the timetable of a sensor with a sample each second."""
    return Timetable(counting_sensor(), speed=speed, max_kept=max_kept)


def numbers(table: Timetable, after: int = 0) -> list[int]:
    """Return the numbers of the kept records."""
    return [record.number for record in table.after(after, limit=1000)]


def hand_over_all(table: Timetable, now_ms: float) -> None:
    """Hand over all kept records that were not handed over."""
    for record in table.after(table.books.highest_record, limit=1000):
        table.hand_over(record, now_ms)


def test_nothing_is_measured_while_nobody_listens() -> None:
    """A sensor does not measure while no agent listens."""
    table = timetable()

    assert table.due_at_ms() is None
    assert table.advance(1e12) == 0


def test_first_record_is_due_when_listening_begins() -> None:
    """The schedule starts when an agent starts to listen."""
    table = timetable()
    table.begin(5_000)

    assert table.due_at_ms() == 5_000
    assert table.advance(7_500) == 3
    assert [r.at_ms for r in table.after(0, limit=10)] == [5_000, 6_000, 7_000]


def test_speed_compresses_the_timetable() -> None:
    """At a speed of 60 a minute of the recording takes a second."""
    table = timetable(speed=60)
    table.begin(0)
    table.advance(100)

    assert [r.at_ms for r in table.after(0, limit=10)] == [0, 16, 33, 50, 66, 83, 100]


def test_records_keep_the_instant_of_measuring() -> None:
    """Records have the times at which they were due, however late they are made."""
    table = timetable()
    table.begin(0)
    table.advance(60_000)

    assert table.after(59, limit=1) == [DueRecord(60, 59_000, Sample(59_000, "heart_rate", 60.0))]


def test_end_forgets_what_nobody_was_handed() -> None:
    """When the last agent stops listening, records that were not sent are dropped."""
    table = timetable()
    table.begin(0)
    table.advance(4_000)
    for record in table.after(0, limit=2):
        table.hand_over(record, 4_000)
    table.end(4_100)

    assert numbers(table) == [1, 2]
    assert table.books.dropped_at_ms == 4_100
    assert table.pending == 0


def test_second_beginning_numbers_on_and_measures_anew() -> None:
    """After a pause numbers continue without a gap, and no record is from the pause."""
    table = timetable()
    table.begin(0)
    table.advance(4_000)
    hand_over_all(table, 4_000)
    table.end(4_100)
    table.begin(60_000)
    table.advance(61_000)

    assert [(r.number, r.at_ms) for r in table.after(5, limit=9)] == [(6, 60_000), (7, 61_000)]
    assert table.books.first_listen_at_ms == 0
    assert table.books.dropped_at_ms is None


def test_beginning_twice_changes_nothing() -> None:
    """A second listen message does not move the schedule."""
    table = timetable()
    table.begin(0)
    table.begin(500)

    assert table.due_at_ms() == 0


def test_ending_twice_keeps_the_first_instant() -> None:
    """The time of the end is that of the first `end`, if it is repeated."""
    table = timetable()
    table.begin(0)
    table.end(1)
    table.end(2)

    assert table.books.dropped_at_ms == 1


def test_agent_that_knows_more_is_numbered_on() -> None:
    """If an agent knows a higher number, numbering continues from there."""
    table = timetable()
    table.resume_after(57)
    table.begin(0)
    table.advance(0)

    assert numbers(table, after=57) == [58]


def test_agent_that_knows_less_is_shown_again() -> None:
    """If an agent asks for earlier records again, they are sent again and counted as repeated."""
    table = timetable()
    table.begin(0)
    table.advance(2_000)
    hand_over_all(table, 2_000)
    table.resume_after(1)
    for record in table.after(1, limit=9):
        table.hand_over(record, 3_000)

    assert table.books.handed_over == 3
    assert table.books.repeated == 2
    assert table.books.highest_record == 3
    assert table.books.last_handed_over_at_ms == 2_000


def test_memory_is_bounded_and_says_what_it_lost() -> None:
    """The memory is limited: the oldest record goes first, and only unsent ones count as lost."""
    table = timetable(max_kept=3)
    table.begin(0)
    table.advance(1_000)
    hand_over_all(table, 1_000)
    table.advance(6_000)

    assert numbers(table) == [5, 6, 7]
    assert table.books.overrun == 2
    assert table.pending == 3


def test_books_tell_values_from_faults() -> None:
    """A record without a value is counted by its fault."""
    table = timetable()
    table.hand_over(DueRecord(1, 0, Sample(0, "heart_rate", 60.0)), 5)
    table.hand_over(DueRecord(2, 0, Sample(0, "heart_rate", None, SampleFault.OFF_BODY)), 6)

    assert table.books.values == {"heart_rate": 1}
    assert table.books.faults == {"off_body": 1}
    assert table.books.handed_over == 2


@pytest.mark.parametrize(
    ("step_ms", "speed", "expected"),
    [
        pytest.param(300_000, 60, 60, id="a CGM sensor is not held back"),
        pytest.param(1_000, 60, 4, id="a strap is"),
        pytest.param(1_000, 0.5, 0.5, id="slower than life is left alone"),
    ],
)
def test_speed_is_bounded_by_the_rate(step_ms: int, speed: float, expected: float) -> None:
    """A sensor never exceeds the greatest rate, at any speed."""
    assert speed_of(counting_sensor(step_ms=step_ms), speed=speed, max_hz=4) == expected


@given(
    st.lists(
        st.tuples(st.sampled_from(["begin", "end", "advance", "hand over"]), st.integers(0, 5000)),
        max_size=40,
    )
)
def test_numbers_have_no_gap_whatever_happens(steps: list[tuple[str, int]]) -> None:
    """The numbers of sent records are 1, 2, 3 and so on, and their times never descend."""
    table = timetable(max_kept=10_000)
    now_ms = 0
    seen: list[DueRecord] = []
    for what, wait_ms in steps:
        now_ms += wait_ms
        if what == "begin":
            table.begin(now_ms)
        elif what == "end":
            table.end(now_ms)
        elif what == "advance":
            table.advance(now_ms)
        else:
            for record in table.after(table.books.highest_record, limit=3):
                table.hand_over(record, now_ms)
                seen.append(record)

    assert [r.number for r in seen] == list(range(1, len(seen) + 1))
    assert [r.at_ms for r in seen] == sorted(r.at_ms for r in seen)
    assert table.books.handed_over == len(seen)
