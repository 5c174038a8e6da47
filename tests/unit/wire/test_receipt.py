"""The receipt: what an agent may forget."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import receipt
from wire.errors import Malformed, UnsupportedVersion, WireError
from wire.receipt import MAX_RANGES, MAX_SEQUENCE, MAX_SPOOLS, Receipt, SpoolReceipt

SPOOL = b"s" * 16
# By hand: fixarray 2, fixint 1, fixarray 1, fixarray 3, bin 8 of 16, fixint 5,
# fixarray 2 of pairs.
RECEIPT_BYTES = b"\x92\x01\x91\x93\xc4\x10" + SPOOL + b"\x05\x92\x92\x07\x08\x92\x0a\x0a"
RECEIPT = Receipt(1, [SpoolReceipt(SPOOL, 5, [(7, 8), (10, 10)])])


@st.composite
def spools(draw: st.DrawFn) -> SpoolReceipt:
    """Draw what is settled of a spool."""
    above = draw(st.integers(0, 1 << 40))
    through, ranges = above, []
    for gap, length in draw(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=5)):
        ranges.append((above + gap, above + gap + length))
        above += gap + length
    return SpoolReceipt(draw(st.binary(min_size=16, max_size=16)), through, ranges)


def test_receipt_is_written_as_by_hand() -> None:
    """The bytes are those that the msgpack specification says, and read back to the same."""
    assert receipt.encode(RECEIPT.spools) == RECEIPT_BYTES
    assert receipt.decode(RECEIPT_BYTES) == RECEIPT


@given(st.lists(spools(), max_size=MAX_SPOOLS))
def test_decoding_inverts_encoding_of_receipts(settled: list[SpoolReceipt]) -> None:
    """What ingest encodes is what the agent decodes."""
    assert receipt.decode(receipt.encode(settled)).spools == settled


@pytest.mark.parametrize("size", range(len(RECEIPT_BYTES)))
def test_every_truncated_receipt_is_malformed(size: int) -> None:
    """Nothing is forgotten because of half a receipt."""
    with pytest.raises(Malformed):
        receipt.decode(RECEIPT_BYTES[:size])


@given(st.binary(max_size=100))
def test_no_bytes_of_a_receipt_raise_anything_else(data: bytes) -> None:
    """Any bytes are a receipt or a WireError."""
    try:
        receipt.decode(data)
    except WireError:
        pass


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [(1, True), (5, True), (6, False), (7, True), (8, True), (9, False), (10, True), (11, False)],
)
def test_receipt_covers_what_it_says_and_no_more(sequence: int, expected: bool) -> None:
    """A hole between two runs is not settled."""
    assert RECEIPT.spools[0].covers(sequence) is expected


@pytest.mark.parametrize(
    "spool",
    [
        pytest.param(SpoolReceipt(SPOOL[:15], 5), id="spool id"),
        pytest.param(SpoolReceipt(SPOOL, -1), id="negative"),
        pytest.param(SpoolReceipt(SPOOL, MAX_SEQUENCE), id="too large"),
        pytest.param(SpoolReceipt(SPOOL, 5, [(5, 6)]), id="reaches into what is through"),
        pytest.param(SpoolReceipt(SPOOL, 5, [(8, 7)]), id="backwards"),
        pytest.param(SpoolReceipt(SPOOL, 5, [(7, 9), (9, 12)]), id="overlapping"),
        pytest.param(SpoolReceipt(SPOOL, 5, [(10, 12), (7, 8)]), id="descending"),
        pytest.param(SpoolReceipt(SPOOL, 5, [(7, MAX_SEQUENCE)]), id="range too large"),
        pytest.param(
            SpoolReceipt(SPOOL, 0, [(n, n) for n in range(2, 2 * MAX_RANGES + 4, 2)]),
            id="too many ranges",
        ),
    ],
)
def test_unsound_receipt_is_malformed(spool: SpoolReceipt) -> None:
    """An agent forgets nothing on the word of a receipt that contradicts itself."""
    with pytest.raises(Malformed):
        receipt.decode(receipt.encode([spool]))


def test_receipt_of_too_many_spools_is_malformed() -> None:
    """The most that is allowed passes; one more does not."""
    full = receipt.decode(receipt.encode([SpoolReceipt(SPOOL, 1)] * MAX_SPOOLS))

    assert len(full.spools) == MAX_SPOOLS
    with pytest.raises(Malformed):
        receipt.decode(receipt.encode([SpoolReceipt(SPOOL, 1)] * (MAX_SPOOLS + 1)))


def test_later_version_of_a_receipt_is_unsupported() -> None:
    """A version that we do not know is not acted on."""
    with pytest.raises(UnsupportedVersion):
        receipt.decode(msgspec.msgpack.encode([2, []]))


def test_two_receipts_share_no_ranges() -> None:
    """The empty list of one is not that of another."""
    assert SpoolReceipt(SPOOL, 1).ranges is not SpoolReceipt(SPOOL, 1).ranges
