"""Canonical documents: each value has exactly one encoding."""

import msgspec
import pytest

from trust.domain import canonical
from trust.errors import Tampered


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document."""

    zeta: int
    alpha: str
    list: list[float]


def test_encode_golden_value() -> None:
    """Keys are sorted, and numbers and characters are written as in RFC 8785."""
    value = Sample(zeta=1, alpha="é\n\u20ac", list=[1.0, 0.1, 1e21])
    expected = '{"alpha":"é\\n€","list":[1,0.1,1e+21],"zeta":1}'
    assert canonical.encode(value) == expected.encode()


def test_digest_golden_value() -> None:
    """The digest is SHA-256."""
    assert canonical.digest(b"abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_to_sign_golden_value() -> None:
    """The signed bytes begin with the context and the kind."""
    assert canonical.to_sign("decision", b"{}") == b"vitalveil document v1\x00decision\x00{}"


def test_kinds_are_kept_apart() -> None:
    """A document of one kind does not verify as another kind."""
    assert canonical.to_sign("decision", b"{}") != canonical.to_sign("purpose", b"{}")


@pytest.mark.parametrize("document", [b"", b"{", b"\xff", b"[]", b'{"zeta":1}', b"[" * 5000])
def test_decode_names_what_is_wrong(document: bytes) -> None:
    """Any invalid document raises Tampered."""
    with pytest.raises(Tampered, match="a sample"):
        canonical.decode(document, Sample, what="a sample")
