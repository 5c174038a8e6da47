"""
The envelope and its body by four rules: hand-written bytes, inversion, truncation,
hostile input.
"""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.strategies_wire import blocks, bodies, envelopes, runs
from wire.envelope import (
    MAX_BLOCKS,
    MAX_ENVELOPE_BYTES,
    MAX_OBSERVATIONS,
    MAX_SEQUENCE,
    MAX_TIME_MS,
    Block,
    Body,
    Envelope,
    check_body,
    decode_body,
    decode_envelope,
    encode_body,
    encode_envelope,
    pack_block,
)
from wire.errors import Malformed, TooLarge, UnsupportedVersion, WireError
from wire.quantities import MISSING

ENVELOPE = Envelope(1, 1, b"s" * 16, 300, b"k" * 80, b"x" * 17)
# Written by hand from the msgpack specification: fixarray 6, two fixints, bin 8 of 16 bytes, uint
# 16, bin 8 of 80 bytes, bin 8 of 17 bytes.
ENVELOPE_BYTES = (
    b"\x96\x01\x01\xc4\x10" + b"s" * 16 + b"\xcd\x01\x2c\xc4\x50" + b"k" * 80 + b"\xc4\x11"
) + b"x" * 17

GOLDEN_BODIES = [
    pytest.param(
        Body(b"h" * 16, 7, [Block(1, 1000, 500, b"\x48\x00\x00\x80", None, None)]),
        # fixarray 3, bin 8 of 16, fixint 7, fixarray 1, fixarray 6, fixint 1, uint 16 1000,
        # uint 16 500, bin 8 of 4, nil, nil.
        b"\x93\xc4\x10" + b"h" * 16 + b"\x07\x91\x96\x01\xcd\x03\xe8\xcd\x01\xf4"
        b"\xc4\x04\x48\x00\x00\x80\xc0\xc0",
        [(1000, 72), (1500, MISSING)],
        id="wide, regular",
    ),
    pytest.param(
        Body(
            b"h" * 16,
            7,
            [Block(4, 0, b"\x00\x00\x00\x00\x0a\x00\x00\x00", b"\xff\x80", 600, b"\x00\x02")],
        ),
        b"\x93\xc4\x10" + b"h" * 16 + b"\x07\x91\x96\x04\x00\xc4\x08\x00\x00\x00\x00"
        b"\x0a\x00\x00\x00\xc4\x02\xff\x80\xcd\x02\x58\xc4\x02\x00\x02",
        [(0, 599), (10, MISSING)],
        id="narrow, with offsets and flags",
    ),
]


def test_envelope_is_written_as_by_hand() -> None:
    """The encoded envelope equals bytes written by hand from the msgpack specification."""
    assert encode_envelope(ENVELOPE) == ENVELOPE_BYTES
    assert decode_envelope(ENVELOPE_BYTES) == ENVELOPE


@pytest.mark.parametrize(("body", "encoded", "observations"), GOLDEN_BODIES)
def test_body_is_written_as_by_hand(
    body: Body, encoded: bytes, observations: list[tuple[int, int]]
) -> None:
    """The encoded body equals bytes written by hand from the specification."""
    assert encode_body(body) == encoded
    decoded = decode_body(encoded)
    assert decoded == body
    [block] = decoded.blocks
    assert list(zip(block.times_ms(), block.unpacked_values(), strict=True)) == observations


def test_short_block_may_leave_out_what_is_optional() -> None:
    """A sender may omit the optional fields at the end of a block."""
    encoded = b"\x93\xc4\x10" + b"h" * 16 + b"\x07\x91\x94\x01\x00\x01\xc4\x02\x48\x00"

    assert decode_body(encoded) == Body(b"h" * 16, 7, [Block(1, 0, 1, b"\x48\x00")])


@given(envelopes)
def test_decoding_inverts_encoding_of_envelopes(envelope: Envelope) -> None:
    """Decoding inverts encoding of envelopes."""
    assert decode_envelope(encode_envelope(envelope)) == envelope


@given(bodies)
def test_decoding_inverts_encoding_of_bodies(body: Body) -> None:
    """Decoding inverts encoding of bodies."""
    assert decode_body(encode_body(body)) == body


@given(runs())
def test_unpacking_inverts_packing(
    run: tuple[int, list[int], list[int], list[int] | None],
) -> None:
    """Unpacking inverts packing, for narrow and wide, regular and irregular blocks."""
    quantity, times, values, flags = run
    block = pack_block(quantity, times, values, flags)

    assert block.quantity == quantity
    assert block.times_ms() == times
    assert block.unpacked_values() == values
    assert block.flags == (bytes(flags) if flags is not None else None)
    assert len(block) == len(times)


