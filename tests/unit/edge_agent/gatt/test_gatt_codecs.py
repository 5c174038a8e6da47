"""Every codec by four rules: hand-written values, inversion, truncation, and no other errors."""

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
    """The encoder returns each hand-written value byte by byte."""
    value = bytes.fromhex(codec.golden)
    assert codec.encode(codec.decode(value)) == value


@_EACH
def test_bytearray_decodes_like_bytes(codec: Codec) -> None:
    """
    A bytearray decodes to an equal, hashable measurement, because Bluetooth stacks return
    bytearrays.
    """
    value = bytes.fromhex(codec.golden)
    assert hash(codec.decode(bytearray(value))) == hash(codec.decode(value))


@_EACH
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_decode_inverts_encode(codec: Codec, data: st.DataObject) -> None:
    """Decoding inverts encoding."""
    measurement = data.draw(codec.measurements)
    assert codec.decode(codec.encode(measurement)) == measurement


@_EACH
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_truncated_value_is_refused(codec: Codec, data: st.DataObject) -> None:
    """
    A truncated value is an error: a missing field is not an absent one.

    If a prefix is valid by itself (fewer RR intervals, fewer records, a shorter count), it decodes
    as that value.
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
    """No bytes raise any error other than `DecodeError`."""
    _decode_or_refuse(codec, value)


@_EACH
def test_mutated_values_never_raise_anything_else(codec: Codec) -> None:
    """Nearly valid values raise no other error either, nor does judging them."""
    _bombard(codec, 2_000)


@pytest.mark.long
@_EACH
def test_million_values_never_raise_anything_else(codec: Codec) -> None:
    """A million random or nearly valid payloads each give a measurement or `DecodeError`."""
    _bombard(codec, _CAMPAIGN)


def _bombard(codec: Codec, count: int) -> None:
    dice = random.Random(codec.name)
    golden = bytes.fromhex(codec.golden)
    decoded = sum(_decode_or_refuse(codec, _mutate(golden, dice)) for _ in range(count))
    # Otherwise the campaign would test only the first branch of the decoder.
    assert decoded > 0


def _decode_or_refuse(codec: Codec, value: bytes) -> bool:
    try:
        measurement = codec.decode(value)
    except DecodeError:
        return False
    # Every measurement is judged, and every observation is plausible and fits the wire.
    for outcome in observations(measurement):
        if isinstance(outcome, Observation):
            assert QUANTITIES[outcome.quantity].is_plausible(outcome.steps)
    return True


def _mutate(golden: bytes, dice: random.Random) -> bytes:
    """Return random bytes, or *golden* with a few bits and perhaps its length changed."""
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
