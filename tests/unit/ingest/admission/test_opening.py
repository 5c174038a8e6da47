"""Opening accepts any bytes, and gives the right reason."""

import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission.opening import Opening
from ingest.values.delivery import EnvelopeId
from ingest.values.outcome import Reason
from tests.fakes.ingest import AGENT, HANDLE, SPOOL, block, delivery
from wire import json_envelope
from wire.envelope import MAX_ENVELOPE_BYTES, Body, encode_envelope
from wire.sealing import Opener, Sealer

KEY = X25519PrivateKey.generate()
OPENING = Opening(Opener([KEY]))
BODY = Body(HANDLE, 1, [block(70, 71)])


def sealed_to(key: X25519PrivateKey, agent: str = AGENT) -> bytes:
    """Return `BODY` as envelope 1 of *agent*."""
    sealer = Sealer(
        agent=agent, spool_id=SPOOL, session_key=b"k" * 32, ingest_key=key.public_key()
    )
    return encode_envelope(sealer.seal(BODY, sequence=1))


def test_sealed_envelope_opens() -> None:
    """An envelope that was sealed to ingest's key has its body, its identity and no fault."""
    one = OPENING.open(delivery(sealed_to(KEY)))
    assert (one.body, one.fault, one.is_json) == (BODY, None, False)
    assert one.identity == EnvelopeId((AGENT, SPOOL), 1)


def test_spool_of_a_sender_is_one_object() -> None:
    """
    Spool ids of one sender are one object, so that dictionaries find them without a
    comparison.
    """
    first, second = (OPENING.open(delivery(sealed_to(KEY))).identity for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.spool is second.spool


def test_sealed_envelopes_of_two_spools_are_told_apart() -> None:
    """
    Envelopes of a sender that changes its spool, and of one that returns to it, keep
    their spools.
    """
    found = []
    for spool in (SPOOL, b"o" * 16, SPOOL):
        sealer = Sealer(
            agent=AGENT, spool_id=spool, session_key=b"k" * 32, ingest_key=KEY.public_key()
        )
        one = OPENING.open(delivery(encode_envelope(sealer.seal(BODY, sequence=1))))
        found.append((one.identity, one.fault))
    assert found == [(EnvelopeId((AGENT, spool), 1), None) for spool in (SPOOL, b"o" * 16, SPOOL)]


def test_json_envelope_opens() -> None:
    """A JSON envelope opens with its body, and is marked as clear text."""
    one = OPENING.open(delivery(json_envelope.encode(SPOOL, 3, BODY)))
    assert (one.body, one.fault, one.is_json) == (BODY, None, True)


@pytest.mark.parametrize(
    ("payload", "reason", "has_identity"),
    [
        pytest.param(b"", Reason.MALFORMED, False, id="empty"),
        pytest.param(sealed_to(KEY)[:-1], Reason.MALFORMED, False, id="truncated"),
        pytest.param(
            msgspec.msgpack.encode([9, 1]), Reason.UNSUPPORTED_VERSION, False, id="ahead"
        ),
        pytest.param(
            json.dumps({"version": 9}).encode(), Reason.UNSUPPORTED_VERSION, False, id="JSON ahead"
        ),
        pytest.param(bytes(MAX_ENVELOPE_BYTES + 1), Reason.TOO_LARGE, False, id="oversized"),
        pytest.param(
            sealed_to(X25519PrivateKey.generate()), Reason.BAD_SEAL, True, id="another key"
        ),
        pytest.param(sealed_to(KEY, "f" * 16), Reason.BAD_SEAL, True, id="another agent"),
    ],
)
def test_fault_has_its_reason(payload: bytes, reason: Reason, has_identity: bool) -> None:
    """A faulty envelope gets its reason, and its identity where the outer part can be read."""
    one = OPENING.open(delivery(payload))
    assert (one.fault, one.body) == (reason, None)
    assert (one.identity is not None) is has_identity


def test_wrong_shard_is_a_wrong_topic() -> None:
    """An envelope in the shard of another agent has a wrong topic."""
    one = delivery(sealed_to(KEY))
    one.topic = "vv1/obs/3f/" + AGENT
    assert OPENING.open(one).fault is Reason.WRONG_TOPIC


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_open_to_a_value(payload: bytes, is_json: bool) -> None:
    """No payload raises an error."""
    one = OPENING.open(delivery(b"{" + payload if is_json else payload))
    assert (one.body is None) == (one.fault is not None)
