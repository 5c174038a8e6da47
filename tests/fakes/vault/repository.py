"""What the repositories in memory have in common."""

from tests.fakes.vault.tables import Tables
from trust.ports import Clock, Keys


class MemoryRepository:
    """
    One aggregate, seen from inside one transaction of a vault in memory.

    Locks are left out: one transaction runs at a time.

    Args:
        tables: Of the vault.

        keys: To sign, verify, seal and open with.

        clock: Tells what PostgreSQL calls clock_timestamp().
    """

    def __init__(self, tables: Tables, keys: Keys, clock: Clock) -> None:
        self._tables = tables
        self._keys = keys
        self._now = clock
