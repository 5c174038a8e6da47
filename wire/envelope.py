"""
The envelope: the unit that is published, spooled and acknowledged.

The outer part is in clear: the agent, the spool and the sequence. The inner part, the body, is
sealed: one handle, and observations in columns. Both are msgpack arrays, which have no field names
and so need fewer bytes. Columns allow ingest to join thousands of envelopes without a Python
object for each observation.
"""

import enum
import itertools
import struct
from collections.abc import Sequence
from typing import Final

import msgspec

from wire.errors import Malformed, TooLarge, UnsupportedVersion
from wire.quantities import MISSING

VERSION: Final = 1
SUITE_X25519: Final = 1
"""HPKE with X25519, HKDF-SHA256 and AES-256-GCM (RFC 9180); the body AES-256-GCM."""

MAX_ENVELOPE_BYTES: Final = 65_536
MAX_BLOCKS: Final = 64
MAX_OBSERVATIONS: Final = 10_000
"""The most observations in one envelope."""

WRAPPED_KEY_BYTES: Final = 80
SPOOL_ID_BYTES: Final = 16
HANDLE_BYTES: Final = 16
_TAG_BYTES: Final = 16

MAX_SEQUENCE: Final = 1 << 62
"""
Upper bound (exclusive) of sequences in envelopes and receipts, and of floors (inclusive). Without
one common bound, an envelope above the bound of receipts would make every later receipt of its
spool unreadable.
"""

MAX_TIME_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the last time that every part of the system can represent."""

_NARROW_MISSING: Final = -128
_MAX_OFFSET_MS: Final = (1 << 32) - 1

# The errors that msgspec raises on hostile input.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The outer part of an envelope. `(agent, spool_id, sequence)` identifies it for ever."""

    version: int
    suite: int
    spool_id: bytes
    sequence: int
    """Counts the envelopes of a spool from 1, and never restarts."""
    wrapped_key: bytes
    sealed: bytes


class Flag(enum.IntFlag):
    """Marks of an observation. A bit keeps its meaning; one that is not known is passed on."""

    TIME_UNCERTAIN = 1 << 0
    """The clock of the sensor was moved or reset, and the time may be wrong by hours."""


