"""
Widening of a policy: described in words, exactly if something is allowed that was not
before.
"""

import itertools
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trust.consent.widening import Kind, digest, widenings
from trust.domain.policy_file import parse
from trust.domain.purposes import Allowed, Article6, Article9, Purpose, Retention
from wire.policy import Aggregate, Rule
from wire.quantities import BY_NAME

TEXT = "ab" * 32
CARE = parse("""\
purpose: care@1
art6: 6.1.e
art9: 9.2.h
recipients: [care-team]
quantities:
  heart_rate: {round: 5, min_interval: 60s, time_rounding: 10s, aggregate: mean}
deny: [rr_interval]
retention: {raw: 30d, aggregates: 365d}
""")
_NAMES = ("heart_rate", "glucose_interstitial")
_MEASURED = CARE.quantities["heart_rate"]


def later(**changes: Any) -> Purpose:
    """Return the second version, with *changes*."""
    return msgspec.structs.replace(CARE, version=2, **changes)


def measured(**changes: Any) -> dict[str, Any]:
    """Return the quantities, one of them with *changes*."""
    return {"quantities": {"heart_rate": msgspec.structs.replace(_MEASURED, **changes)}}


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        pytest.param(
            {"quantities": {**CARE.quantities, "rr_interval": Allowed(1, 1, 1, Aggregate.FIRST)}},
            Kind.QUANTITY, "rr_interval is measured, and was not", id="a quantity",
        ),
        pytest.param({"deny": []}, Kind.DENY, "rr_interval is denied no more", id="deny"),
        pytest.param(
            measured(step=1), Kind.ROUNDING,
            "heart_rate is rounded to 1 /min instead of 5 /min", id="rounding",
        ),
        pytest.param(measured(step=7), Kind.ROUNDING, "7 /min instead", id="another rounding"),
        pytest.param(
            measured(interval_ms=10_000), Kind.INTERVAL, "each 10 s instead of 1 min",
            id="interval",
        ),
        pytest.param(
            measured(time_step_ms=1000), Kind.TIME, "rounded to 1 s instead of 10 s", id="times"
        ),
        pytest.param(
            measured(aggregate=Aggregate.MAX), Kind.AGGREGATE, "the max is kept", id="aggregate"
        ),
        pytest.param(
            {"retention": Retention(31, 365)}, Kind.RETENTION,
            "observations are kept for 31 days instead of 30", id="observations",
        ),
        pytest.param(
            {"retention": Retention(30, 36500)}, Kind.RETENTION,
            "aggregates are kept for 36500 days instead of 365", id="aggregates",
        ),
        pytest.param(
            {"recipients": ["care-team", "insurer"]}, Kind.RECIPIENT, "insurer receives it",
            id="a recipient",
        ),
        pytest.param({"bucket_bytes": 64}, Kind.PADDING, "64 bytes instead of 128", id="padding"),
        pytest.param({"bucket_bytes": 200}, Kind.PADDING, "200 bytes", id="no whole bucket"),
        pytest.param(
            {"art6": Article6.LEGITIMATE_INTERESTS}, Kind.BASIS, "art. 6.1.f instead of 6.1.e",
            id="basis",
        ),
        pytest.param(
            {"art9": Article9.RESEARCH}, Kind.BASIS, "art. 9.2.j instead of 9.2.h", id="exception"
        ),
    ],
)  # fmt: skip
def test_each_way_is_told_in_words(changes: dict[str, Any], kind: Kind, words: str) -> None:
    """Each change gives one sentence with the earlier value and the compared version."""
    (found,) = widenings(later(**changes), [CARE])
    assert (found.kind, found.against) == (kind, "care@1")
    assert words in found.sentence
    assert "care@1" in found.sentence


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="the same"),
        pytest.param(measured(step=10), id="coarser"),
        pytest.param(measured(interval_ms=120_000), id="seldomer"),
        pytest.param(measured(time_step_ms=60_000), id="coarser times"),
        pytest.param({"retention": Retention(1, 1)}, id="shorter"),
        pytest.param({"recipients": []}, id="for fewer"),
        pytest.param({"deny": ["rr_interval", "spo2"]}, id="more denied"),
        pytest.param({"bucket_bytes": 256}, id="padded more"),
        pytest.param({"texts": {"fr-FR": TEXT}}, id="a text where none was named"),
    ],
)
def test_what_narrows_widens_nothing(changes: dict[str, Any]) -> None:
    """An equal or narrower version widens nothing."""
    assert widenings(later(**changes), [CARE]) == []


def test_another_text_is_told() -> None:
    """A changed or removed text is reported, because people will be shown a different one."""
    shown = msgspec.structs.replace(CARE, texts={"fr-FR": TEXT})
    (changed,) = widenings(later(texts={"fr-FR": "cd" * 32}), [shown])
    (gone,) = widenings(later(), [shown])
    assert (changed.kind, gone.kind) == (Kind.TEXT, Kind.TEXT)


def test_a_first_version_is_new_altogether() -> None:
    """The first version of a purpose is entirely new."""
    found = widenings(CARE, [])
    assert {one.kind for one in found} == {Kind.FIRST}
    assert any("heart_rate is measured: rounded to 5 /min" in one.sentence for one in found)


def test_each_version_counts_for_itself() -> None:
    """
    A version is compared with each earlier version, because people may have consented to any of
    them.
    """
    wide = later(recipients=["care-team", "insurer"])
    third = msgspec.structs.replace(wide, version=3)
    assert widenings(third, [wide]) == []
    assert [one.against for one in widenings(third, [wide, CARE])] == ["care@1"]


