"""
Errors of files of readings.

* RecordingError       (the file's: leave that file out, name it with its reason, go on)
    * FileRefused      (the whole file, for a reason of `FileReason`)
    * Unreadable       (the file is damaged, or may not be read)
    * NothingInIt      (the file has the right form and no reading)
"""

import enum


class FileReason(enum.StrEnum):
    """Why no reading of a file is read."""

    UNKNOWN_FORMAT = "unknown_format"
    """No format that is known has this form."""
    FORMAT_NOT_SAID = "format_not_said"
    """A column of whole numbers: `--format` says what the numbers are."""
    UNIT_NOT_SAID = "unit_not_said"
    """No heading says in which unit the values are, or the unit is not known."""
    DATE_ORDER_NOT_SAID = "date_order_not_said"
    """Each date can be read in two ways: `--date-order` says which."""
    DATE_ORDER_MIXED = "date_order_mixed"
    """One date of the file can only be day first, another one only month first."""
    NOT_TEXT = "not_text"
    """Bytes that are no text in an encoding that is known."""
    LINE_TOO_LONG = "line_too_long"
    TOO_LARGE = "too_large"
    """More bytes, lines or readings than a recording of years has."""
    MALFORMED = "malformed"
    """The JSON or XML breaks its grammar, is nested too deep, or declares entities."""
    LIBRARY_MISSING = "library_missing"
    """The format needs a library that is not installed: the extra `files`."""
    NO_READINGS = "no_readings"
    DAMAGED = "damaged"
    """A compressed file or archive that ends early or fails its checksum."""
    NOT_PERMITTED = "not_permitted"
    SYMBOLIC_LINK = "symbolic_link"
    """Links below a folder are not followed."""
    NOT_A_FILE = "not_a_file"
    """A device, pipe or socket."""
    TOO_MANY_FILES = "too_many_files"


_REMEDIES = {
    FileReason.FORMAT_NOT_SAID: "Name its format with --format.",
    FileReason.DATE_ORDER_NOT_SAID: "Say which with --date-order day-first or month-first.",
    FileReason.LIBRARY_MISSING: "Install vitalveil[files].",
}


class RecordingError(Exception):
    """A file of readings cannot be used."""

    reason: FileReason


class FileRefused(RecordingError):
    """
    No reading of a file is read.

    Args:
        reason: Why.

        line: The line that shows it, from 1; None if no single line does.
    """

    def __init__(self, reason: FileReason, *, line: int | None = None) -> None:
        where = f" in line {line}" if line is not None else ""
        remedy = f" {_REMEDIES[reason]}" if reason in _REMEDIES else ""
        super().__init__(f"the file cannot be read ({reason}{where}).{remedy}")
        self.reason = reason
        self.line = line

    @property
    def remedy(self) -> str | None:
        """What the user can do, or None."""
        return _REMEDIES.get(self.reason)


class Unreadable(RecordingError):
    """A file ends early, is damaged, or may not be read."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"a recording cannot be read ({cause})")
        self.cause = cause
        self.reason = (
            FileReason.NOT_PERMITTED if cause == "PermissionError" else FileReason.DAMAGED
        )


class NothingInIt(RecordingError):
    """A recording has the right form, but holds no measurement."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"a recording of kind {kind} holds no measurement")
        self.kind = kind
        self.reason = FileReason.NO_READINGS
