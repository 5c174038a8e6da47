"""
The state message of an agent, for its operator. It holds no health data and no address.

The message is JSON, so that an operator can read it with any MQTT client, and retained. The
agent's MQTT will is the same message with `online: false`.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from wire import totals
from wire.agreement import Agreement, is_proof, prove
from wire.envelope import MAX_SEQUENCE
from wire.errors import Malformed

MAX_STATE_BYTES: Final = 8192
_SPOOL_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PROOF = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{64}", re.ASCII)
_CONTEXT: Final = b"vitalveil floor v1\x00"
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


RECEIPT_2: Final = "receipt-2"
"""In `State.reads`: the agent accepts only receipts that ingest proves."""
LEASE_2: Final = "lease-2"
"""In `State.reads`: the agent accepts padded leases."""
MAX_READS: Final = 32


class SpoolState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of one spool of the agent."""

    spool_id: str
    """The id of the spool, 32 hexadecimal digits."""
    floor: int
    """The agent will not send any envelope below this sequence, for the first time or again."""
    depth: int
    """The number of envelopes that are not settled."""
    proof: str = ""
    """The proof of `floor` by the agent, see `prove_floor`; empty before version 0.2."""


class State(msgspec.Struct, frozen=True):
    """The state of an agent. Fields that a later version adds are ignored."""

    online: bool
    software: str
    lease: int = 0
    """The version of the lease that it holds; 0 for none."""
    measuring: bool = False
    """Whether the lease in force lets it measure anything."""
    spools: list[SpoolState] = []
    totals: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """
    Its counters since it started, by the names of `wire.totals`. Sent only while online: a will is
    written long before it is published, and would set a counter back.
    """
    levels: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """Its current levels, by the names of `wire.totals`."""
    reads: list[str] | msgspec.UnsetType = msgspec.UNSET
    """The forms of messages that it accepts, where versions differ."""

    def does_read(self, form: str) -> bool:
        """Tell whether the agent accepts messages of *form*."""
        return isinstance(self.reads, list) and form in self.reads


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(State)


def encode(state: State) -> bytes:
    """Return *state* as it is published."""
    return _encoder.encode(state)


def decode(data: bytes) -> State:
    """
    Read a state message.

    Raises:
        Malformed: The data is not a state message.
    """
    if len(data) > MAX_STATE_BYTES:
        raise Malformed("the state message is too large")
    try:
        state = _decoder.decode(data)
    except _UNREADABLE:
        raise Malformed("the state message cannot be decoded") from None
    if isinstance(state.reads, list) and len(state.reads) > MAX_READS:
        raise Malformed("the state message lists too many lease forms")
    for spool in state.spools:
        if not _is_sound(spool):
            raise Malformed("a field of the state message has a wrong length or value")
    if not all(totals.is_sound(n) for n in (state.totals, state.levels) if n):
        raise Malformed("the state message holds totals or levels that are not counts")
    return state


def _is_sound(spool: SpoolState) -> bool:
    return (
        _SPOOL_ID.fullmatch(spool.spool_id) is not None
        and 0 <= spool.floor <= MAX_SEQUENCE
        and 0 <= spool.depth < 1 << 63
    )


def _of_floor(spool_id: bytes, floor: int) -> bytes:
    return _CONTEXT + spool_id + floor.to_bytes(8, "big")


def prove_floor(spool_id: bytes, floor: int, agreement: Agreement) -> str:
    """
    Return the agent's proof that the floor of its spool *spool_id* is *floor*.

    An older proof that is published again is still true, because a floor never falls.

    Args:
        spool_id: The id of the spool, 16 bytes.

        floor: The floor, see `SpoolState.floor`.

        agreement: The keys that the agent shares with ingest.

    Returns:
        The id of ingest's key and the proof, both in hexadecimal, separated by a dot.
    """
    proof = prove(agreement.floor_key, _of_floor(spool_id, floor))
    return f"{agreement.key_id.hex()}.{proof.hex()}"


def is_floor_proven(spool: SpoolState, agreements: Sequence[Agreement]) -> bool:
    """Tell whether the floor of *spool* is proven under one of the agent's *agreements*."""
    # A proof of a later form cannot be checked here; the rest of the state is valid.
    if _PROOF.fullmatch(spool.proof) is None:
        return False
    key_id, _, proof = spool.proof.partition(".")
    data = _of_floor(bytes.fromhex(spool.spool_id), spool.floor)
    return any(
        is_proof(one.floor_key, data, bytes.fromhex(proof))
        for one in agreements
        if one.key_id.hex() == key_id
    )
