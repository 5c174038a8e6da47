"""The base of the repositories in memory."""

from tests.fakes.vault.tables import Tables
from trust.ports import Clock, Keys


class MemoryRepository:
    """
    The records of one aggregate, within one transaction of a vault in memory.

    There are no locks: only one transaction runs at a time.

    Args:
        tables: The tables of the vault.

        keys: Keys to sign, verify, seal and open with.

        clock: Returns the time that PostgreSQL calls clock_timestamp().
    """

    def __init__(self, tables: Tables, keys: Keys, clock: Clock) -> None:
        self._tables = tables
        self._keys = keys
        self._now = clock
