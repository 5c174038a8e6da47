"""The faults of a virtual sensor, and the values at which they occur. Pure."""

import enum
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from simulators.errors import FaultError


class FaultKind(enum.StrEnum):
    """
    The faults of sensors.

    Faults up to FLOOD affect a value that is to be sent, those up to CLOCK_RESET a value that is
    measured, those up to ENDLESS a request for stored records, and DEAF a read. Each of the four
    is counted from 1 over the life of the sensor.
    """

    DROP = "drop"
    """The link breaks instead of the value; what was sent just before still arrives."""
    SILENCE = "silence"
    """The value is not sent, and is counted as sent."""
    MALFORMED = "malformed"
    """The value is cut off in the middle."""
    WRONG_CRC = "wrong-crc"
    """The last byte of the value is changed; if it is part of a checksum, the check fails."""
    REPEAT = "repeat"
    """The value is sent this many times; twice if no number is given."""
    OVERSIZED = "oversized"
    """The value is padded to all that the link can carry."""
    FLOOD = "flood"
    """Values come this many times a second; 1000 if no number is given."""
    WARM_UP = "warm-up"
    """The sensor reports that it is still settling."""
    KETONE = "ketone"
    """A meter stores ketones instead of glucose, and marks them so."""
    CLOCK_RESET = "clock-reset"
    """The battery was removed: clock, session and record numbers start again."""
    BUSY = "busy"
    """A request is refused with the ATT error 0xFE, procedure already in progress."""
    SERVER_BUSY = "server-busy"
    """A request is answered by the response 0x0A."""
    UNANSWERED = "unanswered"
    """A request is accepted, and nothing follows."""
    UNCOMPLETED = "uncompleted"
    """Half of the records come, and then the response 0x08, procedure not completed."""
    ENDLESS = "endless"
    """The records are sent repeatedly, until the link is dropped or the request is aborted."""
    DEAF = "deaf"
    """A read is never answered."""


_NUMBERS: Final = {FaultKind.REPEAT: 2, FaultKind.FLOOD: 1000}
_NOTATION: Final = re.compile(
    r"(?P<kind>[a-z-]+)(=(?P<number>\d{1,6}))?"
    r"(@(?P<first>\d{1,9})(?P<range>-(?P<last>\d{1,9})?)?(/(?P<every>\d{1,9}))?)?"
)


class Fault(msgspec.Struct, frozen=True):
    """A fault and the values at which it occurs: every *every*th from *first* to *last*."""

    kind: FaultKind
    first: int = 1
    last: int | None = None
    """None for no end."""
    every: int = 1
    number: int = 0

    def strikes(self, place: int) -> bool:
        """Tell whether the fault occurs at value number *place*."""
        return (
            place >= self.first
            and (self.last is None or place <= self.last)
            and (place - self.first) % self.every == 0
        )


def parse(text: str) -> Fault:
    """
    Read a fault such as `drop@40`, `repeat=3@10-20`, `silence@100-`, `drop@40-/40` or `busy`.

    A fault without a place occurs at every value; a fault with one number only at that value.

    Raises:
        FaultError: There is no such fault.
    """
    match = _NOTATION.fullmatch(text)
    if match is None or match["kind"] not in set(FaultKind):
        raise FaultError
    kind = FaultKind(match["kind"])
    number = int(match["number"]) if match["number"] else _NUMBERS.get(kind, 0)
    if (match["number"] is not None) != (kind in _NUMBERS and match["number"] is not None):
        raise FaultError
    first, every = int(match["first"] or 1), int(match["every"] or 1)
    last = int(match["last"]) if match["last"] else None
    if match["first"] and not match["range"]:
        last = first
    if first < 1 or every < 1 or (last is not None and last < first):
        raise FaultError
    if kind in _NUMBERS and number < 1:
        raise FaultError
    return Fault(kind, first, last, every, number)


class Faults:
    """
    The faults of one sensor, which may change while it runs.

    Args:
        faults: Each as a `Fault`, or as text for `parse`.
    """

    def __init__(self, *faults: Fault | str) -> None:
        self._faults: list[Fault] = []
        self.add(*faults)

    def add(self, *faults: Fault | str) -> None:
        """
        Make *faults* occur from now on.

        Raises:
            FaultError: One of the texts names no fault.
        """
        self._faults += [parse(f) if isinstance(f, str) else f for f in faults]

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def find(self, kind: FaultKind, place: int) -> Fault | None:
        """
        Return the first fault of *kind* that occurs at value number *place*; None if there is
        none.
        """
        return next((f for f in self._faults if f.kind is kind and f.strikes(place)), None)

    def strikes(self, kind: FaultKind, place: int) -> bool:
        """Tell whether a fault of *kind* occurs at value number *place*."""
        return self.find(kind, place) is not None

    def any_of(self, kinds: Iterable[FaultKind]) -> bool:
        """Tell whether there is a fault of *kinds* at all."""
        return any(fault.kind in set(kinds) for fault in self._faults)
