"""
The ledger of erasures: who is to be forgotten, what was done for it, step by step, signed.

It stands in the vault, append-only, and (if the settings name a file) a second time outside every
database: after the vault itself was restored from a backup, the file still knows.
"""

import datetime as dt
import hmac
from collections.abc import Mapping
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from trust.domain import canonical
from trust.errors import Tampered
from trust.ports import Keys

_KIND: Final = "erasure step"


class Erasure(msgspec.Struct, frozen=True):
    """One erasure: the person, the scope, and when it was asked for."""

    number: int
    subject: UUID
    purpose: str | None
    """None for all purposes, and for the personal details."""
    requested_at: dt.datetime


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one step found or did. Holds no pseudonym, handle or value."""

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
    """Something that was found again after its erasure, and was erased again."""

    number: int
    step: str
    facts: dict[str, Any]
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


def sign_step(step: Step, keys: Keys) -> tuple[bytes, bytes]:
    """Return document and signature of *step*, as the vault keeps them."""
    document = canonical.encode(step)
    return document, keys.sign(canonical.to_sign(_KIND, document))


def verified_step(document: bytes, signature: bytes, number: int, step: str, keys: Keys) -> Step:
    """
    Return the *step* of erasure *number* that *document* holds.

    Raises:
        Tampered: It is not as it was signed, or it is another step.
    """
    what = "a step of an erasure"
    keys.verify(signature, canonical.to_sign(_KIND, document), what=what)
    found = canonical.decode(document, Step, what=what)
    if (found.number, found.step) != (number, step):
        raise Tampered(what)
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

    def steps(self, number: int) -> dict[str, Step]:
        """
        Return the steps of erasure *number* that are done, by name and in their order.

        Raises:
            Tampered: One is not as it was signed.
        """
        ...

    def certified(self, number: int) -> Step:
        """
        Return the step that certified erasure *number*, whatever became of the others.

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

    def record(self, number: int, step: str, facts: Mapping[str, Any]) -> None:
        """Sign and record a step that is done, with its *facts*; an earlier record stands."""
        ...

    def entry(self, number: int) -> Entry:
        """
        Return erasure *number* as the ledger's file keeps it.

        Raises:
            NotFound: There is no such erasure, or nothing was marked yet.
        """
        ...

    def read(self, entry: Entry) -> Step:
        """
        Return the step `mark` that *entry* of the ledger's file holds.

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
