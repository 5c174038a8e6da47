"""Admission: each rule, the blocks that it refuses, and the reason of an envelope."""

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission.last_readings import LastReadings
from ingest.values.outcome import ANONYMOUS, Reason
from tests.fakes.ingest import AGENT, NOW_MS, block, changes, knowing, opened, permission
from tests.support.benches.admission import CLOCK, DAY_MS, MINUTE, decide
from wire.envelope import Block, pack_block
from wire.quantities import MISSING, Code


def test_admission_expires_with_the_first_permission_that_it_used() -> None:
    """A decision expires with the first permission that it used, and must then be repeated."""
    permissions = knowing(
        permission(valid_to_ms=NOW_MS + 7),
        permission(quantity=Code.SPO2, series_id=2, valid_to_ms=NOW_MS + 5, is_withdrawn=True),
    )
    one = opened(block(70), block(95, quantity=Code.SPO2))
    assert decide(one, permissions=permissions).expires_ms == NOW_MS + 7
    assert decide(opened(block(70))).expires_ms > 1 << 47


def test_lease_holds_from_a_minute_before_it_was_issued_until_its_end() -> None:
    """A lease holds from a minute before its issue, for clocks that are behind, until its end."""
    permissions = knowing(permission())
    issued = NOW_MS - 600_000
    permissions.apply(changes(2, leases=[(AGENT, 2, issued, issued + 120_000)]))
    times = [issued - 60_001, issued - 60_000, issued + 119_999, issued + 120_000]
    some = [opened(block(70, start_ms=at), lease=2, sequence=i) for i, at in enumerate(times, 1)]
    expired = Reason.LEASE_EXPIRED
    assert decide(*some, permissions=permissions).verdicts == [expired, None, None, expired]


def test_block_is_refused_alone() -> None:
    """
    An envelope with a good block is accepted; another block is refused alone, with its
    own reason.
    """
    one = opened(block(10, 10), block(95, quantity=Code.SPO2), block(70, 71, 72))
    admission = decide(one)
    assert admission.verdicts == [None]
    assert admission.rows.values.tolist() == [70.0, 71.0, 72.0]
    counted = zip(admission.blocks.codes.tolist(), admission.blocks.observed.tolist(), strict=True)
    assert sorted(counted) == sorted(
        [(0, 3), (Reason.IMPLAUSIBLE.code, 2), (Reason.NOT_PERMITTED.code, 1)]
    )


def test_refused_envelope_gets_the_reason_of_its_first_block() -> None:
    """A refused envelope gets the reason of its first block, in the order of sending."""
    late = block(10)
    early = block(95, quantity=Code.SPO2, start_ms=NOW_MS - 5 * DAY_MS)
    verdicts = decide(opened(late, early), opened(early, late, sequence=2)).verdicts
    assert verdicts == [Reason.IMPLAUSIBLE, Reason.NOT_PERMITTED]


def test_interval_is_kept_across_envelopes_and_flushes() -> None:
    """A second reading in an interval is refused, in the same flush or later."""
    permissions, last = knowing(permission(rule=MINUTE)), LastReadings()
    start = NOW_MS // 60_000 * 60_000 - 600_000
    first, second = block(70, start_ms=start), block(71, start_ms=start + 1)
    both = [opened(second, sequence=2), opened(first)]
    assert decide(*both, permissions=permissions, last=last).verdicts == [
        Reason.POLICY_EXCEEDED,
        None,
    ]
    again = opened(first, sequence=3)
    assert decide(again, permissions=permissions, last=last).verdicts == [Reason.POLICY_EXCEEDED]
    later = opened(block(70, start_ms=start + 60_000), sequence=4)
    assert decide(later, permissions=permissions, last=last).verdicts == [None]


@given(st.lists(st.sampled_from([0, 1, 2, 3, 60_000, 60_001]), min_size=1, max_size=6))
def test_of_an_interval_one_is_kept_and_it_is_first_in_time(offsets: list[int]) -> None:
    """
    Of several readings in one interval the earliest is kept; of equal times the first
    one sent.
    """
    start = NOW_MS // 60_000 * 60_000 - 600_000
    some = [
        opened(block(70, start_ms=start + offset), sequence=n)
        for n, offset in enumerate(offsets, start=1)
    ]
    verdicts = decide(*some, permissions=knowing(permission(rule=MINUTE))).verdicts
    first_of: dict[int, tuple[int, int]] = {}
    for n, offset in sorted(enumerate(offsets), key=lambda sent: (sent[1], sent[0])):
        first_of.setdefault(offset // 60_000, (n, offset))
    assert verdicts == [
        None if (n, offset) == first_of[offset // 60_000] else Reason.POLICY_EXCEEDED
        for n, offset in enumerate(offsets)
    ]


def test_deciding_twice_decides_the_same() -> None:
    """Admitting a batch again under the lock gives the same result."""
    permissions, last = knowing(permission(rule=MINUTE)), LastReadings()
    start = NOW_MS // 60_000 * 60_000 - 600_000
    some = [opened(block(70 + i, start_ms=start + i * 60_000), sequence=i + 1) for i in range(4)]
    first = decide(*some, permissions=permissions, last=last)
    second = decide(*some, permissions=permissions, last=last)
    assert first.verdicts == second.verdicts == [None] * 4
    assert first.rows.times_ms.tolist() == second.rows.times_ms.tolist()


RUNS = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.lists(st.sampled_from([MISSING, 60, 61, 250]), min_size=1, max_size=5),
        st.sampled_from([Code.HEART_RATE, Code.PULSE_RATE]),
        st.sampled_from([1, 2]),
    ),
    max_size=8,
)


