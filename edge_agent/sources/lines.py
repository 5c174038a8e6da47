"""Splits a stream of bytes into lines of limited length. Pure."""

MAX_LINE_BYTES = 4096


class LineSplitter:
    """
    Collects bytes until a line is complete.

    Never holds more than one line of `MAX_LINE_BYTES`: a longer one is skipped to its end.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._is_skipping = False
        self.skipped = 0
        """The number of lines that were too long."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that *data* completes, without their ends."""
        *lines, rest = (self._rest + data).split(b"\n")
        if self._is_skipping and lines:
            del lines[0]
            self._is_skipping = False
        elif self._is_skipping:
            rest = b""
        if len(rest) > MAX_LINE_BYTES:
            self._is_skipping, rest = True, b""
            self.skipped += 1
        self._rest = rest
        whole = [line for line in lines if len(line) <= MAX_LINE_BYTES]
        self.skipped += len(lines) - len(whole)
        return whole
