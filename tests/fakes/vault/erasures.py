"""The ledger of erasures, in memory."""

from uuid import UUID

from tests.fakes.vault.decisions import MemoryDecisions
from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.subjects import MemorySubjects
from tests.fakes.vault.tables import StepRow, require
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


class MemoryErasures(MemoryRepository, Erasures):
    """The ledger of erasures, in memory."""

    def begin(self, subject: UUID, purpose: str | None) -> int:
        MemorySubjects(self._tables, self._keys, self._now).is_erased(subject)
        decisions = MemoryDecisions(self._tables, self._keys, self._now)
        if purpose is not None and purpose not in decisions.purposes_with_handles(subject):
            raise Conflict("that subject has decided nothing for that purpose")
        for number, erasure in sorted(self._tables.erasures.items()):
            if (erasure.subject, erasure.purpose) != (subject, purpose):
                continue
            if (number, "certify") not in self._tables.steps and self._verifies(number):
                return number
        return self._insert(Erasure(self._next(), subject, purpose, self._now()))

    def _verifies(self, number: int) -> bool:
        try:
            self.steps(number)
        except Tampered:
            return False
        return True

    def _next(self) -> int:
        self._tables.last_erasure += 1
        return self._tables.last_erasure

    def _insert(self, erasure: Erasure) -> int:
        require(erasure.number not in self._tables.erasures, "erasures_pkey")
        self._tables.erasures[erasure.number] = erasure
        return erasure.number

    def get(self, number: int) -> Erasure:
        if number not in self._tables.erasures:
            raise NotFound("erasure", "`vitalveil trust erase SUBJECT` printed its number.")
        return self._tables.erasures[number]

    def marks(self) -> tuple[list[Mark], list[int]]:
        marks, tampered = [], []
        for number, erasure in sorted(self._tables.erasures.items()):
            if (number, "mark") not in self._tables.steps:
                continue
            try:
                facts = self._marked(*self.signed(number, "mark"), number)
            except Tampered:
                tampered.append(number)
            else:
                done = {step for n, step in self._tables.steps if n == number}
                marks.append(Mark(erasure, facts, bool(done & {"names", "entered"})))
        return marks, tampered

    def found_again(self) -> list[FoundAgain]:
        found = []
        for number, step in sorted(self._tables.steps, key=lambda one: one[0]):
            if not step.startswith("found-"):
                continue
            try:
                facts = self._verified(number, step)
            except Tampered:
                continue
            if isinstance(facts, ErasedAgain):
                again = (number, step.replace("found-", "again-"))
                times = erasure_steps.times_of(step)
                found.append(FoundAgain(number, times, facts, again in self._tables.steps))
        return found

    def steps(self, number: int) -> Steps:
        names = [step for n, step in self._tables.steps if n == number]
        for step in names:
            verify_step(*self.signed(number, step), self._keys)
        known = filter(erasure_steps.is_known, names)
        return Steps({step: self._verified(number, step) for step in known})

    def certified(self, number: int) -> Certificate:
        found = self._verified(number, "certify")
        if not isinstance(found, Certificate):
            raise Tampered("a step of an erasure")
        return found

    def signed(self, number: int, step: str) -> tuple[bytes, bytes]:
        row = self._tables.steps.get((number, step))
        if row is None:
            raise NotFound("certificate", "Finish it with `vitalveil trust erase`.")
        return row.document, row.signature

    def _verified(self, number: int, step: str) -> StepFacts | RepeatedFacts:
        return verified_step(*self.signed(number, step), number, step, self._keys)

    def _marked(self, document: bytes, signature: bytes, number: int) -> Marked:
        return verified_mark(document, signature, number, self._keys)

    def record(self, number: int, facts: StepFacts) -> None:
        self._record(number, erasure_steps.step_of(facts), facts)

    def record_again(self, number: int, facts: RepeatedFacts, *, times: int) -> None:
        self._record(number, erasure_steps.repeated_step_of(facts, times=times), facts)

    def _record(self, number: int, step: str, facts: StepFacts | RepeatedFacts) -> None:
        require(number in self._tables.erasures, "erasure_steps_number_fkey")
        signed = sign_step(number, step, facts, self._keys)
        self._tables.steps.setdefault((number, step), StepRow(*signed))

    def entry(self, number: int) -> LedgerEntry:
        document, signature = self.signed(number, "mark")
        return LedgerEntry(self.get(number), document.decode(), signature)

    def read(self, entry: LedgerEntry) -> Marked:
        return self._marked(entry.document.encode(), entry.signature, entry.erasure.number)

    def enter(self, entry: LedgerEntry) -> int | None:
        facts, known = self.read(entry), entry.erasure
        if known.subject not in self._tables.subjects:
            return None
        number = self._number_of(known)
        if number is None:
            is_taken = known.number in self._tables.erasures
            number = self._next() if is_taken else known.number
            self._insert(Erasure(number, known.subject, known.purpose, known.requested_at))
            self._tables.last_erasure = max(self._tables.erasures)
        elif (number, "mark") in self._tables.steps:
            return None
        self.record(number, facts)
        return number

    def _number_of(self, known: Erasure) -> int | None:
        who = (known.subject, known.purpose, known.requested_at)
        return next(
            (
                number
                for number, other in self._tables.erasures.items()
                if (other.subject, other.purpose, other.requested_at) == who
            ),
            None,
        )

    def restored_subjects(self) -> list[tuple[int, UUID]]:
        for subject in self._tables.subjects:
            # The database may choose to read everybody.
            self._tables.read(subject)
        return [
            (number, subject)
            for number, subject in self.destroyed_subjects()
            if self._tables.subjects[subject].erased_at is None
        ]

    def destroyed_subjects(self) -> list[tuple[int, UUID]]:
        destroyed = {n for n, step in self._tables.steps if step in ("keys", "names", "entered")}
        return [
            (number, erasure.subject)
            for number, erasure in sorted(self._tables.erasures.items())
            if erasure.purpose is None and number in destroyed
        ]
