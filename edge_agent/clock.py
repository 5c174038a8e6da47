"""The clocks of this machine."""

import contextlib
import os
import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge_agent.leases import write_durably
from edge_agent.timekeeping import Known, Timekeeper

NAME: Final = "clock"
KEEP_EVERY_S: Final = 600.0
LOOK_EVERY_S: Final = 1.0
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
Belief = Literal["always", "synchronised"]
_decoder = msgspec.msgpack.Decoder(Known)


class SystemClock:
    """A `Clock` that believes in this machine's."""

    def now(self) -> float:
        return time.monotonic()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def is_dated(self) -> bool:
        return True

    def is_behind(self) -> bool:
        return False


class KeptClock:
    """
    A `Clock` that knows when not to believe in this machine's.

    Args:
        folder: Where it keeps what it knew last.

        belief: `always` when the machine has a clock that survives a power cut; `synchronised`
            when it is to be believed only once *marker* is there.

        marker: Made by systemd-timesyncd once it has the time.
    """

    def __init__(self, folder: Path, *, belief: Belief, marker: Path) -> None:
        self._path = folder / NAME
        self._belief = belief
        self._marker = marker
        self._keeper = Timekeeper(_boot_id(), _read(self._path))
        self._kept_at = float("-inf")
        self._looked_at = float("-inf")
        self.look()

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now_ms(self) -> int:
        return self._keeper.time_ms(now=self.now())

    def is_dated(self) -> bool:
        return self._keeper.is_dated

    def is_behind(self) -> bool:
        return self._keeper.is_behind

    def is_past(self, at_ms: int) -> None:
        """Note that *at_ms* is past: trust has signed it."""
        self._keeper.is_past(at_ms)

    def look(self) -> int | None:
        """Look at the machine's clock; return by how many ms ours stepped, if it did."""
        now = self.now()
        if now - self._looked_at < LOOK_EVERY_S:
            return None
        self._looked_at = now
        wall_ms = time.time_ns() // 1_000_000
        is_synchronised = self._belief == "always" or self._marker.exists()
        was_dated = self._keeper.is_dated
        step_ms = self._keeper.look(wall_ms, is_synchronised=is_synchronised, now=now)
        if self._keeper.is_dated and not was_dated:
            self._kept_at = float("-inf")
        return step_ms if was_dated else None

    def keep(self, *, is_last: bool = False) -> None:
        """Keep on disk what is known, now and then. A disk that refuses costs nothing but that."""
        known, now = self._keeper.known(), self.now()
        if known is None or (now - self._kept_at < KEEP_EVERY_S and not is_last):
            return
        self._kept_at = now
        with contextlib.suppress(OSError):
            write_durably(self._path, msgspec.msgpack.encode(known))


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return os.urandom(16).hex()  # Another one each time: nothing is taken over then.


def _read(path: Path) -> Known | None:
    try:
        return _decoder.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
