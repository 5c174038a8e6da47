"""Access and portability: exports the data of a person from both databases, for them alone."""

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import msgspec

from formats.blood_pressure import PARTS
from formats.observed import Observed, from_row
from formats.package import Contents
from formats.person import Controller, Person
from runtime.version import VERSION
from trust.domain import canonical
from trust.domain.due_dates import RequestOutcome
from trust.domain.pseudonyms import Pseudonym
from trust.domain.subjects import PersonalDetails
from trust.domain.units import Cause, UnitKind
from trust.errors import KeyFileError, Refused, Unusable
from trust.keys.epochs import pseudonyms_of
from trust.ports import Clock, Keys
from trust.rights import export_files
from trust.rights.answers import Answered, answered
from trust.telemetry.permissions import Telemetry
from trust.vault.isolation import attempt
from trust.vault.protocols import Records, Vault
from trust.vault.records.requests import ExportRecord


class ReadyExport(msgspec.Struct, frozen=True):
    """An export that is ready to be handed over."""

    export: UUID
    file: Path
    observations: int
    expires_at: dt.datetime


class Exporter:
    """
    Writes exports, and deletes them when they expire.

    Args:
        vault: The vault with identities and decisions.

        telemetry: The database with the observations.

        keys: The keys of the pseudonyms.

        controller: The name of the controller (GDPR art. 4(7)).

        clock: Tells the time.
    """

    def __init__(
        self, vault: Vault, telemetry: Telemetry, keys: Keys, *, controller: str, clock: Clock
    ) -> None:
        self._vault = vault
        self._telemetry = telemetry
        self._keys = keys
        self._controller = controller
        self._clock = clock

    def export(
        self,
        subject: UUID,
        file: Path,
        passphrase: str,
        *,
        available_for: dt.timedelta,
        request: UUID | None = None,
    ) -> ReadyExport:
        """
        Write all data about *subject* into *file*, encrypted with *passphrase*.

        Raises:
            Refused: There is no such subject, or no such open request.
            KeyFileError: The file exists already, or cannot be written.
            Unavailable: A database does not answer; no file was left.
        """
        made_at = self._clock()
        export = uuid.uuid4()
        with self._vault.transaction() as records:
            identity = records.subjects.personal_details(subject)
            if request is not None and records.requests.get(request).subject != subject:
                raise Refused("that --request is another person's")
            names = records.decisions.purposes_of(subject)
            chains = [records.decisions.chain(subject, name) for name in names]
            recorded_at = records.decisions.recorded_at(subject)
            pseudonyms = list(self._pseudonyms(records, subject, names))
        with self._telemetry.observations_of(pseudonyms, together=PARTS) as read:

            def observed() -> Iterator[Observed]:
                for row in read():
                    one = from_row(*row)
                    if one is not None:
                        yield one

            answers = [one for chain in chains for one in answered(chain, recorded_at, at=made_at)]
            person = Person(
                subject,
                tuple(answer.consent() for answer in answers),
                Controller(self._controller),
            )
            documents = _documents(identity, answers)
            contents = Contents(person, documents, observed, made_at, VERSION)
            written = export_files.write(file, export, contents, passphrase)
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
        return ReadyExport(export, file, written.observations, expires_at)

    def _pseudonyms(
        self, records: Records, subject: UUID, purposes: list[str]
    ) -> Iterator[Pseudonym]:
        for purpose in purposes:
            yield from pseudonyms_of(
                subject,
                keys=self._keys,
                controller=self._controller,
                purpose=purpose,
                epochs=range(1, records.epochs.current(purpose) + 1),
            )

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


def _documents(identity: PersonalDetails, answers: Sequence[Answered]) -> dict[str, bytes]:
    return {
        "identity.json": canonical.encode(identity),
        "decisions.json": msgspec.json.encode([answer.document() for answer in answers]),
    }
