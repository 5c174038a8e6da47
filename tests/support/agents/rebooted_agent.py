"""
An agent on a machine without a battery-backed clock: `FOLDER` and the arguments of the agent.

The folder holds the id of the boot (`boot`), the error of the machine's clock in ms (`off`), and a
marker that the clock has been set (`synchronised`). The boot began when this process started.
"""

import sys
import time
from pathlib import Path

from edge_agent.cli import main
from edge_agent.sources import clock


class Timepieces:
    """The clocks that `edge_agent.sources.clock` reads, as this machine would show them."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME
    monotonic = time.monotonic

    def __init__(self, folder: Path) -> None:
        self._off = folder / "off"
        self._began = time.monotonic()

    def time_ns(self) -> int:
        """Return the time of the system clock."""
        return time.time_ns() + int(self._off.read_text()) * 1_000_000

    def clock_gettime(self, _: int) -> float:
        """Return the time since the boot, s."""
        return 5.0 + time.monotonic() - self._began


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    setattr(clock, "time", Timepieces(folder))  # noqa: B010 - a module's name, for a type checker
    setattr(clock, "_BOOT_ID", folder / "boot")  # noqa: B010
    sys.exit(main(sys.argv[2:]))
