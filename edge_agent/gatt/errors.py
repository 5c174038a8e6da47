"""
Errors of the decoders.

* DecodeError           (the sensor's fault: count, drop, go on)
    * Truncated         (the value ends before the fields that it announces)
    * TrailingBytes     (it goes on after them, and its length is not free)
    * ReservedValue     (a field holds what its specification leaves for future use, or forbids)
    * BadCrc            (the end-to-end check of the value fails)

No message holds what a field held. `reason` is one of a closed set, fit for a metric's label.
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
        super().__init__(f"expected at least {expected} bytes, got {got}")
        self.expected = expected
        self.got = got


class TrailingBytes(DecodeError):
    """The value has more bytes than its characteristic allows."""

    reason = DecodeFault.TRAILING_BYTES

    def __init__(self, *, expected: int, got: int) -> None:
        super().__init__(f"expected {expected} bytes, got {got}")
        self.expected = expected
        self.got = got


class ReservedValue(DecodeError):
    """A field holds what its specification leaves for future use, or forbids here."""

    reason = DecodeFault.RESERVED_VALUE

    def __init__(self, field: str) -> None:
        super().__init__(f"the {field} is not one that the specification allows")
        self.field = field


class BadCrc(DecodeError):
    """The end-to-end check at the end of the value does not match its bytes."""

    reason = DecodeFault.BAD_CRC

    def __init__(self) -> None:
        super().__init__("the E2E-CRC does not match")
