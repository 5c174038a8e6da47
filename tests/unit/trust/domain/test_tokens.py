"""One-time tokens, and the rate limit for attempts."""

import datetime as dt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.domain import tokens
from trust.domain.tokens import Issued, Token
from trust.enrolment.throttle import Throttle, network_of

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TOKEN = Token(bytes(range(8)), bytes(range(24)))
ISSUED = Issued(
    TOKEN.enrolment, TOKEN.secret_sha256, "sealed", T0 + dt.timedelta(hours=1), 0,
    None, None, None, None,
)  # fmt: skip


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=24, max_size=24))
def test_parse_inverts_format(enrolment: bytes, secret: bytes) -> None:
    """A token is parsed in either case and with blanks."""
    token = Token(enrolment, secret)
    text = token.format()
    assert tokens.parse(text) == tokens.parse(f" {text[:9].lower()}-{text[9:]}\n") == token


@given(st.text(max_size=80))
def test_parse_never_raises(text: str) -> None:
    """Any text gives a token or None."""
    found = tokens.parse(text)
    assert found is None or len(found.secret) == 24


def test_a_token_shows_nothing() -> None:
    """The repr of a token shows no secret."""
    assert repr(TOKEN) == "Token(…)"
    assert repr(ISSUED) == "Issued(…)"


@pytest.mark.parametrize(
    ("issued", "token", "after_s", "counts"),
    [
        pytest.param(ISSUED, TOKEN, 0, True, id="right"),
        pytest.param(ISSUED, TOKEN, 3600, False, id="over"),
        pytest.param(ISSUED, Token(TOKEN.enrolment, bytes(24)), 0, False, id="wrong proof"),
        pytest.param(msgspec.structs.replace(ISSUED, failures=5), TOKEN, 0, False, id="burnt"),
        pytest.param(tokens.NOBODY, TOKEN, 0, False, id="unknown"),
    ],
)
def test_what_counts(issued: Issued, token: Token, after_s: int, counts: bool) -> None:
    """A token is valid with its proof, within its time, until too many wrong guesses."""
    assert issued.accepts(token, at=T0 + dt.timedelta(seconds=after_s)) is counts


def test_a_burst_then_a_trickle() -> None:
    """
    After its burst a caller gets the attempts that time restores, and never more than a
    burst.
    """
    throttle = Throttle(burst=3, per_minute=6)
    assert [throttle.allows("a", now=0.0) for _ in range(4)] == [True, True, True, False]
    assert throttle.allows("b", now=0.0)
    assert not throttle.allows("a", now=9.9)
    assert throttle.allows("a", now=19.9)
    assert [throttle.allows("a", now=9999.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_steps_back_gives_nothing() -> None:
    """A clock that steps back restores no attempts."""
    throttle = Throttle(burst=1, per_minute=60)
    assert throttle.allows("a", now=100.0)
    assert not throttle.allows("a", now=0.0)


def test_memory_is_bounded() -> None:
    """The number of remembered addresses is limited, and the oldest is forgotten."""
    throttle = Throttle(burst=1, per_minute=1, max_callers=10)
    for number in range(1000):
        throttle.allows(str(number), now=0.0)
    assert len(throttle) == 10


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "no address", True),
    ],
)
def test_network_of_ipv6_is_what_one_household_has(one: str, other: str, is_same: bool) -> None:
    """A /64 of IPv6 has one limit, because one household has 2^64 addresses."""
    assert (network_of(one) == network_of(other)) is is_same
