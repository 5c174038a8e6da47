"""The ledger of erasures, in PostgreSQL."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from runtime.database import named_sql
from trust.errors import Conflict, NotFound, Tampered
from trust.ports import Keys
from trust.vault.database import Connection
from trust.vault.postgres.repository import Repository
from trust.vault.records.decisions import Decisions
from trust.vault.records.erasures import (
    Entry,
    Erasure,
    Erasures,
    FoundAgain,
    Mark,
    Step,
    sign_step,
    verified_step,
)
from trust.vault.records.subjects import Subjects


class PostgresErasures(Repository, Erasures):
    """
    The statements of erasures.sql.

    Args:
        connection: In the transaction.

        keys: To sign and verify with.

        subjects: Of the same transaction.

        decisions: Of the same transaction.
    """

    _sql = named_sql.read("trust.vault", "erasures.sql")

    def __init__(
        self, connection: Connection, keys: Keys, *, subjects: Subjects, decisions: Decisions
    ) -> None:
        super().__init__(connection, keys)
        self._subjects = subjects
        self._decisions = decisions

    def begin(self, subject: UUID, purpose: str | None) -> int:
        self._subjects.is_erased(subject)
        if purpose is not None and purpose not in self._decisions.purposes_with_handles(subject):
            raise Conflict("that subject has decided nothing for that purpose")
        for (number,) in self._fetch("find", subject, purpose):
            try:
                self.steps(number)
            except Tampered:
                continue
            return int(number)
        return int(self._fetch("begin", subject, purpose)[0][0])

    def get(self, number: int) -> Erasure:
        rows = self._fetch("get", number)
        if not rows:
            raise NotFound("erasure", "`vitalveil trust erase SUBJECT` printed its number.")
        return Erasure(*rows[0])

    def marks(self) -> tuple[list[Mark], list[int]]:
        marks, tampered = [], []
        for *erasure, document, signature, is_done in self._fetch("marks"):
            found = Erasure(*erasure)
            try:
                step = self._verified(document, signature, found.number, "mark")
            except Tampered:
                tampered.append(found.number)
            else:
                marks.append(Mark(found, step.facts, is_done))
        return marks, tampered

    def found_again(self) -> list[FoundAgain]:
        found = []
        for number, step, detail, signature, is_rewritten in self._fetch("found_again"):
            try:
                facts = self._verified(detail, signature, number, step).facts
            except Tampered:
                continue
            found.append(FoundAgain(number, step, facts, is_rewritten))
        return found

    def steps(self, number: int) -> dict[str, Step]:
        found = {}
        for step, detail, signature, _ in self._fetch("steps", number):
            found[step] = self._verified(detail, signature, number, step)
        return found

    def certified(self, number: int) -> Step:
        return self._verified(*self.signed(number, "certify"), number, "certify")

    def signed(self, number: int, step: str) -> tuple[bytes, bytes]:
        for name, detail, signature, _ in self._fetch("steps", number):
            if name == step:
                return bytes(detail), bytes(signature)
        raise NotFound("certificate", "Finish it with `vitalveil trust erase`.")

    def _verified(self, document: bytes, signature: bytes, number: int, step: str) -> Step:
        return verified_step(bytes(document), bytes(signature), number, step, self._keys)

    def record(self, number: int, step: str, facts: Mapping[str, Any]) -> None:
        document, signature = sign_step(Step(number, step, dict(facts)), self._keys)
        self._run("record", number, step, document, self._keys.key_id, signature)

    def entry(self, number: int) -> Entry:
        document, signature = self.signed(number, "mark")
        return Entry(self.get(number), document.decode(), signature)

    def read(self, entry: Entry) -> Step:
        number = entry.erasure.number
        return self._verified(entry.document.encode(), entry.signature, number, "mark")

    def enter(self, entry: Entry) -> int | None:
        facts = self.read(entry).facts
        known = entry.erasure
        if not self._subjects.exists(known.subject):
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

    def restored_subjects(self) -> list[tuple[int, UUID]]:
        return [(number, subject) for number, subject in self._fetch("restored_subjects")]
