"""The memory of a sensor: its records, and the selection of those that a request names. Pure."""

import datetime
import math
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from edge_agent.gatt import racp
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.racp import Operator, RacpResponseCode

_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 (a sensor's clock has no zone)


class StoredRecord(msgspec.Struct, frozen=True):
    """A stored record: the key that requests name, and the values that are sent for it."""

    key: int
    """A sequence number, or the minutes since the start of the session."""
    values: tuple[tuple[int, bytes], ...]
    """Each with the number of its characteristic."""
    shown_at: datetime.datetime | None = None
    """When it was taken, by the owner's clock; None where requests cannot name the time."""


class Memory:
    """
    Records in the order in which they were taken.

    Args:
        max_records: The oldest record is dropped when there are more.

        knows_time: Whether requests may name records by the owner's clock.
    """

    def __init__(self, *, max_records: int, knows_time: bool) -> None:
        self._records: list[StoredRecord] = []
        self._max_records = max_records
        self._knows_time = knows_time

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[StoredRecord]:
        return iter(self._records)

    def add(self, record: StoredRecord) -> None:
        """Add *record*; beyond `max_records`, the oldest one is dropped."""
        self._records.append(record)
        del self._records[: -self._max_records]

    def clear(self) -> None:
        """Forget all records."""
        self._records.clear()

    def forget(self, records: Iterable[StoredRecord]) -> None:
        """Delete *records*."""
        gone = set(records)
        self._records = [record for record in self._records if record not in gone]

    def select(self, request: racp.Request) -> list[StoredRecord] | RacpResponseCode:
        """
        Return the records that *request* names, or the code that says why it cannot
        be answered.
        """
        match request.operator:
            case Operator.ALL:
                return list(self._records)
            case Operator.FIRST:
                return self._records[:1]
            case Operator.LAST:
                return self._records[-1:]
            case _:
                return self._between(request)

    def _between(self, request: racp.Request) -> list[StoredRecord] | RacpResponseCode:
        by_time = isinstance(request.bounds[0], DateTime)
        if by_time and not self._knows_time:
            return RacpResponseCode.OPERAND_NOT_SUPPORTED
        bounds = [_place_of(bound) for bound in request.bounds]
        low = -math.inf if request.operator is Operator.UP_TO else bounds[0]
        high = math.inf if request.operator is Operator.FROM else bounds[-1]
        # A bound that is not a date is NaN, and every comparison with it is false.
        if not low <= high:
            return RacpResponseCode.INVALID_OPERAND
        return [
            record
            for record in self._records
            if low <= _place_of(record.shown_at if by_time else record.key) <= high
        ]


def _place_of(what: int | DateTime | datetime.datetime | None) -> float:
    """Return *what* as a number that can be compared; NaN for an invalid date."""
    if isinstance(what, int):
        return what
    shown = what.as_datetime() if isinstance(what, DateTime) else what
    return math.nan if shown is None else (shown.replace(microsecond=0) - _EPOCH).total_seconds()
