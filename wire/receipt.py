"""
The receipt: which envelopes ingest has settled, so that an agent may forget them.

Settled means that the outcome is committed: stored, a duplicate, refused or quarantined. Nothing
short of that appears in a receipt. Retained, one per agent, each replacing the one before.
"""

from typing import Final

import msgspec

from wire.envelope import SPOOL_ID_BYTES
from wire.errors import Malformed, UnsupportedVersion

VERSION: Final = 1
MAX_SPOOLS: Final = 16
MAX_RANGES: Final = 128
MAX_SEQUENCE: Final = 1 << 62
"""Below it an agent that goes on after what is settled always finds a sequence."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class SpoolReceipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is settled of one spool."""

    spool_id: bytes
    through: int
    """Every sequence from 1 to this one is settled, or will never be sent; 0 for none."""
    ranges: list[tuple[int, int]] = []
    """Further settled runs above it, first and last sequence, ascending and apart."""

    def covers(self, sequence: int) -> bool:
        """Tell whether *sequence* is settled."""
        return sequence <= self.through or any(a <= sequence <= b for a, b in self.ranges)


class Receipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is settled of one agent."""

    version: int
    spools: list[SpoolReceipt]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Receipt)


def encode(spools: list[SpoolReceipt]) -> bytes:
    """Return a receipt for *spools*, as it is published."""
    return _encoder.encode(Receipt(VERSION, spools))


def decode(data: bytes) -> Receipt:
    """
    Read a receipt.

    Raises:
        UnsupportedVersion: The version is not ours.
        Malformed: Not a receipt: its ranges overlap, descend, or reach below 1.
    """
    try:
        receipt = _decoder.decode(data)
    except _UNREADABLE:
        raise Malformed("the receipt is not readable") from None
    if receipt.version != VERSION:
        raise UnsupportedVersion("receipt version")
    if len(receipt.spools) > MAX_SPOOLS or not all(map(_is_sound, receipt.spools)):
        raise Malformed("a field of the receipt has a wrong length or value")
    return receipt


def _is_sound(spool: SpoolReceipt) -> bool:
    above = spool.through
    for first, last in spool.ranges:
        if not above < first <= last:
            return False
        above = last
    return (
        len(spool.spool_id) == SPOOL_ID_BYTES
        and spool.through >= 0
        and above < MAX_SEQUENCE
        and len(spool.ranges) <= MAX_RANGES
    )
