"""What the user says about files that do not say it themselves."""

import msgspec

from recordings.parsing.clocks import DateOrder
from recordings.parsing.zones import IanaZone


class ReadOptions(msgspec.Struct, frozen=True):
    """Answers for files that leave a question open; None leaves it open."""

    date_order: DateOrder | None = None
    """For files whose dates can be read in two ways."""
    zone: IanaZone | None = None
    """For files with local times without a zone."""
    format: str | None = None
    """For files whose form does not tell the format."""
    glucose: str | None = None
    """The quantity of glucose values in files that do not say where they were measured."""


NO_OPTIONS = ReadOptions()
