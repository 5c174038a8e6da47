"""The attributes that a sensor serves: services, characteristics and refusals. Without Bumble."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from simulators.sensor.device.link import SensorLink

PROCEDURE_IN_PROGRESS: Final = 0xFE
"""Core specification, volume 3, part F, 3.4.1.1 and the supplement: error codes of ATT."""
CCCD_IMPROPERLY_CONFIGURED: Final = 0xFD
WRITE_NOT_PERMITTED: Final = 0x03


class Refused(Exception):
    """A sensor refuses a read or a write, with an error code of ATT."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ATT error 0x{code:02X}")
        self.code = code


class Characteristic(msgspec.Struct, frozen=True, kw_only=True):
    """A characteristic that a sensor serves."""

    number: int
    """The assigned 16-bit number."""
    read: Callable[[], bytes] | None = None
    write: "Callable[[SensorLink, bytes], None] | None" = None
    """May raise `Refused`."""
    notifies: bool = False
    indicates: bool = False
    is_secret: bool = False
    """Whether only a paired central may read and write it."""


class Service(msgspec.Struct, frozen=True):
    """A service that a sensor serves."""

    number: int
    characteristics: tuple[Characteristic, ...]
