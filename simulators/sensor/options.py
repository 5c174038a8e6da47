"""Which kinds of virtual sensors there are, and what a run wishes them to be. Pure."""

import enum

import msgspec


class SensorKind(enum.StrEnum):
    """The kinds of sensors."""

    STRAP = "strap"
    METER = "meter"
    CGM = "cgm"
    OXIMETER = "oximeter"


class SensorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the sensors shall be like."""

    seed: int = 1
    speed: float = 1.0
    """Times life. A CGM sensor names its records by the minute and cannot be faster than that."""
    history_h: float = 24.0
    """So long meters and CGM sensors have been in use already."""
    faults: dict[SensorKind, tuple[str, ...]] = {}
    name: str | None = None
    """What each calls itself; None for its kind."""
    passkey: int | None = None
    """What meters ask for; None lets everybody read them."""
