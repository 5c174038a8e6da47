"""The clocks of this machine."""

import contextlib
import os
import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge_agent.lease.leases import write_durably
from edge_agent.values.timekeeping import Known, Timekeeper
from wire.lease import Lease

NAME: Final = "clock"
KEEP_EVERY_S: Final = 600.0
"""How much of a lease's time a power cut may lose, in ms."""
LOOK_EVERY_S: Final = 1.0
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
Belief = Literal["always", "synchronised"]
_decoder = msgspec.msgpack.Decoder(Known)


class Machine:
    """The clocks of the operating system."""

    def boot(self) -> str:
        """Return the id of this boot."""
        try:
            return _BOOT_ID.read_text(encoding="ascii").strip()
        except OSError:
            return os.urandom(16).hex()  # A new id each time: then nothing saved is reused.

    def second(self) -> float:
        """Return the age of this boot in seconds, time asleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall_ms(self) -> int:
        """Return the time of day, ms since 1970."""
        return time.time_ns() // 1_000_000


class SystemClock:
    """A `Clock` that trusts the machine's clock."""

    def now(self) -> float:
        return time.monotonic()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def is_dated(self) -> bool:
        return True

    def is_wrong(self) -> bool:
        return False


class KeptClock:
    """
    A `Clock` that knows when the machine's clock cannot be trusted.

    Args:
        folder: Where it saves what it knows.

        belief: `always` when the machine has a clock that survives a power cut; `synchronised`
            when it is to be believed only once *marker* is there.

        marker: A file that systemd-timesyncd makes once the clock is synchronised.

        machine: The clocks of the operating system.
    """

    def __init__(
        self, folder: Path, *, belief: Belief, marker: Path, machine: Machine | None = None
    ) -> None:
        self._path = folder / NAME
        self._machine = machine or Machine()
        self._belief = belief
        self._marker = marker
        self._keeper = Timekeeper(self._machine.boot(), _read(self._path))
        self._kept: Known | None = None
        self._looked_at = float("-inf")
        self.look()

    def now(self) -> float:
        return self._machine.second()

    def now_ms(self) -> int:
        return self._keeper.time_ms(now=self.now())

    def is_dated(self) -> bool:
        return self._keeper.is_dated

    def latest_ms(self) -> int:
        """Return the latest time ever believed under the lease in force, ms since 1970."""
        return self._keeper.latest_ms(now=self.now())

    def sure_ms(self) -> int:
        """Return a time that is certainly past, ms since 1970, from trust's signatures."""
        return self._keeper.sure_ms(now=self.now())

    def is_wrong(self) -> bool:
        return self._keeper.is_wrong

    def adopt(self, lease: Lease) -> None:
        """Note that *lease* is in force from now on."""
        self._keeper.adopt(lease, now=self.now())

    def look(self) -> int | None:
        """Read the machine's clock; return by how many ms the agent's clock was stepped."""
        now = self.now()
        if now - self._looked_at < LOOK_EVERY_S:
            return None
        self._looked_at = now
        is_synchronised = self._belief == "always" or self._marker.exists()
        was_dated, wall_ms = self._keeper.is_dated, self._machine.wall_ms()
        step_ms = self._keeper.look(wall_ms, is_synchronised=is_synchronised, now=now)
        return step_ms if was_dated else None

    def keep(self, *, is_last: bool = False) -> None:
        """Save what is known on disk, from time to time. A failing disk is ignored here."""
        known = self._keeper.known(now=self.now())
        if known is None or not (is_last or _is_news(known, self._kept)):
            return
        self._kept = known
        with contextlib.suppress(OSError):
            write_durably(self._path, msgspec.msgpack.encode(known))


def _is_news(known: Known, kept: Known | None) -> bool:
    """Tell whether *known* differs enough from *kept* to be saved."""
    if kept is None or known.lease != kept.lease:
        return True
    if kept.offset_ms is None and known.offset_ms is not None:
        return True
    moved_ms = known.second_ms - kept.second_ms, known.reached_ms - kept.reached_ms
    return max(moved_ms) >= KEEP_EVERY_S * 1000


def _read(path: Path) -> Known | None:
    try:
        return _decoder.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
