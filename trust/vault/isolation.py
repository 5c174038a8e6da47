"""
Isolation: an error in one unit of the daemon's work ends the work on that unit alone.

The error that a server is unavailable is raised to the caller: it is not the fault of the unit,
and would set every unit aside.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from runtime.errors import RuntimeSetupError
from runtime.logs import Log, describe
from trust.domain.units import Cause, UnitKind, cause_of
from trust.errors import TrustError, Unavailable
from trust.vault.database import DriverError
from trust.vault.protocols import Records

T = TypeVar("T")
_log: Final = Log("trust.vault.isolation")


def attempt(work: Callable[[], T], *, kind: UnitKind) -> T | Cause:
    """
    Return the result of *work*, or the cause for which its unit cannot be worked on.

    Call this outside any transaction. *work* may open one, which is rolled back on an error.

    Args:
        work: Does the work for one unit.

        kind: The kind of the unit, for the log.

    Raises:
        Unavailable: A server cannot be used, for any unit.
    """
    try:
        return attempt_within(work, kind=kind)
    except Unavailable as exc:
        if not exc.is_of_a_row:
            raise
        _log.warning("unit_failed", kind=kind, cause=Cause.ROW_REFUSED, error=describe(exc))
        return Cause.ROW_REFUSED


def attempt_apart(records: Records, work: Callable[[], T], *, kind: UnitKind) -> T | Cause:
    """
    Return as `attempt` does, inside a transaction that goes on also when a row cannot be read.

    What *work* wrote before it failed is taken back.

    Args:
        records: Of that transaction.

        work: What is done for one unit.

        kind: Of that unit, for the log.

    Raises:
        Unavailable: A server does not do its part, whatever was asked.
        DriverError: The transaction is of no use any more.
    """

    def apart() -> T:
        with records.isolated():
            return work()

    return attempt(apart, kind=kind)


def attempt_within(work: Callable[[], T], *, kind: UnitKind) -> T | Cause:
    """
    Return the same as `attempt`, inside a transaction that the caller continues to use.

    Raises:
        Unavailable: A server cannot be used, or refuses a row.
        DriverError: The transaction cannot be used any more.
    """
    try:
        return work()
    except (Unavailable, DriverError):
        raise
    except (TrustError, RuntimeSetupError) as exc:
        cause = cause_of(exc)
        _log.warning("unit_failed", kind=kind, cause=cause, error=describe(exc))
        return cause
    # A programming error that only one gateway, person or purpose triggers (a record of an
    # unexpected shape, an undocumented error of a library) must not end the work for all others,
    # nor end the daemon at each start. Only its type is logged, because its text may quote a
    # value. A BaseException that is no Exception, such as the end of the process, is raised.
    except Exception as exc:  # noqa: BLE001 - a bug ends one unit, not the rest
        _log.error("unforeseen", kind=kind, error=describe(exc))
        return Cause.UNFORESEEN
