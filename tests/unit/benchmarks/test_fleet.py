"""A fleet without connections: its messages correspond to its rows."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from benchmarks.measurements.contenders import Load
from benchmarks.measurements.wire_size import bytes_per_reading
from benchmarks.plan import spoil
from benchmarks.world.fleet import Fleet, Form, Shape
from wire import json_envelope, topics
from wire.envelope import Body, decode_envelope
from wire.sealing import DEFAULT_BUCKET_BYTES, Opener

KEY = X25519PrivateKey.generate()
SHAPE = Shape(3, 4, 7, handles_per_agent=2, first_series=10)


def fleet() -> Fleet:
    """Return a small fleet."""
    return Fleet(SHAPE, start_ms=1_000_000, ingest_key=KEY.public_key())


def observations(bodies: list[Body]) -> list[tuple[int, int, float]]:
    """Return series, time and value of every observation in *bodies*."""
    numbers = {member.handle: member.series_id for member in SHAPE.members()}
    return sorted(
        (numbers[body.handle], at, float(value))
        for body in bodies
        for block in body.blocks
        for at, value in zip(block.times_ms(), block.unpacked_values(), strict=True)
    )


@pytest.mark.parametrize("form", [Form.SEALED, Form.JSON])
def test_rows_are_what_is_sent(form: Form) -> None:
    """The rows that the limit writes are exactly those that ingest will write."""
    some, opener = fleet(), Opener([KEY])
    bodies = []
    for topic, payload in some.messages(form):
        if form is Form.JSON:
            bodies.append(json_envelope.decode(payload).body)
        else:
            agent = topics.parse_observations(topic)
            bodies.append(opener.open(agent, decode_envelope(payload)))
    rows = some.rows()
    assert observations(bodies) == list(
        zip(rows.series.tolist(), rows.times_ms.tolist(), rows.values.tolist(), strict=True)
    )
    assert len(rows) == SHAPE.rows == 28


def test_parts_of_the_rows_make_the_whole() -> None:
    """Parts of the rows are sorted, and together they are all rows."""
    some = fleet()
    parts = [some.rows(0, 3), some.rows(3, 7)]
    times = sorted(t for part in parts for t in part.times_ms.tolist())
    assert times == sorted(some.rows().times_ms.tolist())


def test_every_envelope_is_another() -> None:
    """Sequences of an agent grow, whichever of its handles an envelope is for."""
    seen = {(topic, decode_envelope(payload).sequence) for topic, payload in fleet().messages()}
    assert len(seen) == SHAPE.envelopes


def test_peers_are_sent_the_same_values() -> None:
    """Peers get the same times and values in their own forms."""
    rows = fleet().rows()
    plain = [msgspec.json.decode(payload) for _, payload in fleet().messages(Form.PLAIN)]
    assert sorted(v for one in plain for v in one["values"]) == sorted(rows.values.tolist())
    lines = [text for _, payload in fleet().messages(Form.LINES) for text in payload.split(b"\n")]
    assert sorted(int(text.rsplit(b" ", 1)[1]) for text in lines) == sorted(
        at * 1_000_000 for at in rows.times_ms.tolist()
    )


def test_spoilt_load_says_what_will_be_stored() -> None:
    """Of a spoilt load 1 % is poison, 1 % refused and 5 % duplicates, and its counts say so."""
    good = Load([("t", bytes([n % 250, 0])) for n in range(1000)], 30_000, 1000)
    bad = spoil(good)
    assert (len(bad.messages), bad.ledger, bad.rows) == (1050, 990, 29_400)


def test_a_minute_of_heart_rate_is_five_bytes_a_reading() -> None:
    """
    A reading takes five bytes on the wire, with header, key and seal; padding adds less
    than one.
    """
    padded, bare = (
        bytes_per_reading(bucket_bytes=DEFAULT_BUCKET_BYTES),
        bytes_per_reading(bucket_bytes=1),
    )
    assert bare < padded <= 5
