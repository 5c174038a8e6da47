"""
Messages between agent and player: one JSON object per line, on a Unix stream socket.

The agent names the sensors that it listens to, and for each the last record that is durable. The
player sends the records of these sensors.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from simulators.errors import ListenError
from simulators.replay.timetable import DueRecord

MAX_LINE_BYTES: Final = 1 << 20


class _Listen(msgspec.Struct, frozen=True):
    listen: dict[str, Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]]


class _Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    sensor: str
    record: int
    quantity: str
    at_ms: int
    value: float | None = None
    fault: str | None = None


_decoder = msgspec.json.Decoder(_Listen)
_encoder = msgspec.json.Encoder()


def decode_listen(line: bytes) -> dict[str, int]:
    """
    Return, for the address of each sensor, the last record that the agent no longer needs.

    Raises:
        ListenError: The line is not a listen message.
    """
    try:
        return _decoder.decode(line).listen
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ListenError("an agent sent something that is not a listen message") from None


def encode_record(address: str, record: DueRecord) -> bytes:
    """Return *record* as a line."""
    sample = record.sample
    shown = _Shown(
        address, record.number, sample.quantity, record.at_ms, sample.value, sample.fault
    )
    return _encoder.encode(shown) + b"\n"
