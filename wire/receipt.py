"""
The receipt: which envelopes ingest has settled, so that an agent may forget them.

Settled means that the outcome is committed: the envelope is stored, a duplicate, refused, given
up, or quarantined because the database cannot store it. A receipt never names any other envelope.
Receipts are retained messages, one for each agent, and each replaces the one before.

The first form names only the settled envelopes. The second form (`receipt-2`) also proves that
ingest is the author, with one proof for each of ingest's keys. So an agent that pins only one key
can check it while ingest's key is exchanged. An older receipt that is published again names fewer
envelopes, but is still true.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from wire.agreement import Agreement, is_proof, prove
from wire.envelope import MAX_SEQUENCE, SPOOL_ID_BYTES
from wire.errors import BadProof, Malformed, TooLarge, Unproven, UnsupportedVersion

VERSION: Final = 1
PROVEN_VERSION: Final = 2
MAX_BYTES: Final = 65_536
MAX_PROOFS: Final = 8
"""How many keys ingest may have at once."""
MAX_SPOOLS: Final = 16
MAX_RANGES: Final = 128

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class SpoolReceipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The settled sequences of one spool."""

    spool_id: bytes
    through: int
    """Every sequence from 1 to this one is settled, or will never be sent; 0 for none."""
    ranges: list[tuple[int, int]] = []
    """Further settled runs above `through`: pairs of first and last sequence, ascending, apart."""

    def covers(self, sequence: int) -> bool:
        """Tell whether *sequence* is settled."""
        if sequence <= self.through:
            return True
        place = bisect_right(self.ranges, (sequence, MAX_SEQUENCE))
        return place > 0 and sequence <= self.ranges[place - 1][1]

    def joined(self, other: "SpoolReceipt") -> "SpoolReceipt":
        """
        Return a receipt that covers all sequences of this one and of *other*, of the same spool.

        A receipt of a spool with many gaps does not repeat every run of the one before. The result
        may have more runs than a message allows.
        """
        through = max(self.through, other.through)
        runs: list[tuple[int, int]] = []
        for first, last in sorted([*self.ranges, *other.ranges]):
            if last <= through:
                continue
            if runs and first <= runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], max(runs[-1][1], last))
            else:
                runs.append((max(first, through + 1), last))
        return SpoolReceipt(self.spool_id, through, runs)


class Receipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The settled sequences of one agent."""

    version: int
    spools: list[SpoolReceipt]


class _Proven(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The outer part of the second form."""

    version: int
    spools: bytes
    """The spools of the first form, encoded: the proof covers exactly these bytes."""
    proofs: list[tuple[bytes, bytes]]
    """Pairs of the id of an ingest key and the proof under that key."""


class _Version(msgspec.Struct, frozen=True, array_like=True):
    version: int


_CONTEXT: Final = b"vitalveil receipt v2\x00"
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Receipt)
_proven_decoder = msgspec.msgpack.Decoder(_Proven)
_spools_decoder = msgspec.msgpack.Decoder(list[SpoolReceipt])
_version_decoder = msgspec.msgpack.Decoder(_Version)


def encode(spools: list[SpoolReceipt]) -> bytes:
    """Return a receipt for *spools*, as it is published."""
    return _encoder.encode(Receipt(VERSION, spools))


def decode(data: bytes) -> Receipt:
    """
    Read a receipt.

    Raises:
        UnsupportedVersion: This software does not know the version.
        Malformed: The data is not a receipt, or its ranges overlap, descend, or reach below 1.
    """
    try:
        receipt = _decoder.decode(data)
    except _UNREADABLE:
        raise Malformed("the receipt cannot be decoded") from None
    if receipt.version != VERSION:
        raise UnsupportedVersion("receipt version")
    _check(receipt.spools)
    return receipt


def encode_proven(spools: list[SpoolReceipt], agreements: Sequence[Agreement]) -> bytes:
    """Return a receipt for *spools* of one agent, proven under each of its *agreements*."""
    encoded = _encoder.encode(spools)
    data = _CONTEXT + encoded
    proofs = [(one.key_id, prove(one.receipt_key, data)) for one in agreements]
    return _encoder.encode((PROVEN_VERSION, encoded, proofs))


def decode_proven(data: bytes, agreements: Sequence[Agreement]) -> list[SpoolReceipt]:
    """
    Read a receipt, and check ingest's proof of it.

    Args:
        data: The payload of the message.

        agreements: The agreements of the agent, one for each ingest key that it pins.

    Raises:
        Unproven: The receipt has the first form, without a proof.
        BadProof: The receipt was not made by ingest for this agent, or was changed.
        UnsupportedVersion: This software does not know the version.
        Malformed: The data is not a receipt.
    """
    if len(data) > MAX_BYTES:
        raise TooLarge("bytes in a receipt", limit=MAX_BYTES, got=len(data))
    try:
        proven = _proven_decoder.decode(data)
    except _UNREADABLE:
        _raise_by_version(data)
        raise Malformed("the receipt cannot be decoded") from None
    if proven.version != PROVEN_VERSION:
        raise UnsupportedVersion("receipt version")
    if len(proven.proofs) > MAX_PROOFS:
        raise Malformed("the receipt has too many proofs")
    if not _is_proven(proven, agreements):
        raise BadProof("receipt")
    try:
        spools = _spools_decoder.decode(proven.spools)
    except _UNREADABLE:
        raise Malformed("the receipt cannot be decoded") from None
    _check(spools)
    return spools


def _is_proven(proven: _Proven, agreements: Sequence[Agreement]) -> bool:
    data = _CONTEXT + proven.spools
    return any(
        is_proof(one.receipt_key, data, proof)
        for key_id, proof in proven.proofs
        for one in agreements
        if one.key_id == key_id
    )


def _raise_by_version(data: bytes) -> None:
    try:
        version = _version_decoder.decode(data).version
    except _UNREADABLE:
        return
    if version == VERSION:
        raise Unproven("receipt")
    if version != PROVEN_VERSION:
        raise UnsupportedVersion("receipt version")


def _check(spools: list[SpoolReceipt]) -> None:
    if len(spools) > MAX_SPOOLS or not all(map(_is_sound, spools)):
        raise Malformed("a field of the receipt has a wrong length or value")


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