@given(RUNS)
def test_rows_are_the_observations_sorted(runs: list[tuple[int, list[int], int, int]]) -> None:
    """However blocks overlap, every value is one row, sorted by series and time."""
    handles = {1: b"1" * 16, 2: b"2" * 16}
    quantities = (int(Code.HEART_RATE), int(Code.PULSE_RATE))
    series = {(h, q): h * 100 + q for h in handles for q in quantities}
    permissions = knowing(
        *(
            permission(handle=handles[h], quantity=q, series_id=number)
            for (h, q), number in series.items()
        )
    )
    some, expected = [], []
    for index, (offset, values, quantity, handle) in enumerate(runs):
        start = NOW_MS - 1_000_000 + offset * 10
        run: Block = pack_block(quantity, [start + i * 7 for i in range(len(values))], values)
        some.append(opened(run, handle=handles[handle], sequence=index + 1))
        expected += [
            (series[handle, quantity], start + i * 7, float(value), index)
            for i, value in enumerate(values)
            if value != MISSING
        ]
    rows = decide(*some, permissions=permissions).rows
    got = list(
        zip(
            rows.series.tolist(),
            rows.times_ms.tolist(),
            rows.values.tolist(),
            rows.envelopes.tolist(),
            strict=True,
        )
    )
    assert sorted(got) == sorted(expected)
    assert [row[:2] for row in got] == sorted(row[:2] for row in expected)


def test_value_is_stored_in_its_unit() -> None:
    """Steps of resolution are converted to the unit of the catalogue."""
    permissions = knowing(permission(quantity=Code.GLUCOSE_INTERSTITIAL))
    one = opened(block(554, quantity=Code.GLUCOSE_INTERSTITIAL))
    assert decide(one, permissions=permissions).rows.values.tolist() == pytest.approx([5.54])


@pytest.mark.parametrize("clock", [{"max_ahead_s": -1.0}, {"max_age_days": 0.0}])
def test_clock_rules_must_make_sense(clock: dict[str, float]) -> None:
    """A clock rule that would refuse everything or nothing is an error in the settings."""
    with pytest.raises(ValueError, match="max_ahead_s"):
        msgspec.structs.replace(CLOCK, **clock)


REGULAR = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from([250, 500, 1000, 2000, 3000]),
        st.lists(st.sampled_from([70, 71, 400, MISSING]), min_size=1, max_size=4),
        st.sampled_from([b"1" * 16, b"2" * 16]),
    ),
    max_size=6,
)


def by_offsets(one: Block) -> Block:
    """Return the same observations with an individual time for each."""
    times = one.times_ms()
    return msgspec.structs.replace(
        one, step=struct.pack(f"<{len(times)}I", *(t - times[0] for t in times))
    )


@given(st.lists(REGULAR, min_size=1, max_size=3), st.sampled_from([1, 500, 2000]))
def test_regular_blocks_fare_as_if_they_were_not(
    flushes: list[list[tuple[int, int, list[int], bytes]]], interval_ms: int
) -> None:
    """
    A regular block, checked by its first time and step alone, gets the same result as its
    observations.
    """
    permissions = knowing(
        permission(handle=b"1" * 16, series_id=1, rule=(1, interval_ms, 500 % interval_ms or 1)),
        permission(handle=b"2" * 16, series_id=2, rule=(1, interval_ms, 1)),
    )
    last, other_last = LastReadings(), LastReadings()
    for flush in flushes:
        some = []
        for start, step_ms, values, handle in flush:
            start_ms = NOW_MS - 60_000 + 250 * start
            run = pack_block(
                Code.HEART_RATE, [start_ms + i * step_ms for i in range(len(values))], values
            )
            some.append(opened(run, handle=handle))
        irregular = [
            opened(by_offsets(one.body.blocks[0]), handle=one.body.handle)
            for one in some
            if one.body is not None
        ]
        found = decide(*some, permissions=permissions, last=last)
        expected = decide(*irregular, permissions=permissions, last=other_last)
        assert found.verdicts == expected.verdicts
        for name in ("times_ms", "series", "values", "envelopes"):
            assert getattr(found.rows, name).tolist() == getattr(expected.rows, name).tolist()


def test_an_agent_that_expires_ends_the_decision() -> None:
    """A decision is repeated after the end of an agent's certificate."""
    ends = decide(opened(block(70)), permissions=knowing(permission(), expires_at_ms=NOW_MS + 7))
    assert ends.expires_ms == NOW_MS + 7


def test_nothing_of_a_revoked_agent_takes_an_identity() -> None:
    """An envelope of a revoked or expired agent gets no receipt and no row in the ledger."""
    for reason in (Reason.AGENT_REVOKED, Reason.AGENT_EXPIRED):
        assert reason in ANONYMOUS
