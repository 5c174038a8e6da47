"""The bytes of a value, read from the front: running out of them is always `Truncated`."""

from edge_agent.gatt.errors import TrailingBytes, Truncated
from edge_agent.gatt.ieee11073 import Number, from_float, from_sfloat

Value = bytes | bytearray
"""What a Bluetooth stack hands over."""


class Octets:
    """
    A cursor over a value. Little-endian throughout, as all of GATT is.

    Each method takes a field and moves behind it. It does not know what the fields mean.

    Raises:
        Truncated: From each method, when the field is not wholly there.
    """

    __slots__ = ("_at", "_value")

    def __init__(self, value: Value, at: int = 0) -> None:
        self._value = value
        self._at = at

    @property
    def at(self) -> int:
        """How many bytes were taken."""
        return self._at

    @property
    def left(self) -> int:
        """How many bytes were not taken yet."""
        return len(self._value) - self._at

    def unsigned(self, size: int) -> int:
        """Take *size* bytes as an unsigned number."""
        start = self._at
        end = start + size
        if end > len(self._value):
            raise Truncated(expected=end, got=len(self._value))
        self._at = end
        return int.from_bytes(self._value[start:end], "little")

    def signed(self, size: int) -> int:
        """Take *size* bytes as a signed number."""
        number = self.unsigned(size)
        return number - (1 << 8 * size) if number >> (8 * size - 1) else number

    def uint8(self) -> int:
        """Take one byte."""
        return self.unsigned(1)

    def uint16(self) -> int:
        """Take two bytes."""
        return self.unsigned(2)

    def sfloat(self) -> Number:
        """Take two bytes as an SFLOAT."""
        return from_sfloat(self.unsigned(2))

    def float32(self) -> Number:
        """Take four bytes as a FLOAT."""
        return from_float(self.unsigned(4))

    def end(self) -> None:
        """
        Tell that the value must end here.

        Raises:
            TrailingBytes: It does not.
        """
        if self.left:
            raise TrailingBytes(expected=self._at, got=len(self._value))


def nibbles(octet: int) -> tuple[int, int]:
    """Return the low and the high half of *octet*, in this order."""
    return octet & 0x0F, octet >> 4
