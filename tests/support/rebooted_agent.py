"""
An agent on a machine without a clock of its own: `FOLDER` and the arguments of the agent.

In the folder lie the id of the boot (`boot`), how far the machine's clock is off, in ms (`off`),
and the marker that somebody has set it (`synchronised`). This boot began when the process did.
"""

import sys
import time
from pathlib import Path

from edge_agent.cli import main
from edge_agent.sources import clock


class Timepieces:
    """What `edge_agent.sources.clock` asks for the time, as this machine would answer."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME
    monotonic = time.monotonic

    def __init__(self, folder: Path) -> None:
        self._off = folder / "off"
        self._began = time.monotonic()

    def time_ns(self) -> int:
        """Return what the machine's clock shows."""
        return time.time_ns() + int(self._off.read_text()) * 1_000_000

    def clock_gettime(self, _: int) -> float:
        """Return the seconds of this boot."""
        return 5.0 + time.monotonic() - self._began


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    setattr(clock, "time", Timepieces(folder))  # noqa: B010 - a module's name, for a type checker
    setattr(clock, "_BOOT_ID", folder / "boot")  # noqa: B010
    sys.exit(main(sys.argv[2:]))
