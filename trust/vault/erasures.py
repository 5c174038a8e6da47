"""
The ledger of erasures: who is to be forgotten, what was done for it, step by step, signed.

It stands in the vault, append-only, and (if the settings name a file) a second time outside every
database: after the vault itself was restored from a backup, the file still knows.
"""

import datetime as dt
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from runtime.database import named_sql
from trust.domain import canonical
from trust.errors import Conflict, NotFound, Tampered
from trust.ports import Keys
from trust.vault.database import Connection, Row

_SQL = named_sql.read("trust.vault", "erasures.sql")
_KIND: Final = "erasure step"


class Erasure(msgspec.Struct, frozen=True):
    """An entry."""

    number: int
    subject: UUID
    purpose: str | None
    """None for all of them, and the identity."""
    requested_at: dt.datetime


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one step found or did. No pseudonym, no handle, no value."""

    number: int
    step: str
    facts: dict[str, Any]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the ledger's file: enough to erase again."""

    erasure: Erasure
    document: str
    """The step `mark`, canonical."""
    signature: bytes


class Mark(msgspec.Struct, frozen=True):
    """An erasure that got so far that it must be done again after a restore."""

    erasure: Erasure
    facts: dict[str, Any]
    """Of the step `mark`."""
    is_done: bool
    """Nothing that leads to the person is left, so whatever is found came back."""


class FoundAgain(msgspec.Struct, frozen=True):
    """Something that was erased, was there again, and was erased once more."""

    number: int
    step: str
    facts: dict[str, Any]
    is_rewritten: bool
    """Its files are, too."""


