"""What a purge leaves beside the rows: pages in the write-ahead log, and damaged files."""

import sqlite3
from contextlib import suppress

from edge_agent.spool import database_file
from edge_agent.spool.opening import Opened


class Remains:
    """
    Erases what a purge left of envelopes outside the tables. Used in the spool's thread.

    Args:
        opened: The open file of the spool.
    """

    def __init__(self, opened: Opened) -> None:
        self._db = opened.connection
        self._folder = opened.folder
        self._has_repaired = opened.repair is not None
        self._has_log_to_empty = False
        self._has_damaged_to_erase = False

    @property
    def any_left(self) -> bool:
        """Whether something is left, because a reader or the disk prevents its erasure."""
        return self._has_log_to_empty or self._has_damaged_to_erase

    def erase(self, *, has_purged_envelopes: bool, has_purged_other: bool) -> None:
        """
        Erase what the purge that was just committed left, and what earlier ones did.

        A damaged file cannot be purged selectively, because its content is unknown. One that was
        set aside at this start stays for the first purge, so that an operator can see it, unless
        that purge removed envelopes.

        Args:
            has_purged_envelopes: Whether the purge removed an envelope.

            has_purged_other: Whether it removed slots or marks.
        """
        self._has_log_to_empty |= has_purged_envelopes or has_purged_other
        self._empty_log()
        if has_purged_envelopes or not self._has_repaired:
            self._has_damaged_to_erase = not database_file.erase_damaged(self._folder)
        self._has_repaired = False

    def _empty_log(self) -> None:
        """Empty the write-ahead log, if a purge requested it and no reader blocks it."""
        if not self._has_log_to_empty:
            return
        # The purge is committed. An error here only delays the checkpoint to the next call.
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA incremental_vacuum").fetchall()
            (is_busy, *_) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._has_log_to_empty = bool(is_busy)