@pytest.mark.parametrize("size", range(len(ENVELOPE_BYTES)))
def test_every_truncated_envelope_is_malformed(size: int) -> None:
    """Every truncated envelope is malformed."""
    with pytest.raises(Malformed):
        decode_envelope(ENVELOPE_BYTES[:size])


@pytest.mark.parametrize(("_body", "encoded", "_observations"), GOLDEN_BODIES)
def test_every_truncated_body_is_malformed(
    _body: Body, encoded: bytes, _observations: list[tuple[int, int]]
) -> None:
    """Every truncated body is malformed, and so is one with additional bytes."""
    for size in range(len(encoded)):
        with pytest.raises(Malformed):
            decode_body(encoded[:size])
    with pytest.raises(Malformed):
        decode_body(encoded + b"\xc0")


@given(st.binary(max_size=300))
@example(b"\x91" * 60_000)
@example(b"\x96\x01\x01" + b"\x91" * 60_000)
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc6\xff\xff\xff\xff")
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    """Any bytes give an envelope or body, or a WireError."""
    for decode in (decode_envelope, decode_body):
        try:
            decode(payload)
        except WireError:
            pass


@given(bodies, st.data())
def test_no_changed_byte_raises_anything_else(body: Body, data: st.DataObject) -> None:
    """A body with a changed byte is valid, or raises a WireError."""
    encoded = bytearray(encode_body(body))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] = data.draw(st.integers(0, 255))
    try:
        changed = decode_body(bytes(encoded))
    except WireError:
        return
    for block in changed.blocks:
        assert len(block.times_ms()) == len(block.unpacked_values()) == len(block)
        assert all(0 <= t <= MAX_TIME_MS for t in block.times_ms())
        assert all(-0x8000 <= v <= 0x7FFF for v in block.unpacked_values())


def test_too_large_an_envelope_is_not_even_read() -> None:
    """An envelope above the size limit is refused before it is decoded."""
    with pytest.raises(TooLarge) as raised:
        decode_envelope(bytes(MAX_ENVELOPE_BYTES + 1))

    assert (raised.value.limit, raised.value.got) == (MAX_ENVELOPE_BYTES, MAX_ENVELOPE_BYTES + 1)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(encode_envelope(msgspec.structs.replace(ENVELOPE, version=2)), id="version"),
        pytest.param(encode_envelope(msgspec.structs.replace(ENVELOPE, suite=2)), id="suite"),
        pytest.param(b"\x97\x02" + ENVELOPE_BYTES[2:] + b"\x01", id="version, one field more"),
        pytest.param(b"\x97\x01\x02" + ENVELOPE_BYTES[3:] + b"\x01", id="suite, one field more"),
        pytest.param(b"\x91\x02", id="version, all else gone"),
    ],
)
def test_sender_that_is_ahead_is_not_blamed(payload: bytes) -> None:
    """An envelope of a later version is unsupported, whatever its other fields."""
    with pytest.raises(UnsupportedVersion):
        decode_envelope(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x90",
        b"\x91\x01",
        b"\x92\x01\x01",
        b"\x91\xa1a",
        b"\x97" + ENVELOPE_BYTES[1:] + b"\x01",
        b"\x80",
        b"{}",
    ],
)
def test_our_version_with_another_shape_is_malformed(payload: bytes) -> None:
    """An envelope of this version with missing or additional fields is malformed."""
    with pytest.raises(Malformed):
        decode_envelope(payload)


@pytest.mark.parametrize(
    "envelope",
    [
        msgspec.structs.replace(ENVELOPE, spool_id=b"s" * 15),
        msgspec.structs.replace(ENVELOPE, sequence=0),
        msgspec.structs.replace(ENVELOPE, sequence=-1),
        msgspec.structs.replace(ENVELOPE, sequence=MAX_SEQUENCE),
        msgspec.structs.replace(ENVELOPE, wrapped_key=b"k" * 79),
        msgspec.structs.replace(ENVELOPE, sealed=b"x" * 16),
    ],
)
def test_wrong_length_outside_is_malformed(envelope: Envelope) -> None:
    """Each outer field has one length or range."""
    with pytest.raises(Malformed):
        decode_envelope(encode_envelope(envelope))


