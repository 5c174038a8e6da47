"""The requests of the enrolment service."""

import pytest

from trust.enrolment.api import Limits, Renewing, TooMany, decode
from trust.enrolment.service import BadRequest
from trust.enrolment.throttle import Throttle


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'[["request", "x"]]', "not one flat JSON object"),
        (b'{"request": {"request": "x"}}', "not one flat JSON object"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "not one flat JSON object"),
        (b'{"request": "x", "request": "x"}', "a name stands twice"),
        (b'{"request": "\\ud800"}', "not plain ASCII"),
        (b'{"request": "caf\xc3\xa9"}', "not plain ASCII"),
        (b'{"request": 1}', "fields that are asked for"),
        (b'{"request": "x", "more": "x"}', "fields that are asked for"),
        (b'{"request": "\xff"}', "fields that are asked for"),
        (b"\xef\xbb\xbf{}", "fields that are asked for"),
        (b"{", "fields that are asked for"),
    ],
)
def test_what_is_no_request_is_refused_in_words(body: bytes, sentence: str) -> None:
    """Each invalid request is refused with a sentence that quotes nothing."""
    with pytest.raises(BadRequest, match=sentence):
        decode(body, Renewing)


def test_a_request_is_read() -> None:
    """A request is one flat object with its fields in any order."""
    assert decode(b' {"request": "x"} ', Renewing) == Renewing("x")


@pytest.mark.parametrize(
    ("certificate", "limits", "sentence"),
    [
        (None, (1, 9, 9), "from this network; try again in 10 s"),
        (None, (9, 1, 9), "of all gateways without a certificate together; try again in 10 s"),
        (b"shown", (9, 9, 1), "with this certificate; try again in 10 s"),
    ],
)
def test_who_tried_too_often_is_told_when_to_try_again(
    certificate: bytes | None, limits: tuple[int, int, int], sentence: str
) -> None:
    """A client that exceeds its limit is told when it may try again, and which limit it was."""
    found = Limits(*(Throttle(burst=burst, per_minute=6) for burst in limits))
    found.take("192.0.2.1", certificate, now=0.0)
    with pytest.raises(TooMany) as refused:
        found.take("192.0.2.1", certificate, now=0.5)
    assert refused.value.sentence == f"too many attempts {sentence}"
    with pytest.raises(TooMany) as refused:
        found.take("192.0.2.1", certificate, now=9.9)
    assert refused.value.wait_s == 1
    found.take("192.0.2.1", certificate, now=10.0)
