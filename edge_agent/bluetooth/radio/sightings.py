"""Who is in reach, as a scan shows it to a person. Pure, and kept in memory alone."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from edge_agent.gatt.registry import uuid_of

MAX_SIGHTINGS: Final = 200
"""In a busy street thousands pass by: the one heard longest ago makes room."""
MAX_NAME: Final = 24
_NAMES: Final = {
    0x180D: "heart rate",
    0x1808: "glucose",
    0x181F: "CGM",
    0x1822: "pulse oximeter",
    0x1810: "blood pressure",
    0x1809: "thermometer",
    0x181D: "weight scale",
}
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {uuid_of(number): name for number, name in _NAMES.items()}
)
"""What we can read, by the UUID of the service that a sensor advertises."""


class Sighting(msgspec.Struct, frozen=True):
    """A device that was heard."""

    address: str
    name: str
    """What it calls itself, fit to be shown: it may be anything."""
    kinds: tuple[str, ...]
    """What we could read from it."""
    rssi_dbm: int
    """How loud it is: -30 beside the antenna, -90 at the edge of reach."""
    heard: int
    """How often."""
    heard_at: float


def clean(name: str | None) -> str:
    """Return *name* without what a terminal would obey, and not longer than a column."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name or "")
    return shown if len(shown) <= MAX_NAME else shown[: MAX_NAME - 1] + "…"


class Sightings:
    """
    The devices that a scan has heard.

    Args:
        everything: Whether to keep those too that we could not read.
    """

    def __init__(self, *, everything: bool = False) -> None:
        self._everything = everything
        self._seen: dict[str, Sighting] = {}

    def hear(
        self,
        address: str,
        name: str | None,
        services: Iterable[str],
        rssi_dbm: int,
        *,
        now: float,
    ) -> None:
        """Note an advertisement."""
        kinds = tuple(sorted({KINDS[s.lower()] for s in services if s.lower() in KINDS}))
        known = self._seen.pop(address, None)
        if known is None and not kinds and not self._everything:
            return
        shown = clean(name) or (known.name if known is not None else "")
        kinds = kinds or (known.kinds if known is not None else ())
        heard = 1 if known is None else known.heard + 1
        self._seen[address] = Sighting(address, shown, kinds, rssi_dbm, heard, now)
        if len(self._seen) > MAX_SIGHTINGS:
            # What was heard last stands last.
            del self._seen[next(iter(self._seen))]

    def all(self) -> Collection[Sighting]:
        """Return them, the loudest first; each in the same place as long as that is so."""
        return sorted(self._seen.values(), key=lambda s: (-(s.rssi_dbm // 10), s.address))
