"""The devices in reach, as a scan shows them to a person. Pure; kept in memory only."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from edge_agent.gatt.registry import uuid_of

MAX_SIGHTINGS: Final = 200
"""The most devices to keep: thousands pass in a busy street. The one heard longest ago goes."""
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
"""The kinds of sensor that the agent can read, by the UUID of the advertised service."""


class Sighting(msgspec.Struct, frozen=True):
    """A device that was heard."""

    address: str
    name: str
    """The name that it advertises, without control characters."""
    kinds: tuple[str, ...]
    """The kinds of measurement that the agent can read from it."""
    rssi_dbm: int
    """The signal strength: about -30 dBm beside the antenna, -90 dBm at the edge of reach."""
    heard: int
    """The number of advertisements."""
    heard_at: float


def clean(name: str | None) -> str:
    """Return *name* without control characters, cut to the width of a column."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name or "")
    return shown if len(shown) <= MAX_NAME else shown[: MAX_NAME - 1] + "…"


class Sightings:
    """
    The devices that a scan has heard.

    Args:
        everything: Whether to keep also devices that the agent cannot read.
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
            # The device heard last is moved to the end.
            del self._seen[next(iter(self._seen))]

    def all(self) -> Collection[Sighting]:
        """Return the devices, the strongest signal first, in a stable order."""
        return sorted(self._seen.values(), key=lambda s: (-(s.rssi_dbm // 10), s.address))
