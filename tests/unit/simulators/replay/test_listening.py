"""The messages between agent and player."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.sample import Sample, SampleFault
from simulators.errors import ListenError
from simulators.replay.listening import decode_listen, encode_record
from simulators.replay.timetable import DueRecord


def test_listen_names_sensors_and_cursors() -> None:
    """A listen message is an object with the key `listen`; unknown keys are ignored."""
    line = b'{"listen": {"C0:FF:EE:00:00:01": 12}, "later": 1}\n'

    assert decode_listen(line) == {"C0:FF:EE:00:00:01": 12}


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b'{"listen": {"a": -1}}', b'{"listen": {"a": 1.5}}', b"\xff", b"[" * 9999],
)
def test_other_lines_are_no_listen_message(line: bytes) -> None:
    """Every invalid line raises the same error."""
    with pytest.raises(ListenError):
        decode_listen(line)


@given(st.binary(max_size=80))
def test_no_line_raises_anything_else(line: bytes) -> None:
    """No bytes raise any other error."""
    try:
        decode_listen(line)
    except ListenError:
        pass


def test_value_is_shown() -> None:
    """A record with a value has no fault, and has the names that the agent expects."""
    record = DueRecord(3, 1_767_225_600_000, Sample(0, "heart_rate", 72.0))
    line = encode_record("02:00:00:00:00:01", record)

    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "sensor": "02:00:00:00:00:01",
        "record": 3,
        "quantity": "heart_rate",
        "value": 72.0,
        "at_ms": 1_767_225_600_000,
    }


def test_fault_is_shown_instead_of_a_value() -> None:
    """A record without a value has a fault, and never the value 0."""
    record = DueRecord(3, 5, Sample(0, "heart_rate", None, SampleFault.OFF_BODY))

    assert json.loads(encode_record("02:00:00:00:00:01", record)) == {
        "sensor": "02:00:00:00:00:01",
        "record": 3,
        "quantity": "heart_rate",
        "fault": "off_body",
        "at_ms": 5,
    }
