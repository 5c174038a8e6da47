"""A position in a sensor's memory as one number."""

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bluetooth.records import record_cursor
from edge_agent.bluetooth.records.record_cursor import RecordCursor

PLACES = st.builds(
    RecordCursor,
    st.integers(0, 2**30 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**16 - 1),
    st.booleans(),
)


@given(PLACES)
def test_decode_inverts_encode(where: RecordCursor) -> None:
    """Decoding inverts encoding, except at the very first position, which means "nothing yet"."""
    expected = None if where.encode() == 0 else where
    assert record_cursor.decode(where.encode()) == expected


@given(PLACES, PLACES)
def test_numbers_grow_with_generation_and_sequence(one: RecordCursor, other: RecordCursor) -> None:
    """A later record has a greater number, whatever the stamps are."""
    if (one.generation, one.sequence) < (other.generation, other.sequence):
        assert one.encode() < other.encode()


@given(PLACES)
def test_a_number_fits_the_spool(where: RecordCursor) -> None:
    """Every number fits into SQLite's 63 bits."""
    assert 0 <= where.encode() < 1 << 63


@given(
    st.builds(
        RecordCursor, st.integers(0, 99), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)
    )
)
def test_one_less_stands_before_the_record(where: RecordCursor) -> None:
    """A number less by one means that all records before this one are durable."""
    before = record_cursor.decode(where.encode() - 1)
    expected = RecordCursor(where.generation, where.sequence, where.stamp, taken=False)
    assert before == (None if expected.encode() == 0 else expected)


def test_nothing_was_taken_at_0() -> None:
    """The cursor 0 belongs to a sensor of which nothing was taken yet."""
    assert record_cursor.decode(0) is None
