"""Records of sensors: none is taken twice, and the cursor passes only durable records."""

from edge_agent.pipeline.record_progress import RecordProgress
from edge_agent.values.checkpoint import cursor_of, through_of
from edge_agent.values.measurement import Measurement
from tests.fakes.edge_agent import OTHER_SENSOR, SENSOR


def record(number: int | None, *, quantity: int = 1, sensor: str = SENSOR) -> Measurement:
    """Return a stored record of a sensor, or a live measurement."""
    return Measurement(sensor, quantity, 1_000, 60, None, number)


def restored(*, cursor: int = 0, through: int = 0) -> RecordProgress:
    """Return the progress of one sensor that starts from saved marks."""
    progress = RecordProgress()
    marks = {cursor_of(SENSOR): cursor, through_of(SENSOR, 1): through}
    progress.restore(SENSOR, {1, 2}, marks)
    return progress


def test_a_record_is_seen_once() -> None:
    """A repeated record and one older than a known one were seen; a later one was not."""
    progress = restored()
    assert not progress.was_seen(record(5))
    assert progress.was_seen(record(5))
    assert progress.was_seen(record(4))
    assert not progress.was_seen(record(6))


def test_a_live_measurement_is_never_seen_before() -> None:
    """A live measurement has no record number, is never recognised, and moves no cursor."""
    progress = restored()
    assert not progress.was_seen(record(None))
    assert not progress.was_seen(record(None))
    assert progress.cursors({}, is_batched=lambda _: False) == {}


def test_records_up_to_the_saved_cursor_were_seen() -> None:
    """After a restart, records below the cursor are recognised."""
    progress = restored(cursor=5)
    assert progress.was_seen(record(5))
    assert not progress.was_seen(record(6))


def test_a_quantity_that_is_durable_beyond_the_cursor_was_seen() -> None:
    """
    If another quantity holds the cursor back, durable records of this quantity are still
    recognised.
    """
    progress = restored(cursor=2, through=4)
    assert progress.was_seen(record(4))
    assert not progress.was_seen(record(5))
    other = restored(cursor=2, through=4)
    assert not other.was_seen(record(3, quantity=2))


def test_marks_that_are_saved_do_not_take_progress_back() -> None:
    """Reading saved marks again for a new lease does not set back the progress of this process."""
    progress = restored()
    assert not progress.was_seen(record(7))
    progress.restore(SENSOR, {1}, {cursor_of(SENSOR): 3})
    assert progress.was_seen(record(7))


def test_the_cursor_stops_before_an_open_interval() -> None:
    """A record in an open interval is only in memory, so the cursor stays before it."""
    progress = restored()
    progress.was_seen(record(5))
    progress.was_seen(record(8))
    open_records = {SENSOR: {1: 6}}
    cursors = progress.cursors(open_records, is_batched=lambda _: False)
    assert cursors == {SENSOR: 5}
    assert progress.marks(cursors, open_records) == {
        cursor_of(SENSOR): 5,
        through_of(SENSOR, 1): 5,
    }


def test_a_sensor_with_a_batch_moves_no_cursor() -> None:
    """Records in a batch that is not flushed are not durable, so the cursor stays before them."""
    progress = restored()
    progress.restore(OTHER_SENSOR, {1}, {})
    progress.was_seen(record(5))
    progress.was_seen(record(9, sensor=OTHER_SENSOR))
    cursors = progress.cursors({}, is_batched=lambda sensor: sensor == SENSOR)
    assert cursors == {OTHER_SENSOR: 9}
    assert progress.marks(cursors, {}) == {
        cursor_of(OTHER_SENSOR): 9,
        through_of(OTHER_SENSOR, 1): 9,
    }
    both = progress.cursors({}, is_batched=lambda _: False)
    assert both == {SENSOR: 5, OTHER_SENSOR: 9}
