"""The ledger of erasures, in PostgreSQL."""

from uuid import UUID

from runtime.database import named_sql
from trust.domain import erasure_steps
from trust.domain.erasure_steps import (
    Certificate,
    ErasedAgain,
    Marked,
    RepeatedFacts,
    StepFacts,
    Steps,
)
from trust.errors import Conflict, NotFound, Tampered
from trust.ports import Keys
from trust.vault.database import Connection
from trust.vault.records.decisions import Decisions
from trust.vault.records.erasures import (
    Erasure,
    Erasures,
    FoundAgain,
    LedgerEntry,
    Mark,
    sign_step,
    verified_mark,
    verified_step,
    verify_step,
)
from trust.vault.records.subjects import Subjects
from trust.vault.repository import Repository


class PostgresErasures(Repository, Erasures):
    """
    The statements of erasures.sql.

    Args:
        connection: A connection inside the transaction.

        keys: Keys to sign and verify with.

        subjects: The repository of people in the same transaction.

        decisions: The repository of decisions in the same transaction.
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
                marked = self._marked(document, signature, found.number)
            except Tampered:
                tampered.append(found.number)
            else:
                marks.append(Mark(found, marked, is_done))
        return marks, tampered

    def found_again(self) -> list[FoundAgain]:
        found = []
        for number, step, detail, signature, is_rewritten in self._fetch("found_again"):
            try:
                facts = self._verified(detail, signature, number, step)
            except Tampered:
                continue
            if isinstance(facts, ErasedAgain):
                times = erasure_steps.times_of(step)
                found.append(FoundAgain(number, times, facts, is_rewritten))
        return found

    def steps(self, number: int) -> Steps:
        found: dict[str, StepFacts | RepeatedFacts] = {}
        for step, detail, signature, _ in self._fetch("steps", number):
            if erasure_steps.is_known(step):
                found[step] = self._verified(detail, signature, number, step)
            else:
                verify_step(bytes(detail), bytes(signature), self._keys)
        return Steps(found)

    def certified(self, number: int) -> Certificate:
        found = self._verified(*self.signed(number, "certify"), number, "certify")
        if not isinstance(found, Certificate):
            raise Tampered("a step of an erasure")
        return found

    def signed(self, number: int, step: str) -> tuple[bytes, bytes]:
        for name, detail, signature, _ in self._fetch("steps", number):
            if name == step:
                return bytes(detail), bytes(signature)
        raise NotFound("certificate", "Finish it with `vitalveil trust erase`.")

    def _verified(
        self, document: bytes, signature: bytes, number: int, step: str
    ) -> StepFacts | RepeatedFacts:
        return verified_step(bytes(document), bytes(signature), number, step, self._keys)

    def _marked(self, document: bytes, signature: bytes, number: int) -> Marked:
        return verified_mark(bytes(document), bytes(signature), number, self._keys)

    def record(self, number: int, facts: StepFacts) -> None:
        self._record(number, erasure_steps.step_of(facts), facts)

    def record_again(self, number: int, facts: RepeatedFacts, *, times: int) -> None:
        self._record(number, erasure_steps.repeated_step_of(facts, times=times), facts)

    def _record(self, number: int, step: str, facts: StepFacts | RepeatedFacts) -> None:
        document, signature = sign_step(number, step, facts, self._keys)
        self._run("record", number, step, document, self._keys.key_id, signature)

    def entry(self, number: int) -> LedgerEntry:
        document, signature = self.signed(number, "mark")
        return LedgerEntry(self.get(number), document.decode(), signature)

    def read(self, entry: LedgerEntry) -> Marked:
        return self._marked(entry.document.encode(), entry.signature, entry.erasure.number)

    def enter(self, entry: LedgerEntry) -> int | None:
        facts = self.read(entry)
        known = entry.erasure
        if not self._subjects.exists(known.subject):
            return None
        who = (known.subject, known.purpose, known.requested_at)
        for (number,) in self._fetch("known", *who):
            if "mark" in self._step_names(number):
                return None
            self.record(number, facts)
            return int(number)
        number = known.number
        if not self._run("enter", number, *who):
            number = int(self._fetch("enter_again", *who)[0][0])
        self._fetch("advance_number")
        self.record(number, facts)
        return number

    def _step_names(self, number: int) -> set[str]:
        return {step for step, _, _, _ in self._fetch("steps", number)}

    def restored_subjects(self) -> list[tuple[int, UUID]]:
        return [(number, subject) for number, subject in self._fetch("restored_subjects")]

    def destroyed_subjects(self) -> list[tuple[int, UUID]]:
        return [(number, subject) for number, subject in self._fetch("destroyed_subjects")]
