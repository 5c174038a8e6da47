"""Access and portability: exports the data of a person from both databases, for them alone."""

import datetime as dt
import uuid
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec

from formats.access.document import Notice
from formats.blood_pressure import PARTS
from formats.observed import Aggregated, Observed, aggregated_from_row, from_row
from formats.package import Contents
from formats.person import Controller, Person
from runtime.version import VERSION
from trust.domain import canonical
from trust.domain.due_dates import RequestOutcome
from trust.domain.units import Cause, UnitKind
from trust.errors import KeyFileError, Refused, Unusable
from trust.ports import Clock, Keys
from trust.rights import export_files
from trust.rights.access import Told, access_of, unsaid
from trust.rights.export_files import Lock, Seal, WrittenExport
from trust.rights.gathering import Gathered, gather
from trust.telemetry.permissions import Telemetry
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault
from trust.vault.records.requests import ExportRecord


class ReadyExport(msgspec.Struct, frozen=True):
    """An export that is ready to be handed over."""

    export: UUID
    file: Path
    observations: int
    expires_at: dt.datetime
    unsaid: list[str]
    """The keys of the section [notice] of the settings that the person is not told."""


class Exporter:
    """
    Writes exports, and deletes them when they expire.

    Args:
        vault: The vault with identities and decisions.

        telemetry: The database with the observations.

        keys: The keys of the pseudonyms.

        controller: The name of the controller (GDPR art. 4(7)), under which pseudonyms are made.

        notice: What the controller tells people.

        clock: Tells the time.
    """

    def __init__(
        self,
        vault: Vault,
        telemetry: Telemetry,
        keys: Keys,
        *,
        controller: str,
        notice: Notice,
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._telemetry = telemetry
        self._keys = keys
        self._controller = controller
        self._notice = notice
        self._clock = clock

    def export(
        self,
        subject: UUID,
        file: Path,
        passphrase: str,
        *,
        available_for: dt.timedelta,
        request: UUID | None = None,
        seal: Seal = Seal.ZIP,
    ) -> ReadyExport:
        """
        Write all data about *subject* into *file*, encrypted with *passphrase*.

        Raises:
            Refused: There is no such subject or open request, or the passphrase is too weak.
            KeyFileError: The file exists already, or cannot be written.
            Unavailable: A database does not answer; no file was left.
        """
        made_at = self._clock()
        export = uuid.uuid4()
        lock = Lock(passphrase, seal)
        export_files.check_passphrase(lock)
        with self._vault.transaction() as records:
            if request is not None and records.requests.get(request).subject != subject:
                raise Refused("that --request is another person's")
            gathered = gather(
                records, subject, keys=self._keys, controller=self._controller, at=made_at
            )
        written = self._write(gathered, file, export, lock, made_at=made_at)
        expires_at = made_at + available_for
        made = ExportRecord(
            export,
            subject,
            request,
            str(file.absolute()),
            written.sha256,
            written.observations,
            expires_at,
        )
        try:
            # The record comes before the file: a file without a record would never be deleted.
            with self._vault.transaction() as records:
                # An erasure that runs at the same time has not seen this file.
                records.subjects.hold(subject)
                records.exports.add(made)
                if request is not None:
                    records.requests.close(request, RequestOutcome.GRANTED)
        except BaseException:
            # After any error no file may stay without a record; the error is raised again.
            written.temporary.unlink(missing_ok=True)
            raise
        written.temporary.replace(file)
        missing = unsaid(self._notice, gathered.told.policies)
        return ReadyExport(export, file, written.observations, expires_at, missing)

    def _write(
        self, gathered: Gathered, file: Path, export: UUID, lock: Lock, *, made_at: dt.datetime
    ) -> WrittenExport:
        told, notice = gathered.told, self._notice
        with self._telemetry.stored_of(gathered.pseudonyms) as stored:

            def observed() -> Iterator[Observed]:
                found = (from_row(*row) for row in stored.observations(together=PARTS))
                return (one for one in found if one is not None)

            def aggregated() -> Iterator[Aggregated]:
                found = (aggregated_from_row(*row) for row in stored.aggregates())
                return (one for one in found if one is not None)

            contents = Contents(
                Person(
                    told.subject,
                    tuple(answer.consent() for answer in told.answers),
                    Controller(notice.controller, notice.contact),
                ),
                access_of(told, notice, made_at=made_at, version=VERSION),
                _documents(told),
                observed,
                aggregated,
                made_at,
                VERSION,
            )
            return export_files.write(file, export, contents, lock)

    def purge(self) -> int:
        """
        Delete the expired exports; return their number.

        Raises:
            KeyFileError: A file cannot be deleted, or is no export; all others are deleted.
            VaultUnavailable: Some exports may be deleted; the caller must try again.
        """
        deleted, left = self.purge_each()
        for problem in left.values():
            raise (
                problem if isinstance(problem, KeyFileError) else Unusable("a record of an export")
            )
        return deleted

    def purge_each(self) -> tuple[int, dict[UUID, KeyFileError | Cause]]:
        """
        Delete the expired exports; return their number, and the problem of each failed export.

        Raises:
            VaultUnavailable: Some exports may be deleted; the caller must try again.
        """
        with self._vault.transaction() as records:
            over = records.exports.expired(at=self._clock())
        left: dict[UUID, KeyFileError | Cause] = {}
        for export, file in over:
            # An export that fails does not prevent the others from being deleted in time.
            problem = attempt(
                lambda e=export, f=file: self._discard(e, Path(f)),  # type: ignore[misc]
                kind=UnitKind.EXPORT,
            )
            if problem is not None:
                left[export] = problem
        return len(over) - len(left), left

    def _discard(self, export: UUID, file: Path) -> KeyFileError | None:
        try:
            export_files.discard(file)
        except KeyFileError as exc:
            return exc
        with self._vault.transaction() as records:
            records.exports.mark_deleted(export)
        return None


def _documents(told: Told) -> dict[str, bytes]:
    return {
        "identity.json": canonical.encode(told.identity),
        "decisions.json": msgspec.json.encode([answer.document() for answer in told.answers]),
    }
