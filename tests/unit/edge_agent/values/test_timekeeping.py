"""The agent's time, and whether it can be trusted."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.pipeline.undated_buffer import MAX_WAITING, RESERVE, UndatedBuffer
from edge_agent.sources.clock import KeptClock
from edge_agent.values.measurement import Measurement
from edge_agent.values.timekeeping import BROKEN_MS, STEP_MS, TOLERANCE_MS, Timekeeper
from tests.fakes.edge_agent import HOUR_MS, lease
from wire.lease import Lease

BOOT, OTHER_BOOT = "a", "b"
TRUE_MS = 1_767_225_600_000
DAY_MS = 24 * HOUR_MS
YEAR_2099_MS = 4_070_908_800_000


def held(*, issued_at_ms: int = TRUE_MS, version: int = 1, for_ms: int = DAY_MS) -> Lease:
    """Return a lease of a day."""
    return lease(version=version, issued_at_ms=issued_at_ms, for_ms=for_ms)


def at_work(*, now: float = 0.0, wall_ms: int = TRUE_MS) -> Timekeeper:
    """Return a keeper that knows the time and holds a lease issued at that time."""
    keeper = Timekeeper(BOOT, None)
    keeper.look(wall_ms, is_synchronised=True, now=now)
    keeper.adopt(held(), now=now)
    return keeper


def rebooted(keeper: Timekeeper, *, now: float) -> Timekeeper:
    """Return the keeper of the next boot, if the power fails *now*."""
    return Timekeeper(OTHER_BOOT, keeper.known(now=now))


def test_nothing_is_known_before_the_clock_was_set() -> None:
    """Without a synchronised clock there is no date, whatever the machine shows."""
    keeper = Timekeeper(BOOT, None)
    assert keeper.look(TRUE_MS, is_synchronised=False, now=10.0) is None
    assert not keeper.is_dated
    assert keeper.known(now=10.0) is None


def test_time_is_counted_from_the_boot() -> None:
    """Once known, time advances by the seconds of this boot, even if the clock stops or jumps."""
    keeper = Timekeeper(BOOT, None)
    keeper.look(TRUE_MS, is_synchronised=True, now=10.0)
    assert keeper.is_dated
    assert keeper.time_ms(now=15.0) == TRUE_MS + 5000
    keeper.look(TRUE_MS + 99_000_000, is_synchronised=False, now=20.0)
    assert keeper.time_ms(now=20.0) == TRUE_MS + 10_000


def test_step_is_told() -> None:
    """A correction of the clock is followed, and a large one is reported with its size."""
    keeper = Timekeeper(BOOT, None)
    keeper.look(TRUE_MS, is_synchronised=True, now=0.0)
    assert keeper.look(TRUE_MS + 1000 + STEP_MS - 1, is_synchronised=True, now=1.0) is None
    assert keeper.look(TRUE_MS + 2000 + 8000, is_synchronised=True, now=2.0) == 8000 - STEP_MS + 1
    assert keeper.time_ms(now=2.0) == TRUE_MS + 10_000


@pytest.mark.parametrize(
    ("wall_ms", "is_wrong"),
    [
        pytest.param(0, True, id="1970"),
        pytest.param(TRUE_MS - TOLERANCE_MS - 1, True, id="before the lease was issued"),
        pytest.param(TRUE_MS - TOLERANCE_MS, False, id="hardly before"),
        pytest.param(TRUE_MS + BROKEN_MS, False, id="years later"),
        pytest.param(TRUE_MS + BROKEN_MS + 1, True, id="too many"),
        pytest.param(YEAR_2099_MS, True, id="2099"),
    ],
)
def test_clock_that_cannot_be_right_is_not_believed(wall_ms: int, is_wrong: bool) -> None:
    """A clock that shows a time that is certainly past, or far in the future, is not followed."""
    keeper = Timekeeper(BOOT, None)
    keeper.adopt(held(), now=0.0)
    keeper.look(wall_ms, is_synchronised=True, now=0.0)
    assert (keeper.is_wrong, keeper.is_dated) == (is_wrong, not is_wrong)


def test_time_that_was_counted_is_past() -> None:
    """The certainly past time grows with every second that the gateway runs, in every boot."""
    second = rebooted(at_work(), now=3600.0)
    again = Timekeeper("c", second.known(now=7200.0))
    again.look(TRUE_MS + 3 * HOUR_MS - TOLERANCE_MS - 1, is_synchronised=True, now=0.0)
    assert again.is_wrong
    again.look(TRUE_MS + 3 * HOUR_MS - TOLERANCE_MS, is_synchronised=True, now=0.0)
    assert not again.is_wrong


@pytest.mark.parametrize("ahead_ms", [2 * HOUR_MS, 400 * DAY_MS, YEAR_2099_MS - TRUE_MS])
@pytest.mark.parametrize("boots", [1, 2])
def test_clock_that_was_ahead_is_not_held_against_the_right_one(ahead_ms: int, boots: int) -> None:
    """However far a clock was ahead once, the right time is accepted when it is shown."""
    keeper = at_work()
    keeper.look(TRUE_MS + ahead_ms, is_synchronised=True, now=10.0)
    if boots == 2:
        keeper = rebooted(keeper, now=20.0)
        keeper.look(TRUE_MS + ahead_ms, is_synchronised=True, now=10.0)
    keeper.look(TRUE_MS + 40_000, is_synchronised=True, now=30.0)
    assert (keeper.is_wrong, keeper.is_dated) == (False, True)
    assert keeper.time_ms(now=30.0) == TRUE_MS + 40_000


def test_broken_clock_costs_nothing() -> None:
    """A clock in 2099 does not end the lease."""
    keeper = at_work()
    keeper.look(YEAR_2099_MS, is_synchronised=True, now=10.0)
    assert keeper.latest_ms(now=10.0) == keeper.time_ms(now=10.0) == TRUE_MS + 10_000


def test_lease_that_was_seen_to_end_stays_so() -> None:
    """
    A lease that was seen to end stays ended, whatever the clock shows later, in this boot or
    another.
    """
    keeper = at_work()
    keeper.look(TRUE_MS + 2 * DAY_MS, is_synchronised=True, now=10.0)
    for each in (keeper, rebooted(keeper, now=20.0)):
        each.look(TRUE_MS + HOUR_MS, is_synchronised=True, now=30.0)
        each.adopt(held(), now=30.0)
        assert each.time_ms(now=30.0) == TRUE_MS + HOUR_MS
        assert each.latest_ms(now=30.0) == TRUE_MS + DAY_MS


def test_next_lease_begins_anew() -> None:
    """Times that the clock showed under one lease are not applied to the next."""
    keeper = at_work()
    keeper.look(TRUE_MS + 2 * DAY_MS, is_synchronised=True, now=10.0)
    keeper.look(TRUE_MS + HOUR_MS, is_synchronised=True, now=20.0)
    keeper.adopt(held(issued_at_ms=TRUE_MS + HOUR_MS, version=2), now=20.0)
    assert keeper.latest_ms(now=20.0) == TRUE_MS + HOUR_MS


def test_lease_of_another_trust_is_another() -> None:
    """The record of the first lease of one installation is not applied to that of another."""
    keeper = rebooted(at_work(), now=10.0)
    keeper.look(TRUE_MS + 9 * DAY_MS, is_synchronised=True, now=5.0)
    keeper.adopt(held(issued_at_ms=TRUE_MS + 9 * DAY_MS), now=5.0)
    keeper.look(TRUE_MS + 30 * DAY_MS, is_synchronised=True, now=10.0)
    keeper.look(TRUE_MS + 9 * DAY_MS + 10_000, is_synchronised=True, now=15.0)
    assert keeper.latest_ms(now=15.0) == TRUE_MS + 10 * DAY_MS


def test_lease_from_the_future_proves_nothing_to_a_clock_that_is_believed() -> None:
    """A lease from the future does not make the agent reject the right time."""
    keeper = at_work()
    keeper.adopt(held(issued_at_ms=TRUE_MS + 2 * DAY_MS, version=2), now=10.0)
    keeper.look(TRUE_MS + 20_000, is_synchronised=True, now=20.0)
    assert not keeper.is_wrong
    assert keeper.latest_ms(now=20.0) == TRUE_MS + 20_000
    # It is in force once its time has come.
    later_s = 2 * DAY_MS / 1000 + 60
    keeper.look(TRUE_MS + 2 * DAY_MS + 60_000, is_synchronised=True, now=later_s)
    assert keeper.latest_ms(now=later_s) == TRUE_MS + 2 * DAY_MS + 60_000


def test_same_boot_goes_on() -> None:
    """A process that restarts in the same boot knows the time."""
    first = Timekeeper(BOOT, None)
    first.look(TRUE_MS, is_synchronised=True, now=100.0)
    second = Timekeeper(BOOT, first.known(now=130.0))
    assert second.is_dated
    assert second.time_ms(now=160.0) == TRUE_MS + 60_000


def test_other_boot_knows_how_early_it_may_be() -> None:
    """After a power cut the time is at least the last known one plus the age of this boot."""
    second = rebooted(at_work(now=100.0), now=105.0)
    assert not second.is_dated
    assert second.time_ms(now=7.0) == TRUE_MS + 5000 + 7000
    second.adopt(held(), now=7.0)
    assert second.latest_ms(now=7.0) == TRUE_MS + 12_000


def test_boot_that_remembers_nothing_has_its_lease() -> None:
    """A gateway that lost its record of the time knows when its lease was issued."""
    keeper = Timekeeper(BOOT, None)
    keeper.adopt(held(), now=5.0)
    assert keeper.latest_ms(now=7.0) == TRUE_MS + 2000


_looks = st.lists(
    st.tuples(
        st.sampled_from(["look", "cut", "kill"]),
        st.one_of(st.integers(0, 2 * YEAR_2099_MS), st.integers(TRUE_MS, TRUE_MS + DAY_MS)),
        st.booleans(),
        st.floats(0, 30_000),
    ),
    min_size=1,
    max_size=20,
)


@given(_looks)
def test_no_clock_stretches_a_lease(looks: list[tuple[str, int, bool, float]]) -> None:
    """In any number of boots with any clocks a lease lasts no longer than signed."""
    keeper, boot, now, ran_s, seen_ms = Timekeeper("0", None), 0, 0.0, 0.0, 0
    keeper.adopt(held(), now=now)
    for what, wall_ms, is_synchronised, passed_s in looks:
        now, ran_s = now + passed_s, ran_s + passed_s
        if what != "look":
            kept, boot = keeper.known(now=now), boot + (what == "cut")
            now = now if what == "kill" else 0.0
            keeper = Timekeeper(str(boot), kept)
            keeper.adopt(held(), now=now)
        keeper.look(wall_ms, is_synchronised=is_synchronised, now=now)
        latest_ms = keeper.latest_ms(now=now)
        if keeper.is_dated:
            assert keeper.time_ms(now=now) >= TRUE_MS - TOLERANCE_MS
        # Except for the fractions of a millisecond that are cut off each time.
        assert latest_ms >= min(TRUE_MS + DAY_MS, TRUE_MS + int(ran_s * 1000) - 2 * len(looks))
        assert latest_ms >= min(TRUE_MS + DAY_MS, seen_ms)
        seen_ms = max(seen_ms, latest_ms)


@given(_looks)
def test_right_time_is_always_believed(looks: list[tuple[str, int, bool, float]]) -> None:
    """The real time is accepted at once, whatever clocks have shown before."""
    keeper, boot, now, off_s = Timekeeper("0", None), 0, 0.0, 0.0
    keeper.look(TRUE_MS, is_synchronised=True, now=now)
    keeper.adopt(held(), now=now)
    for what, wall_ms, is_synchronised, passed_s in looks:
        now += passed_s
        if what != "look":
            kept, boot = keeper.known(now=now), boot + (what == "cut")
            off_s, now = (off_s + now, 0.0) if what == "cut" else (off_s, now)
            keeper = Timekeeper(str(boot), kept)
        keeper.look(wall_ms, is_synchronised=is_synchronised, now=now)
        right_ms = TRUE_MS + int((off_s + now) * 1000)
        keeper.look(right_ms, is_synchronised=True, now=now)
        assert not keeper.is_wrong
        assert keeper.time_ms(now=now) == right_ms


def test_waiting_is_dated_by_one_shift() -> None:
    """
    Waiting measurements keep their order and distances, and are all shifted by the same
    amount.
    """
    room = UndatedBuffer()
    assert room.hold([Measurement("s", 1, 1000 + i, 60) for i in range(3)]) == 0
    assert [m.at_ms for m in room.release(shift_ms=500)] == [1500, 1501, 1502]
    assert len(room) == 0


def test_waiting_is_bounded() -> None:
    """Above the limit measurements are rejected and counted."""
    room = UndatedBuffer()
    many = [Measurement("s", 1, i, 60) for i in range(MAX_WAITING + 7)]
    assert room.hold(many) == 7
    assert room.hold(many[:2]) == 2
    assert room.drop() == MAX_WAITING
    assert room.drop() == 0


def test_stored_records_find_room_beside_the_live() -> None:
    """Stored records and single measurements have reserved, limited room beside live values."""
    room = UndatedBuffer()
    room.hold([Measurement("s", 1, i, 60) for i in range(MAX_WAITING + 1)])
    told = [Measurement("m", 4, 7, 5, None, 1), Measurement("t", 9, 8, 36, is_single=True)]
    assert room.hold(told) == 0
    assert room.hold([Measurement("m", 4, 9, 5, None, 2 + i) for i in range(RESERVE)]) == 2
    assert room.release(shift_ms=0)[MAX_WAITING:][:2] == told


def test_stored_record_waits_once() -> None:
    """A record that a meter repeats at each visit waits only once."""
    room = UndatedBuffer()
    records = [Measurement("m", 4, 7, 5, None, 1 + n) for n in range(500)]
    for _ in range(100):
        assert room.hold(records) == 0
    assert room.hold([*records, Measurement("m", 4, 9, 6, None, 501)]) == 0
    assert len(room) == 501
    assert room.hold([Measurement("n", 4, 7, 5, None, 1)]) == 0
    assert [m.record for m in room.release(shift_ms=0)] == [*range(1, 502), 1]
    # Refused as undated or kept; later code decides about repeated records.
    room.hold(records)
    assert room.drop() == 500


def test_clock_without_a_marker_is_not_believed(tmp_path: Path) -> None:
    """
    The clock is trusted after a synchronisation, and the next process inherits the known
    time.
    """
    marker = tmp_path / "synchronized"
    clock = KeptClock(tmp_path, belief="synchronised", marker=marker)
    assert not clock.is_dated()
    clock.keep()
    assert not (tmp_path / "clock").exists()
    marker.touch()
    again = KeptClock(tmp_path, belief="synchronised", marker=marker)
    assert again.is_dated()
    again.keep()
    marker.unlink()
    same_boot = KeptClock(tmp_path, belief="synchronised", marker=marker)
    assert same_boot.is_dated()
    assert abs(same_boot.now_ms() - again.now_ms()) < 1000


def test_damaged_memory_of_the_clock_is_none(tmp_path: Path) -> None:
    """An unreadable record of the time is treated as missing."""
    (tmp_path / "clock").write_bytes(b"\xff\x00")
    clock = KeptClock(tmp_path, belief="synchronised", marker=tmp_path / "no")
    assert not clock.is_dated()
