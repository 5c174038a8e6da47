"""The state message."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wire import state
from wire.errors import Malformed, WireError
from wire.state import MAX_STATE_BYTES, SpoolState, State

STATE = State(True, "0.1.0", 3, True, [SpoolState("ab" * 16, 5, 2)])
STATE_BYTES = (
    b'{"online":true,"software":"0.1.0","lease":3,"measuring":true,'
    b'"spools":[{"spool_id":"' + b"ab" * 16 + b'","floor":5,"depth":2}]}'
)
counts = st.integers(0, (1 << 63) - 1)
states = st.builds(
    State,
    st.booleans(),
    st.text(max_size=20),
    st.integers(0, 1 << 32),
    st.booleans(),
    st.lists(
        st.builds(SpoolState, st.binary(min_size=16, max_size=16).map(bytes.hex), counts, counts),
        max_size=4,
    ),
)


def test_state_is_written_as_by_hand() -> None:
    """An operator reads it with any MQTT client."""
    assert state.encode(STATE) == STATE_BYTES
    assert state.decode(STATE_BYTES) == STATE


@given(states)
def test_decoding_inverts_encoding_of_states(original: State) -> None:
    """What an agent encodes is what ingest decodes."""
    assert state.decode(state.encode(original)) == original


def test_state_needs_only_its_first_fields() -> None:
    """The will of an agent says that it is offline, and no more; later fields are ignored."""
    assert state.decode(b'{"online":false,"software":"9","later":[]}') == State(False, "9")


def test_every_truncated_state_is_malformed() -> None:
    """No part of a state passes for a whole one."""
    for size in range(len(STATE_BYTES)):
        with pytest.raises(Malformed):
            state.decode(STATE_BYTES[:size])


@given(st.binary(max_size=100))
@example(b'{"x":' + b"[" * 8000)
@example(b'{"online":true,"software":"","lease":' + b"9" * 5000 + b"}")
def test_no_bytes_of_a_state_raise_anything_else(data: bytes) -> None:
    """Any bytes are a state or a WireError."""
    try:
        state.decode(data)
    except WireError:
        pass


@pytest.mark.parametrize(
    "spool",
    [
        {"spool_id": "ab" * 15, "floor": 0, "depth": 0},
        {"spool_id": "AB" * 16, "floor": 0, "depth": 0},
        {"spool_id": "ab" * 16 + "\n", "floor": 0, "depth": 0},
        {"spool_id": "ab" * 16, "floor": -1, "depth": 0},
        {"spool_id": "ab" * 16, "floor": 1 << 63, "depth": 0},
        {"spool_id": "ab" * 16, "floor": 0, "depth": -1},
        {"spool_id": "ab" * 16, "floor": 0, "depth": 1 << 63},
        {"spool_id": "ab" * 16, "floor": 0},
    ],
)
def test_unsound_state_is_malformed(spool: dict[str, object]) -> None:
    """A floor closes holes in receipts, so it is not taken from a state that is unsound."""
    with pytest.raises(Malformed):
        state.decode(json.dumps({"online": True, "software": "x", "spools": [spool]}).encode())


def test_too_large_a_state_is_not_even_read() -> None:
    """The size is looked at first."""
    padded = STATE_BYTES + b" " * MAX_STATE_BYTES

    with pytest.raises(Malformed, match="too large"):
        state.decode(padded)
