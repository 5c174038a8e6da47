"""Sealing: only ingest can read a body, and only unchanged."""

import msgspec
import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies_wire import bodies, envelopes
from wire.envelope import Block, Body, Envelope, encode_body
from wire.errors import BadSeal, Malformed, SequenceReused, WireError
from wire.sealing import Opener, Sealer, associated_data, pad, unpad

AGENT = "0123456789abcdef"
SPOOL = b"s" * 16
KEY = X25519PrivateKey.generate()
BODY = Body(b"h" * 16, 7, [Block(1, 1000, 500, b"\x48\x00")])


def sealer(
    *, agent: str = AGENT, session_key: bytes = b"k" * 32, bucket_bytes: int = 128
) -> Sealer:
    """Return a sealer to KEY."""
    return Sealer(
        agent=agent,
        spool_id=SPOOL,
        session_key=session_key,
        ingest_key=KEY.public_key(),
        bucket_bytes=bucket_bytes,
    )


SEALED = sealer().seal(BODY, sequence=5)


@given(bodies, st.integers(1, (1 << 63) - 1), st.sampled_from([1, 16, 128, 4096]))
def test_opening_inverts_sealing(body: Body, sequence: int, bucket_bytes: int) -> None:
    """Opening inverts sealing."""
    sealed = sealer(bucket_bytes=bucket_bytes).seal(body, sequence=sequence)

    assert Opener([KEY]).open(AGENT, sealed) == body


def test_seal_is_what_the_contract_says() -> None:
    """
    The key is wrapped with HPKE, and the body sealed with AES-256-GCM with the sequence
    as nonce.
    """
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    info = b"vitalveil envelope session key v1\x00" + AGENT.encode()
    session_key = suite.decrypt(SEALED.wrapped_key, KEY, info=info)
    outside = b"\x01\x01" + AGENT.encode() + SPOOL + (5).to_bytes(8, "big") + SEALED.wrapped_key
    padded = AESGCM(session_key).decrypt(bytes(11) + b"\x05", SEALED.sealed, outside)

    assert session_key == b"k" * 32
    assert padded == encode_body(BODY) + b"\x80" + bytes(128 - len(encode_body(BODY)) - 1)
    assert associated_data(AGENT, SPOOL, 5, SEALED.wrapped_key) == outside


@pytest.mark.parametrize(
    ("agent", "envelope"),
    [
        pytest.param("f" * 16, SEALED, id="another agent"),
        pytest.param(AGENT, msgspec.structs.replace(SEALED, sequence=6), id="another sequence"),
        pytest.param(
            AGENT, msgspec.structs.replace(SEALED, spool_id=b"t" * 16), id="another spool"
        ),
        pytest.param(
            AGENT,
            msgspec.structs.replace(SEALED, wrapped_key=sealer()._wrapped_key),
            id="the same key, wrapped again",
        ),
    ],
)
def test_envelope_cannot_be_moved(agent: str, envelope: Envelope) -> None:
    """A seal is valid for one agent, spool, sequence and wrapped key."""
    with pytest.raises(BadSeal):
        Opener([KEY]).open(agent, envelope)


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_of_the_body_can_be_changed(bit: int) -> None:
    """A body with any flipped bit has a bad seal."""
    opener = Opener([KEY])
    for place in range(len(SEALED.sealed)):
        changed = bytearray(SEALED.sealed)
        changed[place] ^= 1 << bit
        with pytest.raises(BadSeal):
            opener.open(AGENT, msgspec.structs.replace(SEALED, sealed=bytes(changed)))


@pytest.mark.parametrize("place", range(0, 80, 7))
def test_no_bit_of_the_key_can_be_changed(place: int) -> None:
    """A wrapped key with any flipped bit gives a bad seal."""
    changed = bytearray(SEALED.wrapped_key)
    changed[place] ^= 1

    with pytest.raises(BadSeal):
        Opener([KEY]).open(AGENT, msgspec.structs.replace(SEALED, wrapped_key=bytes(changed)))


@pytest.mark.parametrize("size", range(0, len(SEALED.sealed), 9))
def test_every_truncated_body_has_a_bad_seal(size: int) -> None:
    """Every truncated body has a bad seal."""
    cut = msgspec.structs.replace(SEALED, sealed=SEALED.sealed[:size])

    with pytest.raises(BadSeal):
        Opener([KEY]).open(AGENT, cut)


@given(envelopes)
def test_no_envelope_raises_anything_else(envelope: Envelope) -> None:
    """Anything with the shape of an envelope opens, or raises a WireError."""
    with pytest.raises(WireError):
        Opener([KEY]).open(AGENT, envelope)


@pytest.mark.parametrize(
    "point",
    [bytes(32), b"\x01" + bytes(31), bytes.fromhex("ec" + "ff" * 30 + "7f")],
    ids=["0", "1", "p-1"],
)
def test_points_of_low_order_have_a_bad_seal(point: bytes) -> None:
    """
    A public key of low order, which gives a shared secret of 0, is refused (RFC 7748, section
    6.1).
    """
    hostile = msgspec.structs.replace(SEALED, wrapped_key=point + bytes(48))

    with pytest.raises(BadSeal):
        Opener([KEY]).open(AGENT, hostile)