def test_what_is_approved_is_what_was_shown() -> None:
    """Different widenings have different digests, independent of their order."""
    one = widenings(later(deny=[]), [CARE])
    other = widenings(later(recipients=["insurer"]), [CARE])
    assert len({digest(one), digest(other), digest([])}) == 3
    assert digest(one) == digest(widenings(later(deny=[]), [CARE]))


rules = st.builds(
    lambda step, count, time_step, aggregate: Allowed(
        step, count * time_step, time_step, aggregate
    ),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from(list(Aggregate)),
)
versions = st.builds(
    lambda quantities, days, aggregates, recipients, bucket: later(
        quantities=quantities,
        retention=Retention(days, aggregates),
        recipients=sorted(recipients),
        bucket_bytes=bucket,
        deny=[],
    ),
    st.dictionaries(st.sampled_from(_NAMES), rules, min_size=1),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sets(st.sampled_from(["a", "b"])),
    st.sampled_from([2, 3, 4, 6]),
)


def observations(purpose: Purpose) -> set[tuple[str, int, str]]:
    """Return the values and aggregates that a purpose allows at one moment."""
    return {
        (name, value, aggregate)
        for name, allowed in purpose.quantities.items()
        for value in range(40)
        if value % allowed.step == 0
        for aggregate in {allowed.aggregate, Aggregate.MEAN}
    }


def times(allowed: Allowed, last: int) -> list[int]:
    """Return the allowed times."""
    return [t for t in range(last) if t % allowed.time_step_ms == 0]


def is_allowed_by(new: Allowed, old: Allowed) -> bool:
    """Tell, by trying all, whether *old* allows each run of observations that *new* allows."""
    last = 2 * math.lcm(new.interval_ms, old.interval_ms) + new.time_step_ms
    told = times(new, last)
    if not set(told) <= set(times(old, last)):
        return False
    # A run has one time in each new interval; two of them in one old interval are not allowed.
    for _, group in itertools.groupby(told, key=lambda t: t // old.interval_ms):
        if len({t // new.interval_ms for t in group}) > 1:
            return False
    return True


def lengths(bucket: int) -> dict[int, int]:
    """Return the visible length of each real length."""
    return {length: -(-length // bucket) for length in range(1, 40)}


def widens_slowly(new: Purpose, old: Purpose) -> bool:
    """Tell, by trying all, whether *new* allows anything that *old* does not."""
    tells_lengths = any(
        lengths(old.bucket_bytes)[a] == lengths(old.bucket_bytes)[b]
        and lengths(new.bucket_bytes)[a] != lengths(new.bucket_bytes)[b]
        for a, b in itertools.combinations(range(1, 40), 2)
    )
    return (
        not set(new.quantities) <= set(old.quantities)
        or not observations(new) <= observations(old)
        or not all(is_allowed_by(new.quantities[n], old.quantities[n]) for n in new.quantities)
        or not set(range(new.retention.raw_days)) <= set(range(old.retention.raw_days))
        or not set(range(new.retention.aggregate_days)) <= set(range(old.retention.aggregate_days))
        or not set(new.recipients) <= set(old.recipients)
        or tells_lengths
    )


@given(versions, versions)
@example(
    later(quantities={"heart_rate": Allowed(1, 6, 6, Aggregate.MEAN)}, deny=[]),
    later(quantities={"heart_rate": Allowed(1, 4, 2, Aggregate.MEAN)}, deny=[]),
)
def test_widens_exactly_what_was_not_allowed(new: Purpose, old: Purpose) -> None:
    """Widenings are found exactly if the exhaustive model finds one."""
    assert bool(widenings(new, [old])) is widens_slowly(new, old)


@given(rules, rules)
@example(Allowed(1, 6, 2, Aggregate.MEAN), Allowed(1, 4, 2, Aggregate.MEAN))
@example(Allowed(1, 6, 6, Aggregate.MEAN), Allowed(1, 4, 2, Aggregate.MEAN))
def test_intervals_are_compared_where_they_meet(new: Allowed, old: Allowed) -> None:
    """
    Of two intervals that are no multiples, a longer one may allow two observations where one was
    allowed.
    """
    new, old = (
        msgspec.structs.replace(one, step=1, aggregate=Aggregate.MEAN) for one in (new, old)
    )
    found = widenings(
        later(quantities={"heart_rate": new}),
        [msgspec.structs.replace(CARE, quantities={"heart_rate": old})],
    )
    assert bool(found) is not is_allowed_by(new, old)


@given(versions, versions, versions)
def test_what_widens_nothing_twice_widens_nothing(a: Purpose, b: Purpose, c: Purpose) -> None:
    """
    If neither of two successive versions widens the one before, the last does not widen
    the first.
    """
    if not widenings(b, [a]) and not widenings(c, [b]):
        assert widenings(c, [a]) == []


@given(versions, versions)
def test_what_is_within_widens_nothing(new: Purpose, old: Purpose) -> None:
    """If `Rule.is_within` holds with the same aggregate, no widening is found."""
    for name in set(new.quantities) & set(old.quantities):
        rule, other = new.rule(name), old.rule(name)
        assert isinstance(rule, Rule)
        if rule.is_within(other) and rule.aggregate is other.aggregate:
            only = {name: new.quantities[name]}
            alone = msgspec.structs.replace(old, quantities=only)
            assert widenings(alone, [old]) == []
    assert BY_NAME.keys() >= set(_NAMES)
