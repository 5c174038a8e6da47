"""
Comparison of the ledger's file with the vault: whether each of them knows every erasure.

Either may lose erasures alone: the file may be deleted, cut short or replaced by an older copy,
and the vault may be restored from a backup. Lost erasures are then copied from the other one. If
both lost the same erasure, no repair is possible: the telemetry database, and a count beside the
file, show that there were more erasures.
"""

import datetime as dt
import enum
from typing import Final
from uuid import UUID

import msgspec

from runtime.logs import Log
from trust.errors import KeyFileError, LedgerLost, Tampered
from trust.telemetry.erasure import Stores
from trust.vault.erasure_file import LedgerFile
from trust.vault.protocols import Vault
from trust.vault.records.erasures import LedgerEntry

_log: Final = Log("trust.erasure.ledger_copy")


class FileState(enum.StrEnum):
    """The state of the ledger's file."""

    NOT_CONFIGURED = "not_configured"
    COMPLETE = "complete"
    MISSING = "missing"
    """The file does not exist, and the vault knows erasures."""
    SHORT = "short"
    """The file lacks erasures that the vault knows: it was cut short, or is an older copy."""
    UNREADABLE = "unreadable"
    UNWRITABLE = "unwritable"
    """The file lacks erasures, and cannot be written: the disk is full, or access is denied."""
    LOST = "lost"
    """Some erasures are known neither to the file nor to the vault."""


class Copy(msgspec.Struct, frozen=True):
    """The result of a comparison of the file with the vault."""

    state: FileState
    lacking: list[LedgerEntry]
    """Erasures that the vault knows and the file lacks."""


class LedgerCopy:
    """
    Compares the ledger's file with the vault, and repairs the file.

    Args:
        vault: The vault, with the ledger.

        stores: The telemetry database, which notes the number of each erasure done in it.

        file: The ledger's file; None where the settings name none.
    """

    def __init__(self, vault: Vault, stores: Stores, file: LedgerFile | None) -> None:
        self._vault = vault
        self._stores = stores
        self._file = file

    def look(self) -> Copy:
        """
        Compare the file with the vault, without a change.

        Raises:
            Unavailable: A database is out of reach.
        """
        if self._file is None:
            return Copy(FileState.NOT_CONFIGURED, [])
        try:
            lines = list(self._file.entries())
            count = self._file.count()
        except KeyFileError:
            return Copy(FileState.UNREADABLE, [])
        with self._vault.transaction() as records:
            marks, tampered = records.erasures.marks()
            known = [records.erasures.entry(mark.erasure.number) for mark in marks]
            # Their person, purpose and number are known, so each of them can be shut out alone.
            unverified = [records.erasures.get(number) for number in tampered]
            kept = []
            for line in lines:
                try:
                    records.erasures.read(line)
                except Tampered:
                    continue
                kept.append(line)
        in_vault, in_file = {_key(entry) for entry in known}, {_key(entry) for entry in kept}
        in_vault |= {(e.subject, e.purpose, e.requested_at) for e in unverified}
        numbers = {entry.erasure.number for entry in [*known, *kept]} | {*tampered}
        if count > len(in_vault | in_file) or not self._stores.noted_erasures() <= numbers:
            return Copy(FileState.LOST, [])
        lacking = [entry for entry in known if _key(entry) not in in_file]
        if not lacking:
            return Copy(FileState.COMPLETE, [])
        is_there = self._file.exists()
        return Copy(FileState.SHORT if is_there else FileState.MISSING, lacking)

    def repair(self) -> tuple[FileState, FileState]:
        """
        Append to the file the erasures that it lacks and the vault knows.

        Returns:
            The state of the file before, and its state now.

        Raises:
            Unavailable: A database is out of reach.
        """
        found = self.look()
        if found.state in (FileState.NOT_CONFIGURED, FileState.COMPLETE):
            return found.state, found.state
        _log.error("ledger_file", state=str(found.state), lacking=len(found.lacking))
        if not found.lacking or self._file is None:
            return found.state, found.state
        try:
            for entry in found.lacking:
                self._file.append(entry)
        except KeyFileError:
            return found.state, FileState.UNWRITABLE
        return found.state, FileState.COMPLETE

    def ensure(self) -> None:
        """
        Repair the file, and check that every erasure is known.

        The restore guard clears a database only after this check.

        Raises:
            LedgerLost: Some erasures are unknown.
            Unavailable: A database is out of reach.
        """
        _, state = self.repair()
        if state in (FileState.LOST, FileState.UNREADABLE):
            raise LedgerLost(_WHY[state])


_WHY: Final = {
    FileState.LOST: "there were erasures that neither the vault nor the ledger's file knows",
    FileState.UNREADABLE: "the ledger's file cannot be read",
}


def _key(entry: LedgerEntry) -> tuple[UUID, str | None, dt.datetime]:
    """Return the identity of an erasure; its number is none, as a restored vault may reuse it."""
    return entry.erasure.subject, entry.erasure.purpose, entry.erasure.requested_at
