"""Every codec, four ways from one list: golden, inverse, every truncation, raises nothing else."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.gatt.errors import DecodeError
from edge_agent.gatt.meaning import Observation
from edge_agent.gatt.registry import observations
from tests.unit.edge_agent.gatt.codecs import CODECS, Codec
from wire.quantities import QUANTITIES

_EACH = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
_LONGEST_ATTRIBUTE = 512
_CAMPAIGN = 1_000_000


@_EACH
def test_golden_value_is_encoded_as_it_was_decoded(codec: Codec) -> None:
    """A value written out by hand comes out of the encoder byte by byte."""
    value = bytes.fromhex(codec.golden)
    assert codec.encode(codec.decode(value)) == value


@_EACH
def test_bytearray_decodes_like_bytes(codec: Codec) -> None:
    """Bluetooth stacks hand over bytearrays: they decode to equal, hashable measurements."""
    value = bytes.fromhex(codec.golden)
    assert hash(codec.decode(bytearray(value))) == hash(codec.decode(value))


@_EACH
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_decode_inverts_encode(codec: Codec, data: st.DataObject) -> None:
    """What a sensor encodes is what we decode."""
    measurement = data.draw(codec.measurements)
    assert codec.decode(codec.encode(measurement)) == measurement


@_EACH
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_truncated_value_is_refused(codec: Codec, data: st.DataObject) -> None:
    """
    A value cut anywhere is an error: a field that is missing is not absent.

    Where a prefix is a value by itself (fewer RR-intervals, fewer records, a shorter count),
    it is that value and nothing else.
    """
    value = codec.encode(data.draw(codec.measurements))
    for end in range(len(value)):
        try:
            measurement = codec.decode(value[:end])
        except DecodeError:
            continue
        assert isinstance(measurement, codec.shorter)
        assert codec.encode(measurement) == value[:end]


@_EACH
@given(value=st.binary(max_size=_LONGEST_ATTRIBUTE))
@settings(max_examples=60, deadline=None)
def test_decode_never_raises_anything_else(codec: Codec, value: bytes) -> None:
    """No bytes that a sensor may send escape as another error."""
    _decode_or_refuse(codec, value)


@_EACH
def test_mutated_values_never_raise_anything_else(codec: Codec) -> None:
    """Nor do values that are nearly right, nor does judging what they say."""
    _bombard(codec, 2_000)


@pytest.mark.long
@_EACH
def test_million_values_never_raise_anything_else(codec: Codec) -> None:
    """A million payloads, random or nearly right: a measurement or `DecodeError` each time."""
    _bombard(codec, _CAMPAIGN)


def _bombard(codec: Codec, count: int) -> None:
    dice = random.Random(codec.name)
    golden = bytes.fromhex(codec.golden)
    decoded = sum(_decode_or_refuse(codec, _mutate(golden, dice)) for _ in range(count))
    # Else the campaign would test the first branch of the decoder only.
    assert decoded > 0


def _decode_or_refuse(codec: Codec, value: bytes) -> bool:
    try:
        measurement = codec.decode(value)
    except DecodeError:
        return False
    # Whatever it says, it is judged, and what is observed fits the wire and a living person.
    for outcome in observations(measurement):
        if isinstance(outcome, Observation):
            assert QUANTITIES[outcome.quantity].is_plausible(outcome.steps)
    return True


def _mutate(golden: bytes, dice: random.Random) -> bytes:
    """Return random bytes, or *golden* with a few bits, and perhaps its length, changed."""
    kind = dice.randrange(8)
    if kind == 0:
        return dice.randbytes(dice.randrange(_LONGEST_ATTRIBUTE + 1))
    if kind < 4:
        return dice.randbytes(dice.randrange(24))
    value = bytearray(golden)
    for _ in range(dice.randrange(4)):
        value[dice.randrange(len(value))] ^= 1 << dice.randrange(8)
    if kind == 7:
        value += dice.randbytes(dice.randrange(8))
    return bytes(value[: dice.randrange(len(value) + 1)] if kind == 6 else value)
