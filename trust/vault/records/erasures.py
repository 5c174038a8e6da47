"""
The ledger of erasures: who is to be forgotten, what was done for it, step by step, signed.

It stands in the vault, append-only, and (if the settings name a file) a second time outside every
database: after the vault itself was restored from a backup, the file still knows.
"""

import datetime as dt
import hmac
from typing import Final, Protocol
from uuid import UUID

import msgspec

from trust.domain import canonical, erasure_steps
from trust.domain.erasure_steps import (
    Certificate,
    ErasedAgain,
    Marked,
    RepeatedFacts,
    StepFacts,
    Steps,
)
from trust.errors import Tampered
from trust.ports import Keys

_KIND: Final = "erasure step"
_WHAT: Final = "a step of an erasure"


class Erasure(msgspec.Struct, frozen=True):
    """One erasure: the person, the scope, and when it was asked for."""

    number: int
    subject: UUID
    purpose: str | None
    """None for all purposes, and for the personal details."""
    requested_at: dt.datetime


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the ledger's file: enough to erase again."""

    erasure: Erasure
    document: str
    """The step `mark`, canonical."""
    signature: bytes


class Mark(msgspec.Struct, frozen=True):
    """An erasure that got so far that it must be done again after a restore."""

    erasure: Erasure
    facts: Marked
    is_done: bool
    """Nothing that leads to the person is left, so whatever is found came back."""


class FoundAgain(msgspec.Struct, frozen=True):
    """Something that was found again after its erasure, and was erased again."""

    number: int
    times: int
    """1 for the first time, and so on."""
    facts: ErasedAgain
    is_rewritten: bool
    """Whether its files were rewritten since."""


class Tombstones:
    """
    Recognises erased pseudonyms and handles, without keeping them.

    Args:
        key: Secret: only its holder can tell whether a name is among them.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, name: bytes) -> str:
        """Return the tombstone of *name*."""
        return hmac.digest(self._key, name, "sha256")[:16].hex()


def sign_step(
    number: int, step: str, facts: StepFacts | RepeatedFacts, keys: Keys
) -> tuple[bytes, bytes]:
    """Return document and signature of *step* of erasure *number*, as the vault keeps them."""
    document = erasure_steps.encode(number, step, facts)
    return document, keys.sign(canonical.to_sign(_KIND, document))


def verify_step(document: bytes, signature: bytes, keys: Keys) -> None:
    """Raise Tampered unless *signature* is ours over *document*, a step of an erasure."""
    keys.verify(signature, canonical.to_sign(_KIND, document), what=_WHAT)


def verified_step(
    document: bytes, signature: bytes, number: int, step: str, keys: Keys
) -> StepFacts | RepeatedFacts:
    """
    Return the facts of *step* of erasure *number* that *document* holds.

    Raises:
        Tampered: It is not as it was signed, it is another step, or in no form that a release
            wrote.
    """
    verify_step(document, signature, keys)
    return erasure_steps.decode(document, number=number, step=step)


def verified_mark(document: bytes, signature: bytes, number: int, keys: Keys) -> Marked:
    """
    Return what *document* says was marked for erasure *number*.

    Raises:
        Tampered: It is not as it was signed, or it is another step.
    """
    found = verified_step(document, signature, number, "mark", keys)
    if not isinstance(found, Marked):
        raise Tampered(_WHAT)
    return found


class Erasures(Protocol):
    """The ledger of erasures, append-only: who is to be forgotten, and each signed step of it."""

    def begin(self, subject: UUID, purpose: str | None) -> int:
        """
        Return the number of the erasure of *subject* that is under way, or of a new one.

        An erasure whose steps do not verify cannot go on: it is done again under a new number.

        Raises:
            NotFound: There is no such subject.
            Conflict: They never decided on that purpose; perhaps its name is misspelt.
        """
        ...

    def get(self, number: int) -> Erasure:
        """
        Return erasure *number*.

        Raises:
            NotFound: There is none.
        """
        ...

    def marks(self) -> tuple[list[Mark], list[int]]:
        """Return every mark, and the numbers of the erasures whose mark does not verify."""
        ...

    def found_again(self) -> list[FoundAgain]:
        """Return what was found again after its erasure; steps that do not verify are omitted."""
        ...

    def steps(self, number: int) -> Steps:
        """
        Return the steps of erasure *number* that are done.

        Raises:
            Tampered: One is not as it was signed, or in no form that a release wrote.
        """
        ...

    def certified(self, number: int) -> Certificate:
        """
        Return the certificate of erasure *number*, whatever became of its other steps.

        Raises:
            NotFound: It is not finished.
            Tampered: The step is not as it was signed.
        """
        ...

    def signed(self, number: int, step: str) -> tuple[bytes, bytes]:
        """
        Return the document and signature of a step that is done.

        Raises:
            NotFound: It is not done.
        """
        ...

    def record(self, number: int, facts: StepFacts) -> None:
        """Note that the step that *facts* are of is done; an earlier note of it stands."""
        ...

    def record_again(self, number: int, facts: RepeatedFacts, *, times: int) -> None:
        """Note what was found or done the *times*-th time that erasure *number* came back."""
        ...

    def entry(self, number: int) -> Entry:
        """
        Return erasure *number* as the ledger's file keeps it.

        Raises:
            NotFound: There is no such erasure, or nothing was marked yet.
        """
        ...

    def read(self, entry: Entry) -> Marked:
        """
        Return what *entry* of the ledger's file says was marked.

        Raises:
            Tampered: It is not as it was signed.
        """
        ...

    def enter(self, entry: Entry) -> int | None:
        """
        Take over *entry* of the ledger's file; return its number in this vault.

        None if the erasure is known here, or its subject is not. A vault that was restored may
        have given the number to another erasure: then the entry gets a new one.

        Raises:
            Tampered: It is not as it was signed.
        """
        ...

    def restored_subjects(self) -> list[tuple[int, UUID]]:
        """Return erasures whose subject has a data key again, because the vault was restored."""
        ...
