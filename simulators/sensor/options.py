"""The kinds of virtual sensors, and the options of a run. Pure."""

import enum

import msgspec


class SensorKind(enum.StrEnum):
    """The kinds of sensors."""

    STRAP = "strap"
    METER = "meter"
    CGM = "cgm"
    OXIMETER = "oximeter"


class SensorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of all sensors of a run."""

    seed: int = 1
    speed: float = 1.0
    """
    How many times faster than life. A CGM sensor names its records by the minute, and so runs only
    at 1.
    """
    history_h: float = 24.0
    """How many hours meters and CGM sensors have been in use already."""
    faults: dict[SensorKind, tuple[str, ...]] = {}
    name: str | None = None
    """The advertised name; None for the name of its kind."""
    passkey: int | None = None
    """The passkey that meters ask for; None if any central may read them."""
