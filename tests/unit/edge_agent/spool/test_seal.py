"""Envelopes for the spool, and index tags."""

import itertools

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.spool.index_tags import Tags
from edge_agent.spool.seal import Seal
from tests.fakes.edge_agent import HANDLE, OTHER_HANDLE, SENSOR
from wire.envelope import Body, decode_envelope, pack_block
from wire.sealing import Opener

INGEST = X25519PrivateKey.from_private_bytes(bytes(range(32)))
BODY = Body(HANDLE, 1, [pack_block(1, [1, 2], [70, 71])])


def test_sealed_opens_at_ingest_alone() -> None:
    """Only ingest can open an envelope; one session key serves until the padding changes."""
    numbers = itertools.count(1)
    seal = Seal(
        agent="0" * 16,
        spool_id=bytes(16),
        ingest_key=INGEST.public_key(),
        random_bytes=lambda count: next(numbers).to_bytes(count, "big"),
    )
    sealed = [
        seal.seal(BODY, sequence=sequence, bucket_bytes=bucket)
        for sequence, bucket in ((1, 128), (2, 128), (3, 256))
    ]
    envelopes = [decode_envelope(each.payload) for each in sealed]
    assert [Opener([INGEST]).open("0" * 16, envelope) for envelope in envelopes] == [BODY] * 3
    assert [each.observations for each in sealed] == [2, 2, 2]
    assert envelopes[0].wrapped_key == envelopes[1].wrapped_key != envelopes[2].wrapped_key
    assert [len(envelope.sealed) for envelope in envelopes] == [144, 144, 272]
    assert next(numbers) == 3


def test_tags_tell_apart_and_need_the_key() -> None:
    """A tag depends on label, kind and key."""
    tags, others = Tags(INGEST), Tags(X25519PrivateKey.generate())
    made = [
        tags.of_handle(HANDLE),
        tags.of_handle(OTHER_HANDLE),
        tags.of_mark(HANDLE),
        tags.of_mark(SENSOR.encode()),
        tags.check(),
        others.of_handle(HANDLE),
        others.check(),
    ]
    assert len(set(made)) == len(made)
    assert Tags(INGEST).of_handle(HANDLE) == made[0]
    assert not any(HANDLE in tag or SENSOR.encode() in tag for tag in made)
