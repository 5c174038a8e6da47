"""The schedule of verifications."""

from collections.abc import Iterable

import msgspec
import pytest

from trust.erasure.ledger_copy import FileState
from trust.erasure.verification import Verified
from trust.erasure.verification_rounds import Rounds, VerificationPlan
from trust.errors import TelemetryUnavailable
from trust.telemetry.erasure import Table

HOUR = 3600.0


def table(place: str = "vv.a", *, file: int = 1, inserted: int = 10) -> Table:
    """Return a table of the schema."""
    return Table(place, file, inserted, is_ours=True, is_attached=True)


def _looked(plan: VerificationPlan, *tables: Table, now: float) -> None:
    plan.due(tables, now=now)
    for one in tables:
        plan.looked_at(one, now=now)


def test_a_table_never_seen_is_due_at_once() -> None:
    """A table that was never read is due at once, as is every table after a start."""
    assert VerificationPlan().due([table()], now=0) == [table()]


def test_what_did_not_change_is_due_once_a_day() -> None:
    """An unchanged table, with the same file and count of inserted rows, is due once a day."""
    plan = VerificationPlan()
    _looked(plan, table(), now=0)

    assert plan.due([table()], now=23 * HOUR) == []
    assert plan.due([table()], now=24 * HOUR) == [table()]


def test_what_only_grew_is_due_once_an_hour() -> None:
    """A table that only grew is due once an hour, because ingest inserts all the time."""
    plan = VerificationPlan()
    _looked(plan, table(), now=0)

    assert plan.due([table(inserted=11)], now=HOUR - 1) == []
    assert plan.due([table(inserted=11)], now=HOUR) == [table(inserted=11)]


def test_another_file_is_due_at_once_and_first() -> None:
    """A table with another file is due at once and first, because it may have been restored."""
    plan = VerificationPlan()
    old, grown = table("vv.old"), table("vv.grown")
    _looked(plan, old, grown, now=0)
    restored, grown = table("vv.old", file=2), table("vv.grown", inserted=11)

    assert plan.due([grown, restored], now=HOUR) == [restored, grown]


def test_a_table_that_went_and_came_back_is_due() -> None:
    """A table that disappeared and came back is due at once."""
    plan = VerificationPlan()
    _looked(plan, table(), now=0)
    plan.due([], now=1)

    assert plan.due([table()], now=2) == [table()]


def test_another_start_of_the_server_makes_everything_due() -> None:
    """After another start of the server everything is due."""
    plan = VerificationPlan()
    assert plan.are_names_due("1.5 1 2 3 10 10", now=0)
    plan.names_looked_at("1.5 1 2 3 10 10", now=0)
    _looked(plan, table(), now=0)
    assert not plan.are_names_due("1.5 1 2 3 10 10", now=1)
    assert plan.due([table()], now=1) == []

    assert plan.are_names_due("2.5 1 2 3 10 10", now=2)
    assert plan.due([table()], now=2) == [table()]


def test_names_that_grew_are_looked_at_after_ten_minutes() -> None:
    """
    Names that grew are due after ten minutes, names with another file at once, and all once an
    hour.
    """
    plan = VerificationPlan()
    plan.names_looked_at("1 1 2 3 10 10", now=0)

    assert not plan.are_names_due("1 1 2 3 11 10", now=599)
    assert plan.are_names_due("1 1 2 3 11 10", now=600)
    assert plan.are_names_due("1 9 2 3 11 10", now=601)
    plan.names_looked_at("1 9 2 3 11 10", now=601)
    assert not plan.are_names_due("1 9 2 3 11 10", now=601 + HOUR - 1)
    assert plan.are_names_due("1 9 2 3 11 10", now=601 + HOUR)


def test_names_are_noted_once_they_were_read() -> None:
    """Only a completed reading of the names resets their due time."""
    plan = VerificationPlan()
    assert plan.are_names_due("1 1 2 3 10 10", now=0)
    assert plan.are_names_due("1 1 2 3 10 10", now=1)

    plan.names_looked_at("1 1 2 3 10 10", now=2)

    assert not plan.are_names_due("1 1 2 3 10 10", now=3)


