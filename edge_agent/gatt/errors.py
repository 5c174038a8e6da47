"""
Errors of the decoders.

* DecodeError           (sensor: count it, drop the value, continue)
    * Truncated         (the value ends before the fields that it announces)
    * TrailingBytes     (there are bytes after the last field, and the length is fixed)
    * ReservedValue     (a field holds what its specification reserves or forbids)
    * BadCrc            (the end-to-end check of the value fails)

No message holds the content of a field. `reason` is a label of a metric.
"""

from typing import ClassVar

from wire.refusals import DecodeFault


class DecodeError(Exception):
    """The bytes are not a value of their characteristic."""

    reason: ClassVar[DecodeFault] = DecodeFault.MALFORMED


class Truncated(DecodeError):
    """The value ends before the fields that it announces."""

    reason = DecodeFault.TRUNCATED

    def __init__(self, *, expected: int, got: int) -> None:
        super().__init__(f"the value is too short: expected at least {expected} bytes, got {got}")
        self.expected = expected
        self.got = got


class TrailingBytes(DecodeError):
    """The value has more bytes than its characteristic allows."""

    reason = DecodeFault.TRAILING_BYTES

    def __init__(self, *, expected: int, got: int) -> None:
        super().__init__(f"the value is too long: expected {expected} bytes, got {got}")
        self.expected = expected
        self.got = got


class ReservedValue(DecodeError):
    """A field holds what its specification leaves for future use, or forbids here."""

    reason = DecodeFault.RESERVED_VALUE

    def __init__(self, field: str) -> None:
        super().__init__(
            f"the field {field} holds a number that the specification reserves or forbids"
        )
        self.field = field


class BadCrc(DecodeError):
    """The end-to-end check at the end of the value does not match its bytes."""

    reason = DecodeFault.BAD_CRC

    def __init__(self) -> None:
        super().__init__("the E2E-CRC at the end of the value does not match its bytes")