BLOCK = Block(1, 0, 1000, b"\x48\x00\x49\x00")


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(Block(-1, 0, 1000, b"\x48\x00"), id="quantity"),
        pytest.param(Block(1 << 16, 0, 1000, b"\x48\x00"), id="large quantity"),
        pytest.param(Block(1, -1, 1000, b"\x48\x00"), id="before 1970"),
        pytest.param(Block(1, MAX_TIME_MS + 1, 1000, b"\x48\x00"), id="after 9999"),
        pytest.param(Block(1, MAX_TIME_MS, 1000, b"\x48\x00\x48\x00"), id="steps after 9999"),
        pytest.param(Block(1, MAX_TIME_MS, b"\0\0\0\1", b"\x48\x00"), id="offset after 9999"),
        pytest.param(Block(1, 0, 0, b"\x48\x00\x48\x00"), id="step 0"),
        pytest.param(Block(1, 0, 1 << 32, b"\x48\x00"), id="large step"),
        pytest.param(Block(1, 0, bytes(7), b"\x48\x00\x48\x00"), id="an offset cut"),
        pytest.param(Block(1, 0, 1, b"\x48\x00\x49"), id="a value cut"),
        pytest.param(Block(1, 0, 1, b""), id="empty"),
        pytest.param(Block(1, 0, 1, b"\x01", 0x7F01), id="base"),
        pytest.param(Block(1, 0, 1, b"\x01", -0x7F01), id="low base"),
        pytest.param(Block(1, 0, 1, b"\x48\x00", None, b"\0\0"), id="too many flags"),
    ],
)
def test_unsound_block_is_malformed(block: Block) -> None:
    """A block with contradicting lengths or numbers out of range is malformed."""
    with pytest.raises(Malformed):
        decode_body(encode_body(Body(b"h" * 16, 1, [BLOCK, block])))


@pytest.mark.parametrize(
    "body",
    [
        Body(b"h" * 15, 1, [BLOCK]),
        Body(b"h" * 16, -1, [BLOCK]),
        Body(b"h" * 16, 1 << 32, [BLOCK]),
        Body(b"h" * 16, 1, []),
    ],
)
def test_wrong_field_of_a_body_is_malformed(body: Body) -> None:
    """Each field of a body has one length or range."""
    with pytest.raises(Malformed):
        decode_body(encode_body(body))


def test_too_many_blocks_or_observations_are_too_large() -> None:
    """
    The greatest allowed number of blocks or observations is accepted, and one more is
    too large.
    """
    full = Block(1, 0, 1, bytes(2 * (MAX_OBSERVATIONS // 2)))
    one = Block(1, 0, 1, bytes(2))
    check_body(Body(b"h" * 16, 1, [full, full]))
    check_body(Body(b"h" * 16, 1, [one] * MAX_BLOCKS))

    with pytest.raises(TooLarge):
        check_body(Body(b"h" * 16, 1, [full, full, one]))
    with pytest.raises(TooLarge):
        check_body(Body(b"h" * 16, 1, [one] * (MAX_BLOCKS + 1)))


@given(blocks)
def test_packed_block_is_sound(block: Block) -> None:
    """A packed block satisfies the contract."""
    check_body(Body(b"h" * 16, 1, [block]))


@pytest.mark.parametrize(
    ("times", "values", "flags"),
    [
        pytest.param([], [], None, id="empty"),
        pytest.param([1], [1, 2], None, id="unlike lengths"),
        pytest.param([1], [1], [1, 2], id="unlike flags"),
        pytest.param([2, 1], [1, 2], None, id="before the first"),
        pytest.param([2, 5, 1], [1, 2, 3], None, id="before the first, irregular"),
        pytest.param([0, 1 << 32], [1, 2], None, id="too far apart"),
        pytest.param([0, 1, 1 << 32], [1, 2, 3], None, id="too far apart, irregular"),
        pytest.param([0, 1], [1, 0x8000], None, id="no int16"),
        pytest.param([0], [0x8000], None, id="no int16, alone"),
        pytest.param([0], [1], [256], id="no uint8"),
    ],
)
def test_what_is_no_run_is_not_packed(
    times: list[int], values: list[int], flags: list[int] | None
) -> None:
    """Packing refuses runs that unpacking could not restore."""
    with pytest.raises(ValueError, match=r"."):
        pack_block(1, times, values, flags)


def test_values_near_each_other_take_a_byte() -> None:
    """Heart rates are packed as int8, and values far apart as int16."""
    assert len(pack_block(1, [0, 1, 2], [60, 61, MISSING]).values) == 3
    assert len(pack_block(1, [0, 1, 2], [60, 61, 600]).values) == 6
    assert pack_block(1, [0], [MISSING]).base == 0


def test_two_observations_of_one_instant_need_offsets() -> None:
    """Two observations at one time need offsets, because a step of 0 is invalid."""
    assert pack_block(2, [5, 5], [800, 810]).step == bytes(8)


def test_order_is_not_the_wire_s_business() -> None:
    """Times may descend if none is before the first."""
    assert pack_block(1, [0, 50, 10], [70, 71, 72]).times_ms() == [0, 50, 10]


def test_length_of_a_body_is_its_observations() -> None:
    """The length of a body is the number of observations in all blocks."""
    assert len(Body(b"h" * 16, 1, [BLOCK, BLOCK])) == 4
