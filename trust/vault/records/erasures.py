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
        Return the number of the erasure of *subject*: the one under way, or a new one.

        One whose steps do not verify cannot go on; all of it is done again under a new number.

        Raises:
            NotFound: There is no such subject.
            Conflict: She never decided anything for that purpose: its name is perhaps another.
        """
        ...

    def get(self, number: int) -> Erasure:
        """
        Return entry *number*.

        Raises:
            NotFound: There is none.
        """
        ...

    def marks(self) -> tuple[list[Mark], list[int]]:
        """Return every erasure that was marked, and the numbers of those that do not verify."""
        ...

    def found_again(self) -> list[FoundAgain]:
        """Return what was found again after its erasure; what does not verify is left out."""
        ...

    def steps(self, number: int) -> dict[str, Step]:
        """
        Return the steps done of *number*, by name.

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
        """Return the document and signature of a step that was done."""
        ...

    def record(self, number: int, step: str, facts: Mapping[str, Any]) -> None:
        """Note that *step* is done; an earlier note of it stands."""
        ...

    def entry(self, number: int) -> Entry:
        """
        Return what the ledger's file keeps of *number*, which is marked.

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
        Take over *entry* of the ledger's file; return its number here.

        None if it is known, or its subject is not. A vault that was restored may have given its
        number again: then it gets another one.

        Raises:
            Tampered: It is not as it was signed.
        """
        ...

    def restored_subjects(self) -> list[tuple[int, UUID]]:
        """Return the erasures whose subject has its data key again: the vault was restored."""
        ...
