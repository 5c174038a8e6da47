"""What a virtual sensor does wrong, and at which of its values. Pure."""

import enum
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from simulators.errors import FaultError


class FaultKind(enum.StrEnum):
    """
    The faults of sensors.

    Those up to FLOOD strike a value that is to be sent, those up to CLOCK_RESET one that is
    measured, those up to ENDLESS a request for stored records, and DEAF a read. Each of the four
    is counted from 1 over the life of the sensor.
    """

    DROP = "drop"
    """The link breaks in place of the value; what was sent just before still arrives."""
    SILENCE = "silence"
    """The value is not sent, and counts as sent."""
    MALFORMED = "malformed"
    """The value is cut off in its middle."""
    WRONG_CRC = "wrong-crc"
    """The last byte of the value is another; where it ends in a check, the check fails."""
    REPEAT = "repeat"
    """The value is sent as often as the number says; 2 if it says nothing."""
    OVERSIZED = "oversized"
    """The value fills all that the link can carry."""
    FLOOD = "flood"
    """Values come so many times a second; 1000 if the number says nothing."""
    WARM_UP = "warm-up"
    """The sensor says that it has not settled."""
    KETONE = "ketone"
    """A meter stores ketones in place of glucose, and marks them so."""
    CLOCK_RESET = "clock-reset"
    """The battery was out: the clock starts anew, and with it a session and a memory's count."""
    BUSY = "busy"
    """A request is refused with the ATT error 0xFE, procedure already in progress."""
    SERVER_BUSY = "server-busy"
    """A request is answered by the response 0x0A."""
    UNANSWERED = "unanswered"
    """A request is accepted, and nothing ever follows."""
    UNCOMPLETED = "uncompleted"
    """Half of the records come, and then the response 0x08, procedure not completed."""
    ENDLESS = "endless"
    """The records come over and over again, until the link is dropped or the request aborted."""
    DEAF = "deaf"
    """A read is never answered."""


_NUMBERS: Final = {FaultKind.REPEAT: 2, FaultKind.FLOOD: 1000}
_NOTATION: Final = re.compile(
    r"(?P<kind>[a-z-]+)(=(?P<number>\d{1,6}))?"
    r"(@(?P<first>\d{1,9})(?P<range>-(?P<last>\d{1,9})?)?(/(?P<every>\d{1,9}))?)?"
)


class Fault(msgspec.Struct, frozen=True):
    """A fault and where it strikes: from *first* to *last*, each *every*th."""

    kind: FaultKind
    first: int = 1
    last: int | None = None
    """None: for ever."""
    every: int = 1
    number: int = 0

    def strikes(self, place: int) -> bool:
        """Tell whether it strikes at *place*."""
        return (
            place >= self.first
            and (self.last is None or place <= self.last)
            and (place - self.first) % self.every == 0
        )


def parse(text: str) -> Fault:
    """
    Read a fault: `drop@40`, `repeat=3@10-20`, `silence@100-`, `drop@40-/40`, `busy`.

    Without a place it strikes always; with one number there, only then.

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
        faults: Each as a `Fault`, or as `parse` reads it.
    """

    def __init__(self, *faults: Fault | str) -> None:
        self._faults: list[Fault] = []
        self.add(*faults)

    def add(self, *faults: Fault | str) -> None:
        """
        Let *faults* strike from now on.

        Raises:
            FaultError: One of them is no fault.
        """
        self._faults += [parse(f) if isinstance(f, str) else f for f in faults]

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    def find(self, kind: FaultKind, place: int) -> Fault | None:
        """Return the first fault of *kind* that strikes at *place*."""
        return next((f for f in self._faults if f.kind is kind and f.strikes(place)), None)

    def strikes(self, kind: FaultKind, place: int) -> bool:
        """Tell whether a fault of *kind* strikes at *place*."""
        return self.find(kind, place) is not None

    def any_of(self, kinds: Iterable[FaultKind]) -> bool:
        """Tell whether there is a fault of *kinds* at all."""
        return any(fault.kind in set(kinds) for fault in self._faults)
