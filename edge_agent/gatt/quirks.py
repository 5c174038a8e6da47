"""How one model of sensor departs from the specification; told by whoever enrols it."""

import enum

import msgspec


class CrcKind(enum.StrEnum):
    """The checks that sensors call E2E-CRC."""

    MCRF4XX = "mcrf4xx"
    """CGM Service 1.0.2, E2E-CRC: the one that the specification asks for."""
    CCITT_FALSE = "ccitt_false"
    """What one vendor's glucose sensors send in its place."""


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The departures that decoding or judging must know of; none by default."""

    crc: CrcKind = CrcKind.MCRF4XX
    e2e_crc: bool | None = None
    """
    Whether CGM values end in a check, as bit 12 of the CGM feature says.

    None: the length tells; then a check that is there is verified, and none is asked for.
    """
    warning_first: bool = False
    """The annunciation octets come as warning, cal/temp, status: firmware after the nRF5 SDK."""
    holds_ketones: bool = False
    """The meter stores ketones too: a record is glucose only if its context does not deny it."""
    contact_unreliable: bool = False
    """A strap that reports lost skin contact while it measures well."""


NO_QUIRKS = Quirks()
"""As the specification has it."""
