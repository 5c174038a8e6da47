"""
The JSON envelope: the same fields with names, for devices that do not run VitalVeil's agent.

A JSON envelope is not sealed: TLS protects it only up to the broker, and the broker may store it
in clear. So an agent may send it only if it was enrolled for JSON. `json_schema` returns the
published contract.
"""

import datetime as dt
import math
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from wire.envelope import (
    MAX_BLOCKS,
    MAX_ENVELOPE_BYTES,
    MAX_OBSERVATIONS,
    MAX_SEQUENCE,
    Block,
    Body,
    check_body,
    pack_block,
)
from wire.errors import Malformed, TooLarge, UnsupportedVersion
from wire.quantities import BY_NAME, MISSING, all_quantities

VERSION: Final = 1
_TOLERANCE: Final = 1e-6
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# RFC 3339, section 5.6. fromisoformat() alone would also accept week dates and other forms.
_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)

_Hex16 = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{32}$",
        # In many implementations of regular expressions, $ also matches before a final line feed.
        max_length=32,
        description="16 bytes as 32 lower-case hex digits.",
    ),
]


class JsonBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run of observations of one quantity."""

    quantity: Annotated[
        str,
        Meta(
            description="Name of the quantity.",
            extra_json_schema={"enum": [q.name for q in all_quantities()]},
        ),
    ]
    start: Annotated[
        str,
        Meta(
            description="Time of the first step, RFC 3339 with a zone.",
            max_length=40,
            pattern=_TIME,
        ),
    ]
    values: Annotated[
        list[float | None],
        Meta(
            min_length=1,
            max_length=MAX_OBSERVATIONS,
            description="In the quantity's unit; null where nothing was measured.",
        ),
    ]
    step_ms: Annotated[int, Meta(ge=1, lt=1 << 32, description="The regular step.")] | None = None
    offsets_ms: (
        Annotated[
            list[Annotated[int, Meta(ge=0, lt=1 << 32)]],
            Meta(description="Instead of step_ms: each observation's distance from start."),
        ]
        | None
    ) = None
    flags: list[Annotated[int, Meta(ge=0, le=255)]] | None = None


class JsonEnvelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One envelope: the observations of one subject at one gateway."""

    version: Annotated[int, Meta(extra_json_schema={"const": VERSION})]
    spool_id: _Hex16
    sequence: Annotated[
        int,
        Meta(
            ge=1, le=MAX_SEQUENCE - 1, description="1, 2, 3 and so on in a spool; never restarts."
        ),
    ]
    handle: _Hex16
    lease: Annotated[int, Meta(ge=0, lt=1 << 32)]
    blocks: Annotated[list[JsonBlock], Meta(min_length=1, max_length=MAX_BLOCKS)]


class _Version(msgspec.Struct, frozen=True):
    version: int


class Identified(msgspec.Struct, frozen=True):
    """A body with its spool and sequence, which in a sealed envelope are in the outer part."""

    spool_id: bytes
    sequence: int
    body: Body


_decoder = msgspec.json.Decoder(JsonEnvelope)
_version_decoder = msgspec.json.Decoder(_Version)


def looks_like_json(payload: bytes) -> bool:
    """Tell whether *payload* can only be a JSON envelope: a sealed one is a msgpack array."""
    return payload[:1] == b"{"


def decode(payload: bytes) -> Identified:
    """
    Read a JSON envelope.

    Raises:
        TooLarge: The payload has more bytes or observations than allowed.
        UnsupportedVersion: This software does not know the version.
        Malformed: The payload is not a JSON envelope, or a value is between two steps of
            resolution.
    """
    if len(payload) > MAX_ENVELOPE_BYTES:
        raise TooLarge("bytes in an envelope", limit=MAX_ENVELOPE_BYTES, got=len(payload))
    try:
        envelope = _decoder.decode(payload)
    except _UNREADABLE:
        _raise_if_ahead(payload)
        raise Malformed("the JSON envelope cannot be decoded") from None
    if envelope.version != VERSION:
        raise UnsupportedVersion("JSON envelope version")
    body = Body(
        bytes.fromhex(envelope.handle), envelope.lease, [_block(b) for b in envelope.blocks]
    )
    check_body(body)
    return Identified(bytes.fromhex(envelope.spool_id), envelope.sequence, body)


def _raise_if_ahead(payload: bytes) -> None:
    try:
        version = _version_decoder.decode(payload).version
    except _UNREADABLE:
        return
    if version != VERSION:
        raise UnsupportedVersion("JSON envelope version")


def _block(block: JsonBlock) -> Block:
    quantity = BY_NAME.get(block.quantity)
    if quantity is None:
        raise Malformed("a block names an unknown quantity")
    start_ms = _parse_time(block.start)
    count = len(block.values)
    if (block.step_ms is None) == (block.offsets_ms is None) and count > 1:
        raise Malformed("a block must have either step_ms or offsets_ms, and not both")
    if block.offsets_ms is not None:
        times = [start_ms + offset for offset in block.offsets_ms]
    else:
        times = [start_ms + i * (block.step_ms or 1) for i in range(count)]
    values = [_to_steps(value, quantity.per_unit) for value in block.values]
    try:
        return pack_block(quantity.code, times, values, block.flags)
    except ValueError:
        raise Malformed("a block does not hold a valid series of observations") from None


def _to_steps(value: float | None, per_unit: int) -> int:
    if value is None:
        return MISSING
    scaled = value * per_unit
    # Not rounded silently: a value finer than the resolution is a mistake of the sender.
    if not math.isfinite(scaled) or abs(scaled - round(scaled)) > _TOLERANCE * max(1, abs(scaled)):
        raise Malformed("a value is not a multiple of its quantity's resolution")
    if not -0x8000 < round(scaled) < 0x8000:
        raise Malformed("a value is out of its quantity's range")
    return round(scaled)


def _parse_time(text: str) -> int:
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Malformed("a time is not a valid date") from None
    return (instant - _EPOCH) // dt.timedelta(milliseconds=1)


def encode(spool_id: bytes, sequence: int, body: Body) -> bytes:
    """
    Return *body* as a JSON envelope.

    Raises:
        KeyError: A quantity has no name.
    """
    by_code = {int(q.code): q for q in all_quantities()}
    blocks = []
    for block in body.blocks:
        quantity = by_code[block.quantity]
        blocks.append(
            JsonBlock(
                quantity=quantity.name,
                start=(_EPOCH + dt.timedelta(milliseconds=block.start_ms)).isoformat(
                    timespec="milliseconds"
                ),
                values=[
                    None if v == MISSING else quantity.to_unit(v) for v in block.unpacked_values()
                ],
                step_ms=block.step if isinstance(block.step, int) else None,
                offsets_ms=(
                    [t - block.start_ms for t in block.times_ms()]
                    if isinstance(block.step, bytes)
                    else None
                ),
                flags=list(block.flags) if block.flags is not None else None,
            )
        )
    return msgspec.json.encode(
        JsonEnvelope(VERSION, spool_id.hex(), sequence, body.handle.hex(), body.lease, blocks)
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the JSON envelope."""
    schema = msgspec.json.schema(JsonEnvelope)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "VitalVeil JSON envelope",
        **schema,
    }
