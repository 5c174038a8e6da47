"""The binary COPY buffer holds its rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission.decide import Rows
from ingest.admission.plan import LedgerRow
from ingest.storage import copy_format
from ingest.values.delivery import EnvelopeId

row = st.tuples(
    st.integers(0, 253_402_300_799_999),
    st.integers(1, 2**31 - 1),
    st.floats(-1e6, 1e6, width=32),
    st.integers(0, 255),
)


def rows_of(some: list[tuple[int, int, float, int]]) -> Rows:
    """Return *some* as rows of one envelope."""
    return Rows(
        np.array([r[0] for r in some], dtype=np.int64),
        np.array([r[1] for r in some], dtype=np.int32),
        np.array([r[2] for r in some], dtype=np.float32),
        np.array([r[3] for r in some], dtype=np.uint8),
        np.zeros(len(some), dtype=np.int64),
    )


@given(st.lists(row, max_size=20))
def test_decode_inverts_encode(some: list[tuple[int, int, float, int]]) -> None:
    """Decoding inverts encoding."""
    assert copy_format.decode(copy_format.encode(rows_of(some))) == some


def test_more_rows_than_a_piece_are_one_buffer() -> None:
    """Rows of several pieces have one header and one trailer."""
    some = [(1_700_000_000_000 + n, n + 1, float(n), n % 256) for n in range(7001)]
    parts = list(copy_format.pieces(rows_of(some)))
    assert len(parts) == 5
    assert copy_format.decode(b"".join(parts)) == some


def test_a_buffer_leaves_nothing_for_the_next() -> None:
    """Pieces are independent: flags of one do not appear in the next."""
    flagged, plain = [(1_700_000_000_000, 7, 1.5, 3)], [(1_700_000_000_000, 7, 1.5, 0)]
    pieces = [list(copy_format.pieces(rows_of(some))) for some in (flagged, plain)]
    assert [copy_format.decode(b"".join(parts)) for parts in pieces] == [flagged, plain]


def test_encode_golden_value() -> None:
    """A hand-written row, by PostgreSQL's documentation."""
    golden = "0004 00000008 00000000000f4240 00000004 00000007 00000004 3fc00000 00000002 0001"
    assert copy_format.encode(rows_of([(946_684_801_000, 7, 1.5, 1)])) == (
        b"PGCOPY\n\xff\r\n\x00" + bytes(8) + bytes.fromhex(golden) + b"\xff\xff"
    )


def test_ledger_golden_value() -> None:
    """A hand-written row of the ledger."""
    row = LedgerRow(EnvelopeId(("00112233445566ff", b"s" * 16), 258), b"d" * 16, 1, 30)
    assert copy_format.encode_ledger([row]) == (
        b"PGCOPY\n\xff\r\n\x00" + bytes(8) + b"\x00\x06"
        b"\x00\x00\x00\x1000112233445566ff"
        b"\x00\x00\x00\x10" + b"s" * 16 + b"\x00\x00\x00\x08" + bytes(6) + b"\x01\x02"
        b"\x00\x00\x00\x10" + b"d" * 16 + b"\x00\x00\x00\x02\x00\x01"
        b"\x00\x00\x00\x04\x00\x00\x00\x1e\xff\xff"
    )


@pytest.mark.parametrize("data", [b"", b"\xff\xff", copy_format.encode(rows_of([]))[:-1]])
def test_decode_refuses_what_is_cut(data: bytes) -> None:
    """A buffer without header or trailer is refused."""
    with pytest.raises(ValueError, match="no header"):
        copy_format.decode(data)
