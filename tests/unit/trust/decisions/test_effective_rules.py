"""The effective rules of a handle: nothing finer than any version that was agreed to since."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trust.decisions.effective_grants import PURPOSE, T0, stand
from tests.unit.trust.decisions.test_leases import AGENT, DAY
from trust.decisions.leases import compile_lease, term
from trust.decisions.permissions import compile_permissions
from trust.domain.purposes import Allowed, Purpose
from wire.policy import Aggregate, Rule
from wire.quantities import BY_NAME, QUANTITIES

HEART_RATE = BY_NAME["heart_rate"].code
_NAMES = ("heart_rate", "glucose_interstitial", "spo2")

allowed = st.builds(
    lambda step, count, time_step, aggregate: Allowed(
        step, count * time_step, time_step, aggregate
    ),
    st.sampled_from([1, 2, 3, 10, 4099]),
    st.integers(1, 12),
    st.sampled_from([1, 10, 1000]),
    st.sampled_from(list(Aggregate)),
)
versions = st.lists(
    st.dictionaries(st.sampled_from(_NAMES), allowed, min_size=1), min_size=1, max_size=4
).map(
    lambda found: [
        msgspec.structs.replace(PURPOSE, version=n + 1, quantities=quantities)
        for n, quantities in enumerate(found)
    ]
)


def rules_of(agreed: list[Purpose]) -> list[Rule]:
    """Return the rules of a handle that was issued under the first of *agreed*."""
    standing = msgspec.structs.replace(
        stand(1, quantities=_NAMES), purpose=agreed[0], later=agreed[1:]
    )
    in_term = term([standing], now=T0, ttl=DAY, refresh_at=0.5)
    lease = compile_lease(AGENT, [standing], version=1, in_term=in_term)
    leased = [rule for grant in lease.grants for rule in grant.rules]
    # The rules of the lease and of the permissions must be equal.
    assert [
        (p.quantity, p.step, p.interval_ms, p.time_step_ms)
        for p in compile_permissions([standing])
    ] == [(r.quantity, r.step, r.interval_ms, r.time_step_ms) for r in leased]
    return leased


@given(versions)
def test_effective_rules_are_within_all_that_was_agreed_to(agreed: list[Purpose]) -> None:
    """The effective rules are within every version that the person agreed to."""
    for rule in rules_of(agreed):
        name = QUANTITIES[rule.quantity].name
        assert all(name in purpose.quantities for purpose in agreed)
        assert all(rule.is_within(purpose.rule(name)) for purpose in agreed)


def test_one_version_is_as_it_says() -> None:
    """With one version, its policy is the rule."""
    assert rules_of([PURPOSE]) == rules_of([PURPOSE, PURPOSE])
    assert {rule.quantity: rule for rule in rules_of([PURPOSE])}[HEART_RATE] == PURPOSE.rule(
        "heart_rate"
    )


def test_coarser_version_coarsens_what_was_issued_before() -> None:
    """A later, coarser version also coarsens handles that were issued before."""
    later = msgspec.structs.replace(
        PURPOSE, version=2, quantities={"heart_rate": Allowed(5, 60_000, 1000, Aggregate.MEAN)}
    )
    assert rules_of([PURPOSE, later]) == [Rule(HEART_RATE, 5, 60_000, 1000, Aggregate.MEAN)]


def test_finer_version_does_not_reach_what_was_issued_before() -> None:
    """A later, finer version for another gateway does not refine an older handle."""
    later = msgspec.structs.replace(
        PURPOSE,
        version=2,
        quantities={**PURPOSE.quantities, "spo2": Allowed(1, 1, 1, Aggregate.FIRST)},
    )
    assert {rule.quantity for rule in rules_of([PURPOSE, later])} == {
        BY_NAME[name].code for name in PURPOSE.quantities
    }


def test_too_coarse_to_say_is_not_measured() -> None:
    """If no rule satisfies both versions, the quantity is not measured."""
    odd = [
        msgspec.structs.replace(
            PURPOSE, version=n, quantities={"heart_rate": Allowed(step, 1, 1, Aggregate.FIRST)}
        )
        for n, step in ((1, 211), (2, 223))
    ]
    assert rules_of(odd) == []
