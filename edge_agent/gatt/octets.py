"""A cursor over the bytes of a value. Reading past the end always raises `Truncated`."""

from edge_agent.gatt.errors import TrailingBytes, Truncated
from edge_agent.gatt.ieee11073 import Number, from_float, from_sfloat

Value = bytes | bytearray
"""The bytes of a characteristic, as a Bluetooth stack delivers them."""


class Octets:
    """
    A cursor over a value. All fields are little-endian, as GATT specifies.

    Each method reads one field and moves behind it.

    Raises:
        Truncated: From each method, if the value ends before the field does.
    """

    __slots__ = ("_at", "_value")

    def __init__(self, value: Value, at: int = 0) -> None:
        self._value = value
        self._at = at

    @property
    def at(self) -> int:
        """How many bytes were read."""
        return self._at

    @property
    def left(self) -> int:
        """How many bytes are left to read."""
        return len(self._value) - self._at

    def unsigned(self, size: int) -> int:
        """Read *size* bytes as an unsigned number."""
        start = self._at
        end = start + size
        if end > len(self._value):
            raise Truncated(expected=end, got=len(self._value))
        self._at = end
        return int.from_bytes(self._value[start:end], "little")

    def signed(self, size: int) -> int:
        """Read *size* bytes as a two's complement number."""
        number = self.unsigned(size)
        return number - (1 << 8 * size) if number >> (8 * size - 1) else number

    def uint8(self) -> int:
        """Read one byte as an unsigned number."""
        return self.unsigned(1)

    def uint16(self) -> int:
        """Read two bytes as an unsigned number."""
        return self.unsigned(2)

    def sfloat(self) -> Number:
        """Read two bytes as an IEEE 11073-20601 SFLOAT."""
        return from_sfloat(self.unsigned(2))

    def float32(self) -> Number:
        """Read four bytes as an IEEE 11073-20601 FLOAT."""
        return from_float(self.unsigned(4))

    def end(self) -> None:
        """
        Require that the value ends here.

        Raises:
            TrailingBytes: There are more bytes.
        """
        if self.left:
            raise TrailingBytes(expected=self._at, got=len(self._value))


def nibbles(octet: int) -> tuple[int, int]:
    """Return the low and the high half of *octet*, in this order."""
    return octet & 0x0F, octet >> 4
