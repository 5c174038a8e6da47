"""
Isolation: whatever one unit of the daemon's work raises ends the work on that unit alone.

A server that is away is not the unit's fault, and passes: it would set everybody aside.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from runtime.errors import RuntimeSetupError
from runtime.logs import Log, describe
from trust.domain.units import Cause, UnitKind, cause_of
from trust.errors import TrustError, Unavailable
from trust.vault.database import DriverError

T = TypeVar("T")
_log: Final = Log("trust.vault.isolation")


def attempt(work: Callable[[], T], *, kind: UnitKind) -> T | Cause:
    """
    Return what *work* returns, or why the unit that it is for cannot be worked on.

    Outside any transaction of the caller's: *work* may have one of its own, which is rolled back.

    Args:
        work: What is done for one unit.

        kind: Of that unit, for the log.

    Raises:
        Unavailable: A server does not do its part, whatever was asked.
    """
    try:
        return attempt_within(work, kind=kind)
    except Unavailable as exc:
        if not exc.is_of_a_row:
            raise
        _log.warning("unit_failed", kind=kind, cause=Cause.ROW_REFUSED, error=describe(exc))
        return Cause.ROW_REFUSED


def attempt_within(work: Callable[[], T], *, kind: UnitKind) -> T | Cause:
    """
    Return as `attempt` does, inside a transaction that goes on.

    Raises:
        Unavailable: A server does not do its part, or refuses a row.
        DriverError: The transaction is of no use any more.
    """
    try:
        return work()
    except (Unavailable, DriverError):
        raise
    except (TrustError, RuntimeSetupError) as exc:
        cause = cause_of(exc)
        _log.warning("unit_failed", kind=kind, cause=cause, error=describe(exc))
        return cause
    # A fault of ours that one gateway, person or purpose brings out (a record of a shape that
    # was not thought of, a library that raises what it does not document) must not end the work
    # for all others, nor end the daemon at each start. Its type alone is logged: its text may
    # quote a value. What is no Exception, as the end of the process, passes.
    except Exception as exc:  # noqa: BLE001 - the boundary of a unit, see above
        _log.error("unforeseen", kind=kind, error=describe(exc))
        return Cause.UNFORESEEN
