"""How one model of sensor departs from the specification, as the operator configures it."""

import enum
from typing import Annotated

import msgspec


class CrcKind(enum.StrEnum):
    """The checksums that sensors call E2E-CRC."""

    MCRF4XX = "mcrf4xx"
    """CRC-16/MCRF4XX, as CGM Service 1.0.2, E2E-CRC, specifies."""
    CCITT_FALSE = "ccitt_false"
    """CRC-16/CCITT-FALSE, which the glucose sensors of one vendor send instead."""


Bit = Annotated[int, msgspec.Meta(ge=4, le=7)]
"""A bit of the flags that the specification reserves; the lowest one of the octet is 0."""


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The departures that affect decoding or judging; none by default."""

    crc: CrcKind = CrcKind.MCRF4XX
    e2e_crc: bool | None = None
    """
    Whether CGM values end in a checksum, as bit 12 of the CGM Feature says.

    None: the length decides. A checksum that is present is verified, and a missing one accepted.
    """
    warning_first: bool = False
    """The annunciation octets come as warning, cal/temp, status: firmware after the nRF5 SDK."""
    holds_ketones: bool = False
    """The meter stores ketones too: a record is glucose only if its context does not deny it."""
    weight_stable_bit: Bit | None = None
    """A bit of the flags of a weight that is set once the weight has settled. Without it the
    value is what the scale shows while a person steps on."""
    weight_removed_bit: Bit | None = None
    """A bit of the flags of a weight that is set when the person has stepped off."""
    contact_unreliable: bool = False
    """A strap that reports lost skin contact while it measures well."""


NO_QUIRKS = Quirks()
"""A sensor that follows the specification."""
