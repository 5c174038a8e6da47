"""Personal details: sealed so that only the right key in the right row opens them."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.domain import subjects
from trust.domain.subjects import PersonalDetails
from trust.errors import Tampered

ADA = UUID("0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0")
BOB = UUID("1f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0")
KEY = bytes(range(32))


@given(st.text())
def test_open_inverts_seal(name: str) -> None:
    """Opening inverts sealing, for any name."""
    encodable = name.encode("utf-8", "replace").decode()
    identity = PersonalDetails(encodable)
    sealed = subjects.seal_identity(identity, subject=ADA, data_key=KEY)
    assert subjects.open_identity(sealed, subject=ADA, data_key=KEY) == identity


@given(st.integers(0, 255), st.integers(1, 255))
def test_a_changed_byte_does_not_open(position: int, difference: int) -> None:
    """A seal with any changed byte is tampered."""
    sealed = bytearray(subjects.seal_identity(PersonalDetails("Ada"), subject=ADA, data_key=KEY))
    sealed[position % len(sealed)] ^= difference
    with pytest.raises(Tampered):
        subjects.open_identity(bytes(sealed), subject=ADA, data_key=KEY)


def test_truncated_seal_does_not_open() -> None:
    """A truncated seal is tampered."""
    sealed = subjects.seal_identity(PersonalDetails("Ada"), subject=ADA, data_key=KEY)
    for length in range(len(sealed)):
        with pytest.raises(Tampered):
            subjects.open_identity(sealed[:length], subject=ADA, data_key=KEY)


def test_record_of_another_does_not_open() -> None:
    """A record in another subject's row or under another key is tampered."""
    sealed = subjects.seal_identity(PersonalDetails("Ada"), subject=ADA, data_key=KEY)
    with pytest.raises(Tampered):
        subjects.open_identity(sealed, subject=BOB, data_key=KEY)
    with pytest.raises(Tampered):
        subjects.open_identity(sealed, subject=ADA, data_key=bytes(32))


def test_seal_that_is_no_record_is_tampered() -> None:
    """A seal that opens to an invalid record or list is tampered."""
    wrong = subjects.seal(KEY, b"[1]", bound_to=b"vitalveil identity v1\x00" + ADA.bytes)
    with pytest.raises(Tampered):
        subjects.open_identity(wrong, subject=ADA, data_key=KEY)
    wrong = subjects.seal(KEY, b"{}", bound_to=b"vitalveil bindings v1\x00" + bytes(16))
    with pytest.raises(Tampered):
        subjects.open_bindings(wrong, handle=bytes(16), issued_for=b"", data_key=KEY)


def test_length_does_not_tell_the_name() -> None:
    """Short and long names give seals of the same length."""
    lengths = {
        len(subjects.seal_identity(PersonalDetails("x" * n), subject=ADA, data_key=KEY))
        for n in (1, 20, 200)
    }
    assert len(lengths) == 1


def test_bindings_open_for_their_handle_only() -> None:
    """Bindings open only for their handle and the decision for which it was issued."""
    own, bindings = {"handle": bytes(16), "issued_for": b"here"}, ["C0:FF:EE:00:00:01"]
    sealed = subjects.seal_bindings(bindings, data_key=KEY, **own)
    assert subjects.open_bindings(sealed, data_key=KEY, **own) == bindings
    for other in ({"handle": b"\x01" * 16}, {"issued_for": b"there"}, {"issued_for": b""}):
        with pytest.raises(Tampered):
            subjects.open_bindings(sealed, data_key=KEY, **{**own, **other})


def test_bindings_of_before_open() -> None:
    """Bindings that an earlier release sealed to the handle alone are opened."""
    sealed = subjects.seal(
        KEY, b'["C0:FF:EE:00:00:01"]', bound_to=b"vitalveil bindings v1\x00" + bytes(16)
    )
    assert subjects.open_bindings(sealed, handle=bytes(16), issued_for=b"here", data_key=KEY) == [
        "C0:FF:EE:00:00:01"
    ]


def test_identity_shows_nothing() -> None:
    """Neither repr nor str shows a name."""
    assert (
        "Ada"
        not in repr(PersonalDetails("Ada"))
        + str(PersonalDetails("Ada"))
        + f"{[PersonalDetails('Ada')]}"
    )


def test_data_keys_are_random() -> None:
    """Data keys are random."""
    assert subjects.new_data_key() != subjects.new_data_key()
    assert len(subjects.new_data_key()) == 32
