"""Days of measurements, for tables and charts: bounded by the days and not by the readings."""

import datetime as dt
from collections.abc import Iterable, Iterator

from formats.observed import Observed
from wire.quantities import Quantity


class Day:
    """The values of one day in UTC."""

    __slots__ = ("count", "high", "low", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.low = float("inf")
        self.high = float("-inf")

    def add(self, value: float) -> None:
        """Count *value*."""
        self.count += 1
        self.total += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)


class Series:
    """All values of one quantity for one purpose, day by day."""

    def __init__(self, purpose: str, quantity: Quantity) -> None:
        self.purpose = purpose
        self.quantity = quantity
        self.days: dict[dt.date, Day] = {}
        self.uncertain = 0
        """How many values have a time that may be wrong by hours."""
        self.first = dt.datetime.max.replace(tzinfo=dt.UTC)
        self.last = dt.datetime.min.replace(tzinfo=dt.UTC)

    def add(self, one: Observed) -> None:
        """Count *one*, which is of this purpose and quantity."""
        day = one.at.astimezone(dt.UTC).date()
        found = self.days.get(day)
        if found is None:
            found = self.days[day] = Day()
        found.add(one.value)
        self.uncertain += one.is_time_uncertain
        self.first, self.last = min(self.first, one.at), max(self.last, one.at)

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(day.count for day in self.days.values())

    @property
    def total(self) -> Day:
        """All days as one."""
        whole = Day()
        whole.count = self.count
        whole.total = sum(day.total for day in self.days.values())
        whole.low = min(day.low for day in self.days.values())
        whole.high = max(day.high for day in self.days.values())
        return whole


class Summary:
    """Sums observations up while something else reads them."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, int], Series] = {}
        self.count = 0

    def of(self, observed: Iterable[Observed]) -> Iterator[Observed]:
        """Yield *observed*, and count each."""
        for one in observed:
            key = (one.purpose, one.quantity.code)
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = Series(one.purpose, one.quantity)
            series.add(one)
            self.count += 1
            yield one

    @property
    def series(self) -> list[Series]:
        """Every purpose and quantity that has a value, in the order of purpose and quantity."""
        return [self._series[key] for key in sorted(self._series)]
