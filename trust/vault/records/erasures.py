"""
The ledger of erasures: the people to be erased, and a signed record of each step.

The ledger is an append-only table of the vault. If the settings name a file, a second copy is
outside every database, and still complete after the vault was restored from a backup.
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


class LedgerEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the ledger's file: enough to erase again."""

    erasure: Erasure
    document: str
    """The step `mark`, as canonical JSON."""
    signature: bytes


class Mark(msgspec.Struct, frozen=True):
    """An erasure that got so far that it must be done again after a restore."""

    erasure: Erasure
    facts: Marked
    is_done: bool
    """Whether all links to the person were erased, so that any data found now has come back."""


class FoundAgain(msgspec.Struct, frozen=True):
    """Data that reappeared after its erasure, and was erased again."""

    number: int
    times: int
    """How many times data of this erasure has reappeared, from 1."""
    facts: ErasedAgain
    is_rewritten: bool
    """Whether the database files were rewritten since."""


class Tombstones:
    """
    Recognises erased pseudonyms and handles without storing them.

    Args:
        key: The secret key. Without it, a tombstone cannot be related to a name.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, name: bytes) -> str:
        """Return the tombstone of *name*: its HMAC-SHA256, cut to 16 bytes, in hexadecimal."""
        return hmac.digest(self._key, name, "sha256")[:16].hex()


def sign_step(
    number: int, step: str, facts: StepFacts | RepeatedFacts, keys: Keys
) -> tuple[bytes, bytes]:
    """Return document and signature of *step* of erasure *number*, as the vault keeps them."""
    document = erasure_steps.encode(number, step, facts)
    return document, keys.sign(canonical.to_sign(_KIND, document))


def verify_step(document: bytes, signature: bytes, keys: Keys) -> None:
    """Raise Tampered unless *signature* is trust's signature of the erasure step *document*."""
    keys.verify(signature, canonical.to_sign(_KIND, document), what=_WHAT)


def verified_step(
    document: bytes, signature: bytes, number: int, step: str, keys: Keys
) -> StepFacts | RepeatedFacts:
    """
    Return the facts of *step* of erasure *number* that *document* holds.

    Raises:
        Tampered: The document is not as it was signed, is another step, or has a form that no
            release has written.
    """
    verify_step(document, signature, keys)
    return erasure_steps.decode(document, number=number, step=step)


def verified_mark(document: bytes, signature: bytes, number: int, keys: Keys) -> Marked:
    """
    Return the facts of the step `mark` of erasure *number* that *document* holds.

    Raises:
        Tampered: The document is not as it was signed, or is another step.
    """
    found = verified_step(document, signature, number, "mark", keys)
    if not isinstance(found, Marked):
        raise Tampered(_WHAT)
    return found


class Erasures(Protocol):
    """Repository of the ledger of erasures: the people to be erased, and each signed step."""

    def begin(self, subject: UUID, purpose: str | None) -> int:
        """
        Return the number of the erasure of *subject* that is under way, or of a new one.

        An erasure whose steps do not verify cannot go on: it is done again under a new number.

        Raises:
            NotFound: There is no such subject.
            Conflict: The subject never decided on that purpose; its name may be misspelt.
        """
        ...

    def get(self, number: int) -> Erasure:
        """
        Return erasure *number*.

        Raises:
            NotFound: There is no such erasure.
        """
        ...

    def marks(self) -> tuple[list[Mark], list[int]]:
        """Return every mark, and the numbers of the erasures whose mark does not verify."""
        ...

    def found_again(self) -> list[FoundAgain]:
        """Return the data that reappeared after its erasure; unverified steps are omitted."""
        ...

    def steps(self, number: int) -> Steps:
        """
        Return the completed steps of erasure *number*.

        Raises:
            Tampered: A step is not as it was signed, or has a form that no release has written.
        """
        ...

    def certified(self, number: int) -> Certificate:
        """
        Return the certificate of erasure *number*, also if its other steps do not verify.

        Raises:
            NotFound: The erasure is not finished.
            Tampered: The certificate is not as it was signed.
        """
        ...

    def signed(self, number: int, step: str) -> tuple[bytes, bytes]:
        """
        Return the document and signature of a completed step.

        Raises:
            NotFound: The step is not done yet.
        """
        ...

    def record(self, number: int, facts: StepFacts) -> None:
        """Record the step that *facts* belong to as done; an earlier record of it is kept."""
        ...

    def record_again(self, number: int, facts: RepeatedFacts, *, times: int) -> None:
        """Record *facts* of the *times*-th time that data of erasure *number* reappeared."""
        ...

    def entry(self, number: int) -> LedgerEntry:
        """
        Return erasure *number* as the ledger's file keeps it.

        Raises:
            NotFound: There is no such erasure, or its step `mark` is not done yet.
        """
        ...

    def read(self, entry: LedgerEntry) -> Marked:
        """
        Return the facts of the step `mark` that *entry* of the ledger's file holds.

        Raises:
            Tampered: The entry is not as it was signed.
        """
        ...

    def enter(self, entry: LedgerEntry) -> int | None:
        """
        Add *entry* of the ledger's file to this vault; return its number here.

        A restored vault may have given the number to another erasure; then the entry gets a new
        number.

        Returns:
            The number; None if the vault has the erasure already, or does not know its subject.

        Raises:
            Tampered: The entry is not as it was signed.
        """
        ...

    def restored_subjects(self) -> list[tuple[int, UUID]]:
        """Return erasures whose subject has a data key again, because the vault was restored."""
        ...

    def destroyed_subjects(self) -> list[tuple[int, UUID]]:
        """Return erasures that destroyed the data key of their subject; no subject is read."""
        ...