class Block(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """
    A column: a run of n observations of one quantity.

    Args:
        quantity: The code of the quantity (`wire.quantities.Code`).

        start_ms: The time from which the steps or offsets count, ms since 1970.

        step: Either the regular step in ms, or the packed offsets of each observation from
            `start_ms`: uint32, little-endian, in ms.

        values: Packed little-endian int16 in steps of the quantity's resolution, −32768 for
            missing; or, when `base` is given, packed int8 to be added to it, −128 for missing.

        base: The value to which narrow values (int8) are added, in steps of resolution.

        flags: n bytes, one uint8 for each observation; empty if all are 0.
    """

    quantity: int
    start_ms: int
    step: int | bytes
    values: bytes
    base: int | None = None
    flags: bytes | None = None

    def __len__(self) -> int:
        return len(self.values) if self.base is not None else len(self.values) // 2

    def times_ms(self) -> list[int]:
        """Return the time of each observation, ms since 1970."""
        if isinstance(self.step, int):
            return [self.start_ms + i * self.step for i in range(len(self))]
        return [self.start_ms + offset for offset in struct.unpack(f"<{len(self)}I", self.step)]

    def unpacked_values(self) -> list[int]:
        """Return each value in steps of resolution, `MISSING` where there is none."""
        if self.base is None:
            return list(struct.unpack(f"<{len(self)}h", self.values))
        narrow = struct.unpack(f"<{len(self)}b", self.values)
        return [MISSING if v == _NARROW_MISSING else self.base + v for v in narrow]


class Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The sealed part of an envelope: the observations of one subject at one gateway."""

    handle: bytes
    lease: int
    """The version of the lease that was in force when the observations were measured."""
    blocks: list[Block]

    def __len__(self) -> int:
        """Return the number of observations."""
        return sum(map(len, self.blocks))


_envelope_decoder = msgspec.msgpack.Decoder(Envelope)
_body_decoder = msgspec.msgpack.Decoder(Body)
_encoder = msgspec.msgpack.Encoder()


def encode_envelope(envelope: Envelope) -> bytes:
    """Return *envelope* as it is published."""
    return _encoder.encode(envelope)


def decode_envelope(payload: bytes) -> Envelope:
    """
    Read the outside of an envelope.

    Raises:
        TooLarge: More than `MAX_ENVELOPE_BYTES`.
        UnsupportedVersion: This software does not know the version or cipher suite.
        Malformed: The payload is not an envelope.
    """
    if len(payload) > MAX_ENVELOPE_BYTES:
        raise TooLarge("bytes in an envelope", limit=MAX_ENVELOPE_BYTES, got=len(payload))
    try:
        envelope = _envelope_decoder.decode(payload)
    except _UNREADABLE:
        # The version is checked first: a strict decoder would reject a later version with one more
        # field as malformed.
        _raise_if_ahead(payload)
        raise Malformed("the outer part of the envelope cannot be decoded") from None
    if envelope.version != VERSION:
        raise UnsupportedVersion("envelope version")
    if envelope.suite != SUITE_X25519:
        raise UnsupportedVersion("cipher suite")
    if not (
        len(envelope.spool_id) == SPOOL_ID_BYTES
        and 0 < envelope.sequence < MAX_SEQUENCE
        and len(envelope.wrapped_key) == WRAPPED_KEY_BYTES
        and len(envelope.sealed) > _TAG_BYTES
    ):
        raise Malformed("a field of the envelope has a wrong length or value")
    return envelope


def _raise_if_ahead(payload: bytes) -> None:
    """Raise UnsupportedVersion if *payload* is an array that starts with another version."""
    try:
        fields = msgspec.msgpack.decode(payload, type=list[msgspec.Raw])
        version = msgspec.msgpack.decode(fields[0], type=int) if fields else VERSION
        suite = msgspec.msgpack.decode(fields[1], type=int) if len(fields) > 1 else SUITE_X25519
    except _UNREADABLE:
        return
    if version != VERSION:
        raise UnsupportedVersion("envelope version")
    if suite != SUITE_X25519:
        raise UnsupportedVersion("cipher suite")


def encode_body(body: Body) -> bytes:
    """Return *body* as it is padded and sealed."""
    return _encoder.encode(body)


def decode_body(data: bytes) -> Body:
    """
    Decode the body of an envelope, and check it against the contract.

    Raises:
        TooLarge: The body has more blocks or observations than allowed.
        Malformed: The data is not a body: lengths contradict each other, or a number is out of
            range.
    """
    return decode_counted(data)[0]


def decode_counted(data: bytes) -> tuple[Body, int]:
    """
    Decode and check a body as `decode_body` does; return it with the number of its observations.

    Raises:
        TooLarge: The body has more blocks or observations than allowed.
        Malformed: The data is not a body: lengths contradict each other, or a number is out of
            range.
    """
    try:
        body = _body_decoder.decode(data)
    except _UNREADABLE:
        raise Malformed("the body of the envelope cannot be decoded") from None
    return body, check_body(body)


def check_body(body: Body) -> int:
    """
    Check *body* against the contract; return how many observations it has.

    Raises:
        TooLarge: The body has more blocks or observations than allowed.
        Malformed: Lengths contradict each other, or a number is out of range.
    """
    if len(body.handle) != HANDLE_BYTES or not 0 <= body.lease < 1 << 32 or not body.blocks:
        raise Malformed("a field of the body has a wrong length or value")
    if len(body.blocks) > MAX_BLOCKS:
        raise TooLarge("blocks in a body", limit=MAX_BLOCKS, got=len(body.blocks))
    total = 0
    for block in body.blocks:
        count = _count_of_sound(block)
        if not count:
            raise Malformed("a block has a wrong length or value")
        total += count
    if total > MAX_OBSERVATIONS:
        raise TooLarge("observations in a body", limit=MAX_OBSERVATIONS, got=total)
    return total


def _count_of_sound(block: Block) -> int:
    """Return the number of observations in *block*; 0 if the block is inconsistent."""
    base, step, start_ms = block.base, block.step, block.start_ms
    count = len(block.values)
    if base is None:
        if count % 2:
            return 0
        count //= 2
    elif not -0x7F00 <= base <= 0x7F00:
        return 0
    if isinstance(step, int):
        # A step of 0 would give two observations the same time.
        fits = 0 < step <= _MAX_OFFSET_MS and start_ms + (count - 1) * step <= MAX_TIME_MS
    else:
        # The last offset may be 49 days away, so the last 49 days of the year 9999 are excluded.
        fits = len(step) == 4 * count and start_ms + _MAX_OFFSET_MS <= MAX_TIME_MS
    is_sound = (
        fits
        and 0 <= block.quantity < 1 << 16
        and 0 <= start_ms <= MAX_TIME_MS
        and (block.flags is None or len(block.flags) == count)
    )
    return count if is_sound else 0


def pack_block(
    quantity: int,
    times_ms: Sequence[int],
    values: Sequence[int],
    flags: Sequence[int] | None = None,
) -> Block:
    """
    Return the shortest block that holds these n observations.

    Args:
        quantity: The code of the quantity (`wire.quantities.Code`).

        times_ms: n times, ms since 1970. None is before the first or over 49 days after it.

        values: n values in steps of resolution, each an int16; `MISSING` where there is none.

        flags: n flags, each a uint8; None if all are 0.

    Raises:
        ValueError: The sequences are empty, differ in length, or hold a number out of range.
    """
    lengths = {len(times_ms), len(values), len(values if flags is None else flags)}
    if lengths == {0} or len(lengths) > 1:
        raise ValueError("a block needs a time and a value for each of its observations")
    start = times_ms[0]
    steps = {b - a for a, b in itertools.pairwise(times_ms)}
    step: int | bytes
    if not steps:
        step = 1
    elif len(steps) == 1 and 0 < (only := steps.pop()) <= _MAX_OFFSET_MS:
        step = only
    else:
        try:
            step = struct.pack(f"<{len(times_ms)}I", *(t - start for t in times_ms))
        except struct.error:
            raise ValueError("an offset is negative or over 49 days") from None
    base = _base_of(values)
    try:
        packed = (
            struct.pack(f"<{len(values)}h", *values)
            if base is None
            else struct.pack(
                f"<{len(values)}b",
                *(_NARROW_MISSING if v == MISSING else v - base for v in values),
            )
        )
    except struct.error:
        raise ValueError("a value is not an int16") from None
    return Block(quantity, start, step, packed, base, bytes(flags) if flags is not None else None)


def _base_of(values: Sequence[int]) -> int | None:
    """Return a base for int8 differences; None if the values spread too far."""
    present = [v for v in values if v != MISSING]
    if not present:
        return 0
    low, high = min(present), max(present)
    middle = (low + high) // 2
    fits = low - middle >= -127 and high - middle <= 127 and -0x7F00 <= middle <= 0x7F00
    return middle if fits else None
