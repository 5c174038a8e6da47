"""The guard before the telemetry database: nothing is written without its permission."""

import datetime as dt
from collections.abc import Callable, Sequence

import pytest

from trust.errors import LedgerLost
from trust.reconcile.reconciled import Reconciled
from trust.reconcile.reconciler import Reconciler, UnguardedReconciler


class _Writing(UnguardedReconciler):
    """Records calls, and needs no database."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def attempt(self, agents: Sequence[str], *, renew: bool = False) -> Reconciled:
        self.asked.append("attempt")
        return Reconciled()

    def write_lease_keys(self) -> int:
        self.asked.append("write_lease_keys")
        return 1

    def unfinished(self, *, older_than: dt.timedelta, limit: int) -> list[str]:
        self.asked.append("unfinished")
        return []

    def check(self) -> None:
        """Do nothing."""


class _Guard:
    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self.times = 0

    def ensure(self) -> None:
        self.times += 1
        if not self.is_open:
            raise LedgerLost("not all erasures are known")


WRITING: list[Callable[[Reconciler], object]] = [
    lambda reconciler: reconciler.attempt(["a"]),
    lambda reconciler: reconciler.reconcile(["a"], renew=True),
    lambda reconciler: reconciler.write_lease_keys(),
    lambda reconciler: reconciler.check(),
]


@pytest.mark.parametrize("write", WRITING)
def test_nothing_is_written_when_the_guard_refuses(write: Callable[[Reconciler], object]) -> None:
    """Each writing method calls the guard first, and raises its error."""
    writing = _Writing()

    with pytest.raises(LedgerLost):
        write(Reconciler(writing, _Guard(is_open=False)))

    assert writing.asked == []


@pytest.mark.parametrize("write", WRITING)
def test_the_guard_is_asked_each_time(write: Callable[[Reconciler], object]) -> None:
    """The guard is called each time, because a cleared database may be restored at any time."""
    guard = _Guard(is_open=True)
    reconciler = Reconciler(_Writing(), guard)

    write(reconciler)
    write(reconciler)

    assert guard.times == 2


def test_what_only_reads_the_vault_asks_no_guard() -> None:
    """Methods that only read the vault do not call the guard."""
    writing = _Writing()

    Reconciler(writing, _Guard(is_open=False)).unfinished(older_than=dt.timedelta(0), limit=1)

    assert writing.asked == ["unfinished"]
