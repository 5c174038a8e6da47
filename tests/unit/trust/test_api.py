"""What the enrolment desk takes for a request."""

import pytest

from trust.api import Renewing, decode
from trust.desk import BadRequest


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
    """Each by the sentence that says what to look at, and quoting nothing."""
    with pytest.raises(BadRequest, match=sentence):
        decode(body, Renewing)


def test_a_request_is_read() -> None:
    """One flat object with its fields, in any order, is what was meant."""
    assert decode(b' {"request": "x"} ', Renewing) == Renewing("x")