def test_another_key_does_not_open_it() -> None:
    """With another key or without one ingest cannot open the envelope."""
    for keys in ([X25519PrivateKey.generate()], []):
        with pytest.raises(BadSeal):
            Opener(keys).open(AGENT, SEALED)


def test_every_key_that_is_held_is_tried() -> None:
    """During a rotation all held keys are tried."""
    assert Opener([X25519PrivateKey.generate(), KEY]).open(AGENT, SEALED) == BODY


def test_wrapped_key_of_another_length_is_no_key() -> None:
    """A wrapped key that has not 32 bytes is refused."""
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    info = b"vitalveil envelope session key v1\x00" + AGENT.encode()
    short = suite.encrypt(b"k" * 16, KEY.public_key(), info=info)
    sealed = AESGCM(b"k" * 16).encrypt(
        (1).to_bytes(12, "big"),
        pad(encode_body(BODY), 128),
        associated_data(AGENT, SPOOL, 1, short),
    )

    with pytest.raises(BadSeal):
        Opener([KEY]).open(AGENT, Envelope(1, 1, SPOOL, 1, short, sealed))


def test_what_opens_and_is_no_body_is_malformed() -> None:
    """An envelope that opens to an invalid body is malformed, and has no bad seal."""
    aead = AESGCM(b"k" * 32)
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    info = b"vitalveil envelope session key v1\x00" + AGENT.encode()
    wrapped_key = suite.encrypt(b"k" * 32, KEY.public_key(), info=info)
    for inside in (b"", b"no padding", pad(b"no body", 16)):
        sealed = aead.encrypt(
            (1).to_bytes(12, "big"), inside, associated_data(AGENT, SPOOL, 1, wrapped_key)
        )
        with pytest.raises(Malformed):
            Opener([KEY]).open(AGENT, Envelope(1, 1, SPOOL, 1, wrapped_key, sealed))


@pytest.mark.parametrize("sequence", [0, 4, 5])
def test_no_nonce_is_used_twice(sequence: int) -> None:
    """A sequence that does not grow is refused before anything is sealed."""
    used = sealer()
    used.seal(BODY, sequence=5)

    with pytest.raises(SequenceReused):
        used.seal(BODY, sequence=sequence)
    assert used.seal(BODY, sequence=6).sequence == 6


def test_length_tells_the_bucket_alone() -> None:
    """Bodies of different lengths in one bucket give seals of one length."""
    longer = Body(b"h" * 16, 7, [Block(1, 1000, 500, b"\x48\x00" * 20)])
    lengths = {len(sealer().seal(body, sequence=1).sealed) for body in (BODY, longer)}

    assert lengths == {128 + 16}


@given(st.binary(max_size=300), st.integers(1, 300))
def test_unpadding_inverts_padding(data: bytes, bucket_bytes: int) -> None:
    """Unpadding inverts padding, also for bytes that end like padding."""
    padded = pad(data, bucket_bytes)

    assert unpad(padded) == data
    assert len(padded) % bucket_bytes == 0
    assert len(padded) > len(data)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x80\x01", b"\x01\x00"])
def test_padding_without_a_mark_is_malformed(data: bytes) -> None:
    """Data without the padding's mark are malformed."""
    with pytest.raises(Malformed):
        unpad(data)


@pytest.mark.parametrize(
    ("session_key", "spool_id", "bucket_bytes"),
    [(b"k" * 31, SPOOL, 128), (b"k" * 32, b"s" * 15, 128), (b"k" * 32, SPOOL, 0)],
)
def test_sealer_wants_the_right_lengths(
    session_key: bytes, spool_id: bytes, bucket_bytes: int
) -> None:
    """A key, spool id or bucket of a wrong length raises a ValueError."""
    with pytest.raises(ValueError, match="byte"):
        Sealer(
            agent=AGENT,
            spool_id=spool_id,
            session_key=session_key,
            ingest_key=KEY.public_key(),
            bucket_bytes=bucket_bytes,
        )


def test_session_keys_are_remembered_within_bounds() -> None:
    """
    The number of cached session keys is limited, the later half is kept, and others are unwrapped
    again.
    """
    opener = Opener([KEY], max_sessions=4)
    sealers = [sealer(session_key=bytes([n]) * 32) for n in range(1, 8)]
    remembered: set[bytes] = set()
    for each in [*sealers, sealers[0]]:
        assert opener.open(AGENT, each.seal(BODY, sequence=each._last + 1)) == BODY
        remembered = {key for _, key in [*opener._sessions, *opener._older]}
        assert len(remembered) <= 4
        assert each._wrapped_key in remembered
    assert sealers[-1]._wrapped_key in remembered


def test_session_of_one_agent_is_none_of_another() -> None:
    """A cached key does not open an envelope that another agent claims."""
    opener = Opener([KEY])
    opener.open(AGENT, SEALED)

    with pytest.raises(BadSeal):
        opener.open("f" * 16, SEALED)
