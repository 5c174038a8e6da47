"""The file beside the vault that records erasures, in case an older vault is restored."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec

from runtime import files
from runtime.causes.cause import Cause
from runtime.causes.explain import explain
from trust.errors import KeyFileError
from trust.vault.records.erasures import Erasure, LedgerEntry


class LedgerFile:
    """
    The second copy of the ledger of erasures: one JSON line for each, appended and synced.

    Args:
        path: A file outside both databases, and outside their backups.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, entry: LedgerEntry) -> None:
        """
        Add *entry*, unless the file has it already; on return the entry survives a power cut.

        Raises:
            KeyFileError: The file cannot be read or written.
        """
        # The number alone is not sufficient: a restored vault may have used it a second time.
        known = [line.erasure for line in self.entries()]
        if entry.erasure in known:
            self._note_count(len(set(map(_told, known))))
            return
        try:
            # Starts a new line, also after a line that a power cut has truncated.
            files.append(self._path, b"\n" + msgspec.json.encode(entry) + b"\n")
        except OSError as exc:
            raise self._refused(exc) from None
        self._note_count(len({*map(_told, known), _told(entry.erasure)}))

    def exists(self) -> bool:
        """Tell whether the file exists."""
        return self._path.exists()

    def count(self) -> int:
        """
        Return how many erasures the file has had, as the file `<name>.count` beside it says.

        Returns:
            The greatest number that was recorded; 0 if there is no such file or it has no number.

        Raises:
            KeyFileError: The count cannot be read.
        """
        try:
            text = self._beside().read_text(encoding="ascii")
        except FileNotFoundError:
            return 0
        except (OSError, UnicodeDecodeError) as exc:
            raise self._refused(exc) from None
        return int(text) if text.strip().isdecimal() else 0

    def _note_count(self, count: int) -> None:
        if count > self.count():
            try:
                files.write(self._beside(), f"{count}\n".encode(), mode=files.SECRET, replace=True)
            except OSError as exc:
                raise self._refused(exc) from None

    def _beside(self) -> Path:
        return self._path.with_name(f"{self._path.name}.count")

    def entries(self) -> Iterator[LedgerEntry]:
        """
        Yield the entries of the file; lines that a power cut has truncated are omitted.

        Raises:
            KeyFileError: The file cannot be read.
        """
        try:
            lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        except OSError as exc:
            raise self._refused(exc) from None
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=LedgerEntry)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue

    def readable(self) -> Iterator[LedgerEntry]:
        """Yield the entries as `entries` does, and end without an error if it cannot be read."""
        try:
            yield from self.entries()
        except KeyFileError:
            return

    def _refused(self, exc: Exception) -> KeyFileError:
        cause = explain(exc) or Cause("it is damaged", "Restore it from its backup.")
        return KeyFileError(
            self._path.name, f"the ledger cannot be used: {cause.text}", cause.remedy
        )


def _told(erasure: Erasure) -> tuple[UUID, str | None, dt.datetime]:
    return erasure.subject, erasure.purpose, erasure.requested_at
