"""Leases: only valid grants, until the first of them ends."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trust.decisions.effective_grants import HOUR, PURPOSE, T0, stand
from trust.decisions.effective_grant import EffectiveGrant
from trust.decisions.leases import Term, compile_lease, term, version_by_time
from wire.lease import Grant
from wire.policy import Aggregate, Rule
from wire.quantities import BY_NAME

AGENT = "0123456789abcdef"
DAY = dt.timedelta(days=1)


def of(*standings: EffectiveGrant, now: dt.datetime = T0) -> Term:
    """Return the term of a lease of a day."""
    return term(standings, now=now, ttl=DAY, refresh_at=0.5)


def test_compile_golden_value() -> None:
    """A grant has the handle, its sensors in order, and a rule for each quantity."""
    lease = compile_lease(AGENT, [stand(1)], version=7, in_term=of(stand(1)))

    assert (lease.agent, lease.version, lease.bucket_bytes) == (AGENT, 7, 256)
    assert (lease.issued_at_ms, lease.not_after_ms) == (1767225600000, 1767312000000)
    assert lease.grants == [
        Grant(
            b"\x01" * 16,
            ["C0:FF:EE:00:00:01", "C0:FF:EE:00:01:01"],
            [Rule(4, 10, 300_000, 60_000, Aggregate.LAST), Rule(1, 1, 1000, 1, Aggregate.FIRST)],
        )
    ]


def test_denied_quantity_is_not_compiled() -> None:
    """A quantity that the policy denies is not in the lease, even if it was consented to."""
    standing = stand(1, quantities=["heart_rate", "rr_interval"])
    lease = compile_lease(AGENT, [standing], version=1, in_term=of(standing))
    assert [rule.quantity for rule in lease.grants[0].rules] == [BY_NAME["heart_rate"].code]


def test_nothing_allowed_is_no_grant() -> None:
    """A handle without any rule is not in the lease."""
    standing = stand(1, quantities=["rr_interval"])
    lease = compile_lease(AGENT, [standing], version=1, in_term=of(standing))
    assert lease.grants == []
    assert lease.bucket_bytes == 128


def test_lease_ends_with_its_first_grant() -> None:
    """A lease ends with its first grant, so that an agent without a network stops."""
    found = of(stand(1, ends=T0 + HOUR), stand(2))
    assert found == Term(T0, T0 + HOUR, T0 + HOUR)


def test_next_lease_is_due_where_a_grant_begins() -> None:
    """The next lease is due when a future grant begins."""
    later = stand(2, begins=T0 + HOUR)
    found = of(stand(1), later)
    assert found == Term(T0, T0 + DAY, T0 + HOUR)
    lease = compile_lease(AGENT, [stand(1), later], version=1, in_term=found)
    assert [grant.handle for grant in lease.grants] == [b"\x01" * 16]


def test_lease_is_renewed_at_a_fraction_of_its_life() -> None:
    """Without other events the next lease is due half-way."""
    assert of(stand(1)).due_at == T0 + DAY / 2


@pytest.mark.parametrize(
    "standings", [pytest.param([], id="none"), pytest.param([stand(1, ends=T0)], id="ended")]
)
def test_empty_lease_needs_no_renewal(standings: list[EffectiveGrant]) -> None:
    """An empty lease is never renewed."""
    assert of(*standings).due_at is None


def test_time_of_issue_is_of_whole_ms() -> None:
    """
    The time of issue is in whole ms, so that agent and telemetry database read the same
    time.
    """
    assert of(stand(1), now=T0 + dt.timedelta(microseconds=1999)).issued_at == (
        T0 + dt.timedelta(milliseconds=1)
    )


@given(
    st.lists(
        st.builds(
            stand,
            st.integers(1, 15),
            quantities=st.lists(st.sampled_from(sorted(BY_NAME)), unique=True),
            begins=st.integers(-5, 5).map(lambda h: T0 + h * HOUR),
            ends=st.none() | st.integers(-4, 30).map(lambda h: T0 + h * HOUR),
        ),
        max_size=6,
    )
)
def test_lease_is_never_wider_than_decisions_and_policy(standings: list[EffectiveGrant]) -> None:
    """At no time does a lease allow more than decisions and policy."""
    in_term = of(*standings)
    lease = compile_lease(AGENT, standings, version=1, in_term=in_term)
    scopes = {(s.handle, s.scope) for s in standings}
    for grant in lease.grants:
        assert any(
            handle == grant.handle
            and {PURPOSE.rule(n) for n in scope.quantities & PURPOSE.quantities.keys()}
            == set(grant.rules)
            and scope.valid_from <= in_term.issued_at
            and (scope.valid_to is None or in_term.not_after <= scope.valid_to)
            for handle, scope in scopes
        )
    assert in_term.not_after <= T0 + DAY


@pytest.mark.parametrize(
    ("year", "version"),
    [
        pytest.param(2020, 0, id="from here on"),
        pytest.param(2021, 366 * 86400, id="seconds"),
        pytest.param(9999, 1 << 31, id="a clock that is far off"),
    ],
)
def test_a_version_by_time_leaves_room_for_others(year: int, version: int) -> None:
    """
    Versions count seconds, and half of all versions are still free, whatever the clock
    shows.
    """
    assert version_by_time(dt.datetime(year, 1, 1, tzinfo=dt.UTC)) == version
