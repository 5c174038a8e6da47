"""
The ledger's file against the vault: whether each of them still knows every erasure.

Either may be lost alone: the file is deleted, cut short or replaced by an older copy; the vault
goes back in time. What the other one knows is then written again. Where neither is complete,
nothing is: the telemetry database, and a count beside the file, tell that there were more.
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
from trust.vault.records.erasures import Entry

_log: Final = Log("trust.erasure.ledger_copy")


class FileState(enum.StrEnum):
    """How the ledger's file is."""

    NOT_CONFIGURED = "not_configured"
    COMPLETE = "complete"
    MISSING = "missing"
    """It was there, or should be, and is not."""
    SHORT = "short"
    """It lacks erasures that the vault knows: cut off, or an older copy."""
    UNREADABLE = "unreadable"
    UNWRITABLE = "unwritable"
    """It lacks erasures, and they cannot be written: a full disk, or another's rights."""
    LOST = "lost"
    """There were erasures that neither the file nor the vault knows."""


class Copy(msgspec.Struct, frozen=True):
    """What a look at the file found."""

    state: FileState
    lacking: list[Entry]
    """That the vault knows, and the file does not."""


class LedgerCopy:
    """
    Compares, and repairs.

    Args:
        vault: With the ledger.

        stores: The telemetry database, which notes the numbers of the erasures that it has seen.

        file: The ledger's file; None where the settings name none.
    """

    def __init__(self, vault: Vault, stores: Stores, file: LedgerFile | None) -> None:
        self._vault = vault
        self._stores = stores
        self._file = file

    def look(self) -> Copy:
        """
        Compare the file with the vault, and change nothing.

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
            # Known by person, purpose and number: they can be shut out, each alone.
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
        Write into the file what it lacks, where the vault is complete.

        Returns:
            How the file was, and how it is now.

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
        Return if every erasure that there was is known; otherwise nothing may be cleared on it.

        Raises:
            LedgerLost: Not all are known.
            Unavailable: A database is out of reach.
        """
        _, state = self.repair()
        if state in (FileState.LOST, FileState.UNREADABLE):
            raise LedgerLost(_WHY[state])


_WHY: Final = {
    FileState.LOST: "there were erasures that neither the vault nor the ledger's file knows",
    FileState.UNREADABLE: "the ledger's file cannot be read",
}


def _key(entry: Entry) -> tuple[UUID, str | None, dt.datetime]:
    """Return what tells an erasure from others; a restored vault may give its number again."""
    return entry.erasure.subject, entry.erasure.purpose, entry.erasure.requested_at
