"""The JSON envelope, compared with its published schema."""

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.support.strategies_wire import bodies, sequences, spool_ids
from vitalveil.schema import main as print_schema
from wire.envelope import MAX_ENVELOPE_BYTES, MAX_SEQUENCE, Block, Body
from wire.errors import Malformed, TooLarge, UnsupportedVersion, WireError
from wire.json_envelope import decode, encode, json_schema, looks_like_json
from wire.quantities import MISSING

VALIDATOR = Draft202012Validator(json_schema())
GOOD: dict[str, Any] = {
    "version": 1,
    "spool_id": "0123456789abcdef" * 2,
    "sequence": 300,
    "handle": "fedcba9876543210" * 2,
    "lease": 7,
    "blocks": [
        {
            "quantity": "heart_rate",
            "start": "2026-01-01T00:00:00Z",
            "step_ms": 1000,
            "values": [72, None, 73.0],
        },
        {
            "quantity": "glucose_interstitial",
            "start": "2026-01-01T01:00:00.250+01:00",
            "offsets_ms": [0, 299000],
            "values": [6.38, 6.4],
            "flags": [0, 1],
        },
    ],
}
START_MS = 1_767_225_600_000


def with_block(**fields: object) -> bytes:
    """Return GOOD with its first block changed; None omits a field."""
    changed = copy.deepcopy(GOOD)
    changed["blocks"] = [
        {k: v for k, v in {**GOOD["blocks"][0], **fields}.items() if v is not None}
    ]
    return json.dumps(changed).encode()


def with_field(**fields: object) -> bytes:
    """Return GOOD with fields changed."""
    return json.dumps({**GOOD, **fields}).encode()


def test_envelope_in_json_is_read_as_by_hand() -> None:
    """Names, zones, units and nulls are decoded as the contract says."""
    identified = decode(json.dumps(GOOD).encode())
    rates, glucose = identified.body.blocks

    assert identified.spool_id == bytes.fromhex(GOOD["spool_id"])
    assert identified.sequence == 300
    assert identified.body.handle == bytes.fromhex(GOOD["handle"])
    assert identified.body.lease == 7
    assert rates.quantity == 1
    assert rates.times_ms() == [START_MS, START_MS + 1000, START_MS + 2000]
    assert rates.unpacked_values() == [72, MISSING, 73]
    assert glucose.quantity == 4
    assert glucose.times_ms() == [START_MS + 250, START_MS + 299_250]
    assert glucose.unpacked_values() == [638, 640]
    assert glucose.flags == b"\x00\x01"


@given(spool_ids, sequences, bodies)
def test_decoding_inverts_encoding_in_json(spool_id: bytes, sequence: int, body: Body) -> None:
    """Decoding inverts encoding, and the encoded envelope conforms to the schema."""
    encoded = encode(spool_id, sequence, body)
    identified = decode(encoded)

    VALIDATOR.validate(json.loads(encoded))
    assert (identified.spool_id, identified.sequence) == (spool_id, sequence)
    assert (identified.body.handle, identified.body.lease) == (body.handle, body.lease)
    for ours, theirs in zip(identified.body.blocks, body.blocks, strict=True):
        assert ours.quantity == theirs.quantity
        assert ours.times_ms() == theirs.times_ms()
        assert ours.unpacked_values() == theirs.unpacked_values()
        assert ours.flags == theirs.flags


def test_quantity_without_a_name_is_not_encoded() -> None:
    """A quantity without a name cannot be encoded."""
    with pytest.raises(KeyError):
        encode(b"s" * 16, 1, Body(b"h" * 16, 1, [Block(999, 0, 1, b"\0\0")]))


def test_every_truncated_json_is_malformed() -> None:
    """Every truncated envelope is malformed."""
    encoded = json.dumps(GOOD).encode()
    for size in range(len(encoded)):
        with pytest.raises(Malformed):
            decode(encoded[:size])


@given(st.binary(max_size=100))
@example(b'{"version":' + b"[" * 60_000)
@example(b'{"version":' + b"9" * 5000 + b"}")
@example(with_field(lease=10**30))
@example(with_block(quantity="\ud800"))
def test_no_bytes_of_json_raise_anything_else(payload: bytes) -> None:
    """Any bytes give a JSON envelope or a WireError."""
    try:
        decode(payload)
    except WireError:
        pass


_anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["heart_rate", "0" * 32, "0" * 32 + "\n", "2026-01-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every part of *value*."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _paths(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            found += _paths(inner, (*path, place))
    return found


@settings(max_examples=400)
@given(st.data())
def test_what_the_schema_rejects_the_decoder_rejects(data: st.DataObject) -> None:
    """Every envelope that the decoder accepts conforms to the published schema."""
    document = copy.deepcopy(GOOD)
    *parents, last = data.draw(st.sampled_from(_paths(document)))
    place: Any = document
    for step in parents:
        place = place[step]
    what = data.draw(st.sampled_from(["change", "remove", "add"]))
    if what == "remove":
        del place[last]
    elif what == "add" and isinstance(place, dict):
        place[data.draw(st.text(max_size=5))] = data.draw(_anything)
    else:
        place[last] = data.draw(_anything)
    try:
        decode(json.dumps(document).encode())
    except WireError:
        return
    VALIDATOR.validate(document)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(with_field(unknown=1), id="unknown field"),
        pytest.param(with_field(spool_id="0" * 31), id="short spool id"),
        pytest.param(with_field(spool_id="A" * 32), id="upper case"),
        pytest.param(with_field(handle="0" * 32 + "\n"), id="line feed"),
        pytest.param(with_field(sequence=0), id="sequence 0"),
        pytest.param(with_field(sequence=MAX_SEQUENCE), id="large sequence"),
        pytest.param(with_field(lease=-1), id="lease"),
        pytest.param(with_field(blocks=[]), id="no blocks"),
        pytest.param(with_block(quantity="mood"), id="unknown quantity"),
        pytest.param(with_block(values=[]), id="no values"),
        pytest.param(with_block(values=["72"]), id="a value in quotes"),
        pytest.param(with_block(values=[True]), id="no number"),
        pytest.param(with_block(step_ms=0), id="step 0"),
        pytest.param(with_block(offsets_ms=[-1, 0, 1], step_ms=None), id="negative offset"),
        pytest.param(with_block(flags=[256, 0, 0]), id="no uint8"),
        pytest.param(with_block(start="yesterday"), id="no time"),
        pytest.param(with_block(start="2026-01-01T00:00:00"), id="no zone"),
        pytest.param(with_block(start="2026-01-01 00:00:00Z"), id="no T"),
        pytest.param(with_block(start="2026-W01-1T00:00:00Z"), id="week date"),
    ],
)
def test_schema_and_decoder_reject_together(payload: bytes) -> None:
    """An envelope that violates the schema is refused by schema and decoder."""
    assert not VALIDATOR.is_valid(json.loads(payload))
    with pytest.raises(Malformed):
        decode(payload)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(with_block(step_ms=None), id="neither step nor offsets"),
        pytest.param(with_block(offsets_ms=[0, 1, 2]), id="both"),
        pytest.param(with_block(step_ms=None, offsets_ms=[0, 1]), id="too few offsets"),
        pytest.param(with_block(step_ms=None, offsets_ms=[5, 3, 9]), id="offsets out of order"),
        pytest.param(with_block(flags=[0]), id="too few flags"),
        pytest.param(with_block(values=[72.5], step_ms=None), id="between two steps"),
        pytest.param(with_block(values=[1e308], step_ms=None), id="not finite in steps"),
        pytest.param(with_block(values=[40_000], step_ms=None), id="no int16"),
        pytest.param(with_block(values=[-32768], step_ms=None), id="the mark of nothing"),
        pytest.param(with_block(start="2026-01-01T00:00:00Z\n"), id="line feed after a time"),
        pytest.param(with_block(start="2026-02-30T00:00:00Z"), id="no such day"),
        pytest.param(with_block(start="1969-12-31T23:59:59Z"), id="before 1970"),
        pytest.param(with_block(start="0001-01-01T00:00:00+23:59"), id="before the calendar"),
        pytest.param(with_block(start="9999-12-31T23:59:59-23:59"), id="after the calendar"),
    ],
)
def test_what_a_schema_cannot_say_is_malformed(payload: bytes) -> None:
    """Rules that a schema cannot express are checked by the decoder."""
    with pytest.raises(Malformed):
        decode(payload)


def test_one_observation_needs_no_step() -> None:
    """A single observation needs neither step nor offsets."""
    assert decode(with_block(values=[72], step_ms=None)).body.blocks[0].times_ms() == [START_MS]


@pytest.mark.parametrize(
    "payload",
    [with_field(version=2), with_field(version=2, new="field"), b'{"version": 0}'],
)
def test_sender_of_json_that_is_ahead_is_not_blamed(payload: bytes) -> None:
    """An envelope of a later version is unsupported, whatever its other fields."""
    with pytest.raises(UnsupportedVersion):
        decode(payload)


def test_too_large_a_json_is_not_even_read() -> None:
    """An envelope above the size limit is refused before it is decoded."""
    with pytest.raises(TooLarge):
        decode(b"{" + b" " * MAX_ENVELOPE_BYTES)


def test_json_is_told_from_sealed_by_its_first_byte() -> None:
    """The first byte distinguishes JSON from a sealed envelope, which is a msgpack array."""
    assert looks_like_json(json.dumps(GOOD).encode())
    assert not looks_like_json(b"\x96\x01")
    assert not looks_like_json(b"")


def test_schema_is_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """`vitalveil schema` prints the decoder's schema, which is a valid schema."""
    assert print_schema([]) == 0
    printed = json.loads(capsys.readouterr().out)

    assert printed == json_schema()
    Draft202012Validator.check_schema(printed)
    VALIDATOR.validate(GOOD)
