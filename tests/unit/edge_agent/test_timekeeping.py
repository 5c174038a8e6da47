"""What time it is, and whether that can be believed."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.clock import KeptClock
from edge_agent.measurement import Measurement
from edge_agent.timekeeping import STEP_MS, TOLERANCE_MS, Known, Timekeeper
from edge_agent.undated import MAX_WAITING, RESERVE, WaitingRoom

BOOT, OTHER_BOOT = "a", "b"
TRUE_MS = 1_767_225_600_000


def test_nothing_is_known_before_the_clock_was_set() -> None:
    """Without a synchronised clock there is no date, whatever the machine shows."""
    keeper = Timekeeper(BOOT, None)
    assert keeper.look(TRUE_MS, is_synchronised=False, now=10.0) is None
    assert not keeper.is_dated
    assert keeper.known() is None


def test_time_is_counted_from_the_boot() -> None:
    """Once known, time goes on by the seconds of this boot, though the clock stands or jumps."""
    keeper = Timekeeper(BOOT, None)
    keeper.look(TRUE_MS, is_synchronised=True, now=10.0)
    assert keeper.is_dated
    assert keeper.time_ms(now=15.0) == TRUE_MS + 5000
    keeper.look(TRUE_MS + 99_000_000, is_synchronised=False, now=20.0)
    assert keeper.time_ms(now=20.0) == TRUE_MS + 10_000


def test_step_is_told() -> None:
    """A correction of the clock is followed; a large one is told, with its size."""
    keeper = Timekeeper(BOOT, None)
    keeper.look(TRUE_MS, is_synchronised=True, now=0.0)
    assert keeper.look(TRUE_MS + 1000 + STEP_MS - 1, is_synchronised=True, now=1.0) is None
    assert keeper.look(TRUE_MS + 2000 + 8000, is_synchronised=True, now=2.0) == 8000 - STEP_MS + 1
    assert keeper.time_ms(now=2.0) == TRUE_MS + 10_000


def test_clock_in_the_past_is_not_believed() -> None:
    """A clock that shows what is past for sure is behind, and never followed."""
    known = Known(OTHER_BOOT, 0, TRUE_MS)
    keeper, other = Timekeeper(BOOT, known), Timekeeper(BOOT, known)
    keeper.look(TRUE_MS - TOLERANCE_MS - 1, is_synchronised=True, now=1.0)
    assert (keeper.is_behind, keeper.is_dated) == (True, False)
    other.look(TRUE_MS - TOLERANCE_MS, is_synchronised=True, now=1.0)
    assert (other.is_behind, other.is_dated) == (False, True)


def test_what_trust_signed_is_past() -> None:
    """The issue of a lease moves the floor, and with it what is behind."""
    keeper = Timekeeper(BOOT, None)
    keeper.is_past(TRUE_MS)
    keeper.look(TRUE_MS - 2 * TOLERANCE_MS, is_synchronised=True, now=1.0)
    assert keeper.is_behind


def test_same_boot_goes_on() -> None:
    """A process that is started anew in the same boot knows the time without anybody's help."""
    first = Timekeeper(BOOT, None)
    first.look(TRUE_MS, is_synchronised=True, now=100.0)
    second = Timekeeper(BOOT, first.known())
    assert second.is_dated
    assert second.time_ms(now=160.0) == TRUE_MS + 60_000


def test_other_boot_knows_how_early_it_may_be() -> None:
    """After a power cut it is at least as late as it was, and as this boot is old."""
    first = Timekeeper(BOOT, None)
    first.look(TRUE_MS, is_synchronised=True, now=100.0)
    second = Timekeeper(OTHER_BOOT, first.known())
    assert not second.is_dated
    assert second.time_ms(now=7.0) == TRUE_MS + 7000


@given(
    st.lists(
        st.tuples(st.integers(0, 10**13), st.booleans(), st.floats(0, 1e6)),
        min_size=1,
        max_size=20,
    )
)
def test_never_believes_what_is_past(looks: list[tuple[int, bool, float]]) -> None:
    """Whatever a clock shows, the time kept is never below what was known to be past."""
    keeper, now = Timekeeper(BOOT, Known(OTHER_BOOT, 0, TRUE_MS)), 0.0
    for wall_ms, is_synchronised, passed_s in looks:
        now += passed_s
        keeper.look(wall_ms, is_synchronised=is_synchronised, now=now)
        assert keeper.time_ms(now=now) >= TRUE_MS - TOLERANCE_MS


def test_waiting_is_dated_by_one_shift() -> None:
    """What waited keeps its order and its distances, and lies where the time turned out to be."""
    room = WaitingRoom()
    assert room.hold([Measurement("s", 1, 1000 + i, 60.0) for i in range(3)]) == 0
    assert [m.at_ms for m in room.release(shift_ms=500)] == [1500, 1501, 1502]
    assert len(room) == 0


def test_waiting_is_bounded() -> None:
    """Beyond its bound what comes is turned away, and counted."""
    room = WaitingRoom()
    many = [Measurement("s", 1, i, 60.0) for i in range(MAX_WAITING + 7)]
    assert room.hold(many) == 7
    assert room.hold(many[:2]) == 2
    assert room.drop() == MAX_WAITING
    assert room.drop() == 0


def test_stored_records_find_room_beside_the_live() -> None:
    """However many heart rates wait, a meter's record and what is told once do too; bounded."""
    room = WaitingRoom()
    room.hold([Measurement("s", 1, i, 60.0) for i in range(MAX_WAITING + 1)])
    told = [Measurement("m", 4, 7, 5.0, None, 1), Measurement("t", 9, 8, 36.0, is_single=True)]
    assert room.hold(told) == 0
    assert room.hold([Measurement("m", 4, 9, 5.0, None, 2 + i) for i in range(RESERVE)]) == 2
    assert room.release(shift_ms=0)[MAX_WAITING:][:2] == told


def test_clock_without_a_marker_is_not_believed(tmp_path: Path) -> None:
    """The clock is believed once somebody has set it, and tells the next process what it knows."""
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
    """A file that cannot be read is as good as none."""
    (tmp_path / "clock").write_bytes(b"\xff\x00")
    clock = KeptClock(tmp_path, belief="synchronised", marker=tmp_path / "no")
    assert not clock.is_dated()
