"""The clock of a sensor: set by its owner, wrong by minutes, lost with the battery."""

import datetime
from collections.abc import Callable
from typing import Final

from edge_agent.gatt import date_time
from edge_agent.gatt.date_time import CurrentTime, DateTime
from edge_agent.gatt.errors import DecodeError
from simulators.sensor.device.attributes import Characteristic, Refused, Service
from simulators.sensor.device.link import SensorLink

RESET_TO: Final = datetime.datetime(2010, 1, 1)  # noqa: DTZ001 (a sensor's clock has no zone)
"""What a clock shows after its battery was removed; one meter on the market begins there."""
_SERVICE: Final = 0x1805
_CURRENT_TIME: Final = 0x2A2B
# Current Time Service 1.1.1, section 1.6: data field ignored.
_DATA_FIELD_IGNORED: Final = 0x80
_SET_BY_HAND: Final = 0x01
_MINUTE_S: Final = 60


class SensorClock:
    """
    Holds the base time and the user-facing time of the Glucose Service.

    The base time does not move when the owner sets the clock: the user-facing time is the base
    time plus an offset of whole minutes. The rest, half a minute at most, goes into the base time.

    Args:
        now: Seconds since 1970, by a clock that is right.

        ahead_s: How far the sensor's clock is ahead of it.
    """

    def __init__(self, now: Callable[[], float], *, ahead_s: float = 0.0) -> None:
        self._now = now
        self._base_ahead_s = ahead_s
        self.offset_min = 0
        self.times_set = 0

    def base(self) -> datetime.datetime:
        """Return the base time, without a zone."""
        return _shown(self._now() + self._base_ahead_s)

    def shown(self) -> datetime.datetime:
        """Return the time that the owner sees."""
        return self.base() + datetime.timedelta(minutes=self.offset_min)

    def ahead_s(self) -> float:
        """Return how many seconds the owner's clock is ahead of the right time."""
        return self._base_ahead_s + self.offset_min * _MINUTE_S

    def set(self, shown: datetime.datetime) -> None:
        """Set the owner's clock to *shown*."""
        difference_s = (shown - self.base()).total_seconds()
        self.offset_min = round(difference_s / _MINUTE_S)
        self._base_ahead_s += difference_s - self.offset_min * _MINUTE_S
        self.times_set += 1

    def reset(self) -> None:
        """Reset the clock, as when the battery is changed."""
        self.offset_min = 0
        self._base_ahead_s += (RESET_TO - self.base()).total_seconds()

    def service(self) -> Service:
        """Return the Current Time service of this clock, which may be set."""
        return Service(
            _SERVICE,
            (
                Characteristic(
                    number=_CURRENT_TIME, read=self._read, write=self._write, notifies=True
                ),
            ),
        )

    def _read(self) -> bytes:
        shown = self.shown()
        fractions = shown.microsecond * 256 // 1_000_000
        current = CurrentTime(to_date_time(shown), shown.isoweekday(), fractions, _SET_BY_HAND)
        return date_time.encode_current_time(current)

    def _write(self, _link: SensorLink, value: bytes) -> None:
        try:
            current = date_time.decode_current_time(value)
        except DecodeError:
            raise Refused(_DATA_FIELD_IGNORED) from None
        shown = current.date_time.as_datetime()
        if shown is None:
            raise Refused(_DATA_FIELD_IGNORED)
        self.set(shown + datetime.timedelta(seconds=current.fractions256 / 256))


def to_date_time(shown: datetime.datetime) -> DateTime:
    """Return *shown* in the date-time format of a sensor."""
    return DateTime(shown.year, shown.month, shown.day, shown.hour, shown.minute, shown.second)


def _shown(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC).replace(tzinfo=None)
