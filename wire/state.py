"""
The state message: how an agent is, for whoever runs it. No health data, no address.

JSON, so that an operator reads it with any MQTT client. Retained; its twin with `online: false`
is the agent's will.
"""

import re
from typing import Final

import msgspec

from wire import totals
from wire.errors import Malformed

MAX_STATE_BYTES: Final = 8192
_SPOOL_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class SpoolState(msgspec.Struct, frozen=True):
    """A spool as its agent sees it."""

    spool_id: str
    """32 hex digits."""
    floor: int
    """No envelope below this sequence will ever be sent (again)."""
    depth: int
    """Envelopes that no receipt has settled yet."""


class State(msgspec.Struct, frozen=True):
    """How an agent is. Fields that a later version adds are ignored."""

    online: bool
    software: str
    lease: int = 0
    """Version of the lease that it holds; 0 for none."""
    measuring: bool = False
    """Whether the lease in force lets it measure anything."""
    spools: list[SpoolState] = []
    totals: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """What it has counted since it started, by the names of `wire.totals`. Only while online: a
    will is written long before it is read, and would take a count back."""
    levels: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """What it sees as it is, by the names of `wire.totals`."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(State)


def encode(state: State) -> bytes:
    """Return *state* as it is published."""
    return _encoder.encode(state)


def decode(data: bytes) -> State:
    """
    Read a state message.

    Raises:
        Malformed: Not a state.
    """
    if len(data) > MAX_STATE_BYTES:
        raise Malformed("the state is too large")
    try:
        state = _decoder.decode(data)
    except _UNREADABLE:
        raise Malformed("the state is not readable") from None
    for spool in state.spools:
        if not _is_sound(spool):
            raise Malformed("a field of the state has a wrong length or value")
    if not all(totals.is_sound(n) for n in (state.totals, state.levels) if n):
        raise Malformed("the state tells numbers that are none")
    return state


def _is_sound(spool: SpoolState) -> bool:
    return (
        _SPOOL_ID.fullmatch(spool.spool_id) is not None
        and 0 <= spool.floor < 1 << 63
        and 0 <= spool.depth < 1 << 63
    )
