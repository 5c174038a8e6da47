"""The memory of a sensor: its records, and which of them a request is after. Pure."""

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
    """A sequence number, or the minutes since a session began."""
    values: tuple[tuple[int, bytes], ...]
    """Each with the number of its characteristic."""
    shown_at: datetime.datetime | None = None
    """When it was taken, by the owner's clock; None where that cannot be asked for."""


class Memory:
    """
    Records in the order in which they were taken.

    Args:
        max_records: The oldest is forgotten when there are more.

        knows_time: Whether records may be asked for by the owner's clock.
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
        """Keep *record*."""
        self._records.append(record)
        del self._records[: -self._max_records]

    def clear(self) -> None:
        """Forget all records."""
        self._records.clear()

    def forget(self, records: Iterable[StoredRecord]) -> None:
        """Forget *records*."""
        gone = set(records)
        self._records = [record for record in self._records if record not in gone]

    def select(self, request: racp.Request) -> list[StoredRecord] | RacpResponseCode:
        """Return the records that *request* is after, or why it cannot be answered."""
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
        # A bound that is no date is no number either, and compares as false.
        if not low <= high:
            return RacpResponseCode.INVALID_OPERAND
        return [
            record
            for record in self._records
            if low <= _place_of(record.shown_at if by_time else record.key) <= high
        ]


def _place_of(what: int | DateTime | datetime.datetime | None) -> float:
    """Return *what* as a number to compare; NaN for a date that is none."""
    if isinstance(what, int):
        return what
    shown = what.as_datetime() if isinstance(what, DateTime) else what
    return math.nan if shown is None else (shown.replace(microsecond=0) - _EPOCH).total_seconds()