class Tombstones:
    """
    What a pseudonym or a handle is recognised by, without being kept.

    Args:
        key: Secret: without it nobody can tell whether a name is among them.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, name: bytes) -> str:
        """Return the tombstone of *name*."""
        return hmac.digest(self._key, name, "sha256")[:16].hex()


class Ledger:
    """
    The ledger, seen from inside one transaction of the vault.

    Args:
        connection: In that transaction.

        keys: To sign and verify with.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def _run(self, name: str, *arguments: Any) -> int:
        return self._connection.execute(_SQL[name], arguments).rowcount

    def _fetch(self, name: str, *arguments: Any) -> list[Row]:
        return self._connection.execute(_SQL[name], arguments).fetchall()

    def begin(self, subject: UUID, purpose: str | None) -> int:
        """
        Return the number of the erasure of *subject*: the one under way, or a new one.

        One whose steps do not verify cannot go on; all of it is done again under a new number.

        Raises:
            NotFound: There is no such subject.
            Conflict: She never decided anything for that purpose: its name is perhaps another.
        """
        self.is_erased(subject)
        if purpose is not None and purpose not in self.purposes(subject):
            raise Conflict("that subject has decided nothing for that purpose")
        for (number,) in self._fetch("find", subject, purpose):
            try:
                self.steps(number)
            except Tampered:
                continue
            return int(number)
        return int(self._fetch("begin", subject, purpose)[0][0])

    def erasure(self, number: int) -> Erasure:
        """
        Return entry *number*.

        Raises:
            NotFound: There is none.
        """
        rows = self._fetch("erasure", number)
        if not rows:
            raise NotFound("erasure", "`vitalveil trust erase SUBJECT` printed its number.")
        return Erasure(*rows[0])

    def marks(self) -> tuple[list[Mark], list[int]]:
        """Return every erasure that was marked, and the numbers of those that do not verify."""
        marks, tampered = [], []
        for *erasure, document, signature, is_done in self._fetch("marks"):
            found = Erasure(*erasure)
            try:
                step = self._verified(bytes(document), bytes(signature), found.number, "mark")
            except Tampered:
                tampered.append(found.number)
            else:
                marks.append(Mark(found, step.facts, is_done))
        return marks, tampered

    def found_again(self) -> list[FoundAgain]:
        """Return what was found again after its erasure; what does not verify is left out."""
        found = []
        for number, step, detail, signature, is_rewritten in self._fetch("found_again"):
            try:
                facts = self._verified(bytes(detail), bytes(signature), number, step).facts
            except Tampered:
                continue
            found.append(FoundAgain(number, step, facts, is_rewritten))
        return found

    def steps(self, number: int) -> dict[str, Step]:
        """
        Return the steps done of *number*, by name.

        Raises:
            Tampered: One is not as it was signed.
        """
        found = {}
        for step, detail, signature, _ in self._fetch("steps", number):
            found[step] = self._verified(bytes(detail), bytes(signature), number, step)
        return found

    def certified(self, number: int) -> Step:
        """
        Return the step that certified erasure *number*, whatever became of the others.

        Raises:
            NotFound: It is not finished.
            Tampered: The step is not as it was signed.
        """
        return self._verified(*self.signed(number, "certify"), number, "certify")

    def signed(self, number: int, step: str) -> tuple[bytes, bytes]:
        """Return the document and signature of a step that was done."""
        for name, detail, signature, _ in self._fetch("steps", number):
            if name == step:
                return bytes(detail), bytes(signature)
        raise NotFound("certificate", "Finish it with `vitalveil trust erase`.")

    def _verified(self, document: bytes, signature: bytes, number: int, step: str) -> Step:
        what = "a step of an erasure"
        self._keys.verify(signature, canonical.to_sign(_KIND, document), what=what)
        found = canonical.decode(document, Step, what=what)
        if (found.number, found.step) != (number, step):
            raise Tampered(what)
        return found

    def record(self, number: int, step: str, facts: Mapping[str, Any]) -> None:
        """Note that *step* is done; an earlier note of it stands."""
        document = canonical.encode(Step(number, step, dict(facts)))
        signature = self._keys.sign(canonical.to_sign(_KIND, document))
        self._run("record", number, step, document, self._keys.key_id, signature)

    def entry(self, number: int) -> Entry:
        """
        Return what the ledger's file keeps of *number*, which is marked.

        Raises:
            NotFound: There is no such erasure, or nothing was marked yet.
        """
        document, signature = self.signed(number, "mark")
        return Entry(self.erasure(number), document.decode(), signature)

    def read(self, entry: Entry) -> Step:
        """
        Return the step `mark` that *entry* of the ledger's file holds.

        Raises:
            Tampered: It is not as it was signed.
        """
        number = entry.erasure.number
        return self._verified(entry.document.encode(), entry.signature, number, "mark")

    def enter(self, entry: Entry) -> int | None:
        """
        Take over *entry* of the ledger's file; return its number here.

        None if it is known, or its subject is not. A vault that was restored may have given its
        number again: then it gets another one.

        Raises:
            Tampered: It is not as it was signed.
        """
        facts = self.read(entry).facts
        known = entry.erasure
        if not self._fetch("subject", known.subject):
            return None
        who = (known.subject, known.purpose, known.requested_at)
        for (number,) in self._fetch("known", *who):
            if "mark" in self._step_names(number):
                return None
            self.record(number, "mark", facts)
            return int(number)
        number = known.number
        if not self._run("enter", number, *who):
            number = int(self._fetch("enter_again", *who)[0][0])
        self._fetch("advance_number")
        self.record(number, "mark", facts)
        return number

    def _step_names(self, number: int) -> set[str]:
        return {step for step, _, _, _ in self._fetch("steps", number)}

    # What is erased in the vault

    def is_erased(self, subject: UUID) -> bool:
        """
        Tell whether the data key of *subject* is destroyed.

        Raises:
            NotFound: There is no such subject.
        """
        rows = self._fetch("subject", subject)
        if not rows:
            raise NotFound("subject", "Give the id that `subject add` printed.")
        return rows[0][0] is not None

    def data_key_id(self, subject: UUID) -> str:
        """Return what the data key of *subject* is known by in a certificate."""
        rows = self._fetch("subject", subject)
        return canonical.digest(bytes(rows[0][1]))[:8].hex()

    def purposes(self, subject: UUID) -> list[str]:
        """Return the purposes that *subject* ever decided about, or has a handle for."""
        rows = self._connection.execute(_SQL["purposes"], {"subject": subject})
        return [purpose for (purpose,) in rows]

    def all_purposes(self) -> list[str]:
        """Return every purpose that there is."""
        return [purpose for (purpose,) in self._fetch("all_purposes")]

    def restrictions(self) -> list[tuple[UUID, str]]:
        """Return every subject and purpose that is or was restricted."""
        return [(subject, purpose) for subject, purpose in self._fetch("restrictions")]

    def epochs(self, purpose: str) -> list[int]:
        """Return every epoch that the pseudonym keys of *purpose* have had."""
        return [1, *(epoch for (epoch,) in self._fetch("epochs", purpose))]

    def handles(self, subject: UUID, purpose: str | None) -> list[tuple[bytes, str, str, int]]:
        """Return every handle there was: itself, agent, purpose, key epoch."""
        rows = self._fetch("handles", subject, purpose, purpose)
        return [(bytes(handle), agent, of, epoch) for handle, agent, of, epoch in rows]

    def destroy_key(self, subject: UUID) -> bool:
        """Destroy the data key of *subject* and what it sealed; return whether it was there."""
        return self._run("destroy_key", subject) == 1

    def delete_handles(self, subject: UUID, purpose: str | None) -> int:
        """Delete the handles of *subject*; return how many."""
        return self._run("delete_handles", subject, purpose, purpose)

    def back_identities(self) -> list[tuple[int, UUID]]:
        """Return the erasures whose subject has its data key again: the vault was restored."""
        return [(number, subject) for number, subject in self._fetch("back_identities")]

    def all_handles(self) -> list[tuple[bytes, UUID, str]]:
        """Return every handle there is: itself, its subject, its purpose."""
        return [
            (bytes(handle), who, purpose) for handle, who, purpose in self._fetch("all_handles")
        ]

    def delete_these_handles(self, handles: Iterable[bytes]) -> int:
        """Delete *handles*; return how many were there."""
        return self._run("delete_these_handles", list(handles))

    def leases(self, agents: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return for each of *agents* the versions of its newest and its last published lease."""
        rows = self._fetch("lease_versions_of", list(agents))
        return {agent: (newest, published) for agent, newest, published in rows}

    def newest_leases(self) -> list[tuple[str, int]]:
        """Return the version of each agent's newest lease."""
        return [(agent, version) for agent, version in self._fetch("newest_leases")]

    def exports(self, subject: UUID) -> list[tuple[UUID, str]]:
        """Return the exports of *subject* that are not deleted yet."""
        return [(export, file) for export, file in self._fetch("exports", subject)]

    def note_export_deleted(self, export: UUID) -> None:
        """Note that the file of *export* is gone."""
        self._run("export_deleted", export)
