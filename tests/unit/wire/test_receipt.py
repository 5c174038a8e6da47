"""Receipts: which envelopes an agent may delete."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from wire import agreement, receipt, state
from wire.agreement import Agreement
from wire.envelope import (
    MAX_SEQUENCE,
    WRAPPED_KEY_BYTES,
    Envelope,
    decode_envelope,
    encode_envelope,
)
from wire.errors import BadProof, Malformed, TooLarge, Unproven, UnsupportedVersion, WireError
from wire.receipt import (
    MAX_BYTES,
    MAX_PROOFS,
    MAX_RANGES,
    MAX_SPOOLS,
    Receipt,
    SpoolReceipt,
)

SPOOL = b"s" * 16
# Written by hand: fixarray 2, fixint 1, fixarray 1, fixarray 3, bin 8 of 16, fixint 5, fixarray 2
# of pairs.
RECEIPT_BYTES = b"\x92\x01\x91\x93\xc4\x10" + SPOOL + b"\x05\x92\x92\x07\x08\x92\x0a\x0a"
RECEIPT = Receipt(1, [SpoolReceipt(SPOOL, 5, [(7, 8), (10, 10)])])


@st.composite
def spools(draw: st.DrawFn) -> SpoolReceipt:
    """Draw the settled sequences of a spool."""
    above = draw(st.integers(0, 1 << 40))
    through, ranges = above, []
    for gap, length in draw(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=5)):
        ranges.append((above + gap, above + gap + length))
        above += gap + length
    return SpoolReceipt(draw(st.binary(min_size=16, max_size=16)), through, ranges)


def test_receipt_is_written_as_by_hand() -> None:
    """The encoded receipt equals bytes written by hand from the msgpack specification."""
    assert receipt.encode(RECEIPT.spools) == RECEIPT_BYTES
    assert receipt.decode(RECEIPT_BYTES) == RECEIPT


@given(st.lists(spools(), max_size=MAX_SPOOLS))
def test_decoding_inverts_encoding_of_receipts(settled: list[SpoolReceipt]) -> None:
    """Decoding inverts encoding of receipts."""
    assert receipt.decode(receipt.encode(settled)).spools == settled


@pytest.mark.parametrize("size", range(len(RECEIPT_BYTES)))
def test_every_truncated_receipt_is_malformed(size: int) -> None:
    """Every truncated receipt is malformed."""
    with pytest.raises(Malformed):
        receipt.decode(RECEIPT_BYTES[:size])


@given(st.binary(max_size=100))
def test_no_bytes_of_a_receipt_raise_anything_else(data: bytes) -> None:
    """Any bytes give a receipt or a WireError."""
    try:
        receipt.decode(data)
    except WireError:
        pass


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [(1, True), (5, True), (6, False), (7, True), (8, True), (9, False), (10, True), (11, False)],
)
def test_receipt_covers_what_it_says_and_no_more(sequence: int, expected: bool) -> None:
    """A receipt does not cover a gap between two runs."""
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
    """A receipt that contradicts itself is malformed."""
    with pytest.raises(Malformed):
        receipt.decode(receipt.encode([spool]))


def test_receipt_of_too_many_spools_is_malformed() -> None:
    """The greatest allowed number of spools is accepted, and one more is malformed."""
    full = receipt.decode(receipt.encode([SpoolReceipt(SPOOL, 1)] * MAX_SPOOLS))

    assert len(full.spools) == MAX_SPOOLS
    with pytest.raises(Malformed):
        receipt.decode(receipt.encode([SpoolReceipt(SPOOL, 1)] * (MAX_SPOOLS + 1)))


def test_later_version_of_a_receipt_is_unsupported() -> None:
    """A receipt of a later version is unsupported."""
    with pytest.raises(UnsupportedVersion):
        receipt.decode(msgspec.msgpack.encode([2, []]))


def test_two_receipts_share_no_ranges() -> None:
    """Two receipts without ranges do not share a list."""
    assert SpoolReceipt(SPOOL, 1).ranges is not SpoolReceipt(SPOOL, 1).ranges


INGEST = X25519PrivateKey.from_private_bytes(bytes(range(32)))
OLDER = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
LEASE = X25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
AGENT = "0123456789abcdef"


def with_ingest(
    key: X25519PrivateKey = INGEST, *, lease: X25519PrivateKey = LEASE, agent: str = AGENT
) -> Agreement:
    """Return the agreement of an agent with ingest."""
    return agreement.of_agent(lease, key.public_key().public_bytes_raw(), agent)


def proven() -> bytes:
    """Return `RECEIPT` in the proven form."""
    return receipt.encode_proven(RECEIPT.spools, [with_ingest()])


@given(st.lists(spools(), max_size=MAX_SPOOLS))
def test_reading_inverts_writing_of_proven_receipts(settled: list[SpoolReceipt]) -> None:
    """Decoding inverts encoding of proven receipts."""
    data = receipt.encode_proven(settled, [with_ingest(OLDER), with_ingest()])
    assert receipt.decode_proven(data, [with_ingest()]) == settled
    assert receipt.decode_proven(data, [with_ingest(OLDER)]) == settled


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(with_ingest(OLDER), id="another ingest key"),
        pytest.param(with_ingest(lease=OLDER), id="another lease key"),
        pytest.param(with_ingest(agent="f" * 16), id="another agent"),
    ],
)
def test_a_receipt_for_another_proves_nothing(held: Agreement) -> None:
    """A proven receipt for one agent is refused by every other agent."""
    with pytest.raises(BadProof):
        receipt.decode_proven(proven(), [held])
    with pytest.raises(BadProof):
        receipt.decode_proven(proven(), [])


def test_a_receipt_without_a_proof_is_not_believed() -> None:
    """A receipt of the first form is refused as unproven."""
    with pytest.raises(Unproven) as caught:
        receipt.decode_proven(RECEIPT_BYTES, [with_ingest()])
    assert not isinstance(caught.value, BadProof)
    with pytest.raises(BadProof):
        receipt.decode_proven(receipt.encode_proven(RECEIPT.spools, []), [with_ingest()])


def test_no_bit_of_a_proven_receipt_can_be_changed() -> None:
    """A proven receipt with any flipped bit is refused."""
    data = proven()
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(WireError):
            receipt.decode_proven(bytes(changed), [with_ingest()])


def test_a_floors_proof_is_no_receipts() -> None:
    """The proof of a floor is not valid for a receipt, because each direction has its own key."""
    ours = with_ingest()
    swapped = msgspec.structs.replace(ours, receipt_key=ours.floor_key)
    with pytest.raises(BadProof):
        receipt.decode_proven(receipt.encode_proven(RECEIPT.spools, [swapped]), [ours])


@pytest.mark.parametrize("size", range(len(proven())))
def test_no_truncated_proven_receipt_is_read(size: int) -> None:
    """Every truncated proven receipt is refused."""
    with pytest.raises(WireError):
        receipt.decode_proven(proven()[:size], [with_ingest()])


@given(st.binary(max_size=200))
def test_no_bytes_of_a_proven_receipt_raise_anything_else(data: bytes) -> None:
    """Any bytes give a proven receipt or a WireError."""
    try:
        receipt.decode_proven(data, [with_ingest()])
    except WireError:
        pass


def test_proven_receipts_are_within_bounds() -> None:
    """Bytes, proofs, spools and ranges of a proven receipt are limited."""
    with pytest.raises(TooLarge):
        receipt.decode_proven(proven() + bytes(MAX_BYTES), [with_ingest()])
    too_many = [with_ingest(OLDER)] * MAX_PROOFS + [with_ingest()]
    with pytest.raises(Malformed):
        receipt.decode_proven(receipt.encode_proven([], too_many), [with_ingest()])
    huge = SpoolReceipt(SPOOL, MAX_SEQUENCE)
    with pytest.raises(Malformed):
        receipt.decode_proven(receipt.encode_proven([huge], [with_ingest()]), [with_ingest()])
    ours = [SpoolReceipt(bytes([i]) * 16, 0) for i in range(MAX_SPOOLS + 1)]
    with pytest.raises(Malformed):
        receipt.decode_proven(receipt.encode_proven(ours, [with_ingest()]), [with_ingest()])


def test_a_receipt_of_a_later_version_is_told_apart() -> None:
    """A proven receipt of a later version is unsupported, and not a forgery."""
    later = msgspec.msgpack.encode([3, 1, 2, 3])
    with pytest.raises(UnsupportedVersion):
        receipt.decode_proven(later, [with_ingest()])


@given(spools(), st.integers(0, 1 << 41))
def test_covering_is_being_in_a_range(settled: SpoolReceipt, sequence: int) -> None:
    """`covers` with its quick search equals a plain search in all ranges."""
    plain = sequence <= settled.through or any(a <= sequence <= b for a, b in settled.ranges)
    assert settled.covers(sequence) is plain
    for first, last in settled.ranges:
        assert settled.covers(first)
        assert settled.covers(last)
        assert settled.covers(last + 1) is any(a <= last + 1 <= b for a, b in settled.ranges)


@given(
    st.lists(st.integers(1, 60), max_size=30, unique=True),
    st.lists(st.integers(1, 60), max_size=30, unique=True),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_two_receipts_together_cover_what_either_covers(
    some: list[int], more: list[int], through: int, further: int
) -> None:
    """A joined receipt covers exactly the sequences that either covers, and is valid."""
    one = SpoolReceipt(bytes(16), through, [(n, n) for n in sorted(some) if n > through])
    other = SpoolReceipt(bytes(16), further, [(n, n) for n in sorted(more) if n > further])

    joined = one.joined(other)

    assert [n for n in range(1, 70) if joined.covers(n)] == [
        n for n in range(1, 70) if one.covers(n) or other.covers(n)
    ]
    assert receipt.decode(receipt.encode([joined])).spools == [joined]


def test_the_highest_sequence_of_an_envelope_is_the_highest_of_a_receipt() -> None:
    """
    The highest sequence that an envelope may have is also valid in a receipt and below a floor
    of a state.
    """
    highest = MAX_SEQUENCE - 1
    outside = Envelope(1, 1, SPOOL, highest, b"k" * WRAPPED_KEY_BYTES, b"x" * 17)
    assert decode_envelope(encode_envelope(outside)).sequence == highest
    everything = [SpoolReceipt(SPOOL, highest)]
    assert receipt.decode(receipt.encode(everything)).spools == everything
    told = state.State(True, "x", spools=[state.SpoolState(SPOOL.hex(), highest + 1, 0)])
    assert state.decode(state.encode(told)).spools[0].floor - 1 == highest