def test_a_table_that_could_not_be_read_is_due_again_after_all_others() -> None:
    """A table that could not be read is due again after all others."""
    plan = VerificationPlan()
    damaged, sound = table("vv.damaged"), table("vv.sound")
    assert plan.due([damaged, sound], now=0) == [damaged, sound]
    plan.not_read(damaged)

    assert plan.due([damaged, sound], now=1) == [sound, damaged]
    plan.looked_at(sound, now=1)
    assert plan.due([damaged, sound], now=2) == [damaged]
    plan.looked_at(damaged, now=2)
    assert plan.due([damaged, sound], now=3) == []


class World:
    """The parts of a round: a clock, tables, and their reader."""

    def __init__(self, *tables: Table) -> None:
        self.time = 0.0
        self.listed = list(tables)
        self.read: list[str] = []
        self.unread: set[str] = set()
        self.seconds = 1.0
        self.answer = VERIFIED
        self.is_away = False
        self.dones = 0
        self.rounds = Rounds(self, self, self, note=self, done=self._done, now=lambda: self.time)

    def _done(self) -> None:
        self.dones += 1

    def round(self) -> list[str]:
        """Run a round; return the tables that it read."""
        self.read = []
        self.rounds.round()
        return self.read

    def run(self, tables: Iterable[Table] | None = None) -> Verified:
        """Read *tables*, each for some seconds."""
        for one in tables or ():
            self.read.append(one.place)
            self.time += self.seconds
        if self.is_away:
            raise TelemetryUnavailable("away")
        unread = sorted(self.unread & set(self.read))
        return msgspec.structs.replace(self.answer, unread=unread, not_looked_at=len(unread))

    def names_state(self) -> str:
        """Return a state that never changes."""
        return "1 1 2 3 10 10"

    def tables(self) -> list[Table]:
        """Return the tables."""
        return self.listed

    def repair(self) -> tuple[FileState, FileState]:
        """Report a complete file."""
        return FileState.COMPLETE, FileState.COMPLETE

    def verified(self, found: Verified) -> None:
        """Ignore the result."""

    def ledger_file(self, was: FileState, now: FileState) -> None:
        """Ignore the state."""


VERIFIED = Verified(
    erasures=1, back={}, erased_again=[], failed={}, tampered=[], not_rewritten=0,
    unknown_series=0, not_looked_at=0, seconds=0.0,
)  # fmt: skip


def test_a_round_is_done_once_everything_was_read() -> None:
    """
    A round is done when every table was read; tables without time come first in the next
    round.
    """
    world = World(*(table(f"vv.{name}") for name in "abcde"))
    world.seconds = 7.0

    assert world.round() == ["vv.a", "vv.b", "vv.c"]
    assert world.dones == 0
    assert world.round() == ["vv.d", "vv.e"]
    assert world.dones == 1
    assert world.round() == []
    assert world.dones == 2


def test_a_round_with_a_table_that_could_not_be_read_is_not_done() -> None:
    """A round with an unreadable table is not done, and the table is tried in each round."""
    world = World(table("vv.a"), table("vv.b"))
    world.unread = {"vv.a"}

    assert world.round() == ["vv.a", "vv.b"]
    assert world.round() == ["vv.a"]
    assert world.dones == 0
    world.unread = set()
    assert world.round() == ["vv.a"]
    assert world.dones == 1


def test_a_round_that_was_cut_off_is_done_again() -> None:
    """If the server goes away during a round, its tables and names are due again."""
    world = World(table("vv.a"))
    world.is_away = True
    with pytest.raises(TelemetryUnavailable):
        world.round()
    world.is_away = False

    assert world.round() == ["vv.a"]
    assert world.dones == 1


@pytest.mark.parametrize("settled", [True, False])
def test_names_of_an_erasure_that_failed_are_looked_at_again(settled: bool) -> None:
    """If the erasure of found names fails, the names are read again in the next round."""
    world = World()
    looks: list[float] = []
    run = world.run

    def count(tables: Iterable[Table] | None = None) -> Verified:
        looks.append(world.time)
        return run(tables)

    world.run = count  # type: ignore[method-assign]  # to count
    world.answer = msgspec.structs.replace(VERIFIED, failed={1: "no"}, are_names_settled=settled)

    world.round()
    world.round()

    assert len(looks) == (1 if settled else 2)


def test_a_table_with_rows_of_an_erasure_that_failed_is_looked_at_again() -> None:
    """If the erasure of found rows fails, their table is read again."""
    world = World(table("vv.a"), table("vv.b"))
    world.answer = msgspec.structs.replace(VERIFIED, failed={1: "no"}, not_settled=["vv.a"])

    world.round()

    assert world.dones == 0
    assert world.round() == ["vv.a"]
