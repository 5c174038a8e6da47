"""The state message."""

import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st

from wire import agreement, state
from wire.agreement import Agreement
from wire.envelope import MAX_SEQUENCE
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
        st.builds(
            SpoolState,
            st.binary(min_size=16, max_size=16).map(bytes.hex),
            st.integers(0, MAX_SEQUENCE),
            counts,
        ),
        max_size=4,
    ),
)


def test_state_is_written_as_by_hand() -> None:
    """The encoded state is readable JSON, written by hand here."""
    assert state.encode(STATE) == STATE_BYTES
    assert state.decode(STATE_BYTES) == STATE


@given(states)
def test_decoding_inverts_encoding_of_states(original: State) -> None:
    """Decoding inverts encoding of states."""
    assert state.decode(state.encode(original)) == original


def test_state_needs_only_its_first_fields() -> None:
    """A state needs only its first fields, as a will has, and later fields are ignored."""
    assert state.decode(b'{"online":false,"software":"9","later":[]}') == State(False, "9")


def test_every_truncated_state_is_malformed() -> None:
    """Every truncated state is malformed."""
    for size in range(len(STATE_BYTES)):
        with pytest.raises(Malformed):
            state.decode(STATE_BYTES[:size])


@given(st.binary(max_size=100))
@example(b'{"x":' + b"[" * 8000)
@example(b'{"online":true,"software":"","lease":' + b"9" * 5000 + b"}")
def test_no_bytes_of_a_state_raise_anything_else(data: bytes) -> None:
    """Any bytes give a state or a WireError."""
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
        {"spool_id": "ab" * 16, "floor": MAX_SEQUENCE + 1, "depth": 0},
        {"spool_id": "ab" * 16, "floor": 0, "depth": -1},
        {"spool_id": "ab" * 16, "floor": 0, "depth": 1 << 63},
        {"spool_id": "ab" * 16, "floor": 0},
    ],
)
def test_unsound_state_is_malformed(spool: dict[str, object]) -> None:
    """An invalid state is malformed, because its floor would settle sequences."""
    with pytest.raises(Malformed):
        state.decode(json.dumps({"online": True, "software": "x", "spools": [spool]}).encode())


def test_too_large_a_state_is_not_even_read() -> None:
    """A state above the size limit is refused before it is decoded."""
    padded = STATE_BYTES + b" " * MAX_STATE_BYTES

    with pytest.raises(Malformed, match="too large"):
        state.decode(padded)


INGEST = X25519PrivateKey.from_private_bytes(bytes(range(32)))
LEASE = X25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
OTHER = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SPOOL_ID = b"\xab" * 16


def with_ingest(
    key: X25519PrivateKey = INGEST, *, lease: X25519PrivateKey = LEASE, agent: str = "0" * 16
) -> Agreement:
    """Return the agreement of an agent with ingest."""
    return agreement.of_agent(lease, key.public_key().public_bytes_raw(), agent)


def proven(floor: int, spool_id: bytes = SPOOL_ID) -> SpoolState:
    """Return the proven state of a spool."""
    proof = state.prove_floor(spool_id, floor, with_ingest())
    return SpoolState(spool_id.hex(), floor, 2, proof)


def test_ingest_tells_a_floor_that_its_agent_says() -> None:
    """A floor with a proof under any of ingest's keys is accepted, after encoding and decoding."""
    told = state.decode(state.encode(State(True, "1", spools=[proven(7)], reads=["receipt-2"])))
    assert told.does_read(state.RECEIPT_2)
    assert not told.does_read(state.LEASE_2)
    assert state.is_floor_proven(told.spools[0], [with_ingest(OTHER), with_ingest()])


@pytest.mark.parametrize(
    ("told", "held"),
    [
        pytest.param(msgspec.structs.replace(proven(7), floor=8), with_ingest(), id="higher"),
        pytest.param(
            msgspec.structs.replace(proven(7), spool_id="00" * 16), with_ingest(), id="spool"
        ),
        pytest.param(proven(7), with_ingest(agent="f" * 16), id="agent"),
        pytest.param(proven(7), with_ingest(lease=OTHER), id="lease key"),
        pytest.param(proven(7), with_ingest(OTHER), id="ingest key"),
        pytest.param(SpoolState("ab" * 16, 7, 2), with_ingest(), id="none"),
        pytest.param(SpoolState("ab" * 16, 7, 2, "later form"), with_ingest(), id="later"),
        pytest.param(
            SpoolState("ab" * 16, 7, 2, f"{with_ingest().key_id.hex()}.{'0' * 64}"),
            with_ingest(),
            id="forged",
        ),
        pytest.param(
            SpoolState("ab" * 16, 7, 2, f"{with_ingest().key_id.hex()}.later"),
            with_ingest(),
            id="not hexadecimal",
        ),
        pytest.param(
            SpoolState("ab" * 16, 1 << 62, 2, proven(7).proof), with_ingest(), id="all there is"
        ),
    ],
)
def test_a_floor_that_its_agent_does_not_say_is_not_proven(
    told: SpoolState, held: Agreement
) -> None:
    """A floor without a valid proof of its agent is not proven."""
    assert not state.is_floor_proven(told, [held])
    assert not state.is_floor_proven(told, [])


def test_a_state_of_before_reads_no_later_form() -> None:
    """A state of version 0.1.0 names no forms that the agent reads."""
    assert not state.decode(STATE_BYTES).does_read(state.RECEIPT_2)


def test_a_state_tells_of_few_forms() -> None:
    """The list of forms is limited in number and length."""
    with pytest.raises(Malformed):
        state.decode(b'{"online":true,"software":"1","reads":[' + b'"a",' * 40 + b'"a"]}')
