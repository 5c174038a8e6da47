"""People, and who decides for them: what the vault keeps, and what can be asked of it."""

import datetime as dt
from typing import Protocol
from uuid import UUID

from trust.decisions.representatives import Representative
from trust.domain.subjects import PersonalDetails


class Subjects(Protocol):
    """People: their personal details, sealed under a data key of their own."""

    def add(self, subject: UUID, identity: PersonalDetails) -> None:
        """Keep *identity*, sealed under a new data key."""
        ...

    def data_key(self, subject: UUID) -> bytes:
        """
        Return the data key of *subject*.

        Raises:
            NotFound: There is no such subject.
        """
        ...

    def hold(self, subject: UUID) -> bytes:
        """
        Return the data key of *subject*; nobody destroys it until the transaction ends.

        Raises:
            NotFound: There is no such subject.
        """
        ...

    def personal_details(self, subject: UUID) -> PersonalDetails:
        """
        Return who *subject* is.

        Raises:
            NotFound: There is no such subject.
            Tampered: The record does not open.
        """
        ...

    def rectify(self, subject: UUID, *, name: str | None, born: str | None) -> list[str]:
        """Correct the identity of *subject*; return the fields that are others now."""
        ...

    def page(self, *, after: UUID, limit: int) -> list[tuple[UUID, dt.datetime]]:
        """Return subjects whose id is above *after*, and when they were added. No names."""
        ...

    def exists(self, subject: UUID) -> bool:
        """Tell whether *subject* is here, erased or not."""
        ...

    def is_erased(self, subject: UUID) -> bool:
        """
        Tell whether the data key of *subject* is destroyed.

        Raises:
            NotFound: There is no such subject.
        """
        ...

    def data_key_id(self, subject: UUID) -> str:
        """Return what the data key of *subject* is known by in a certificate."""
        ...

    def destroy_key(self, subject: UUID) -> bool:
        """Destroy the data key of *subject* and what it sealed; return whether it was there."""
        ...


class Representatives(Protocol):
    """People who decide for a subject; their names are sealed under the subject's data key."""

    def add(self, representative: Representative, *, name: str) -> None:
        """Keep *representative*, whose name is sealed under the subject's key."""
        ...

    def of(self, subject: UUID) -> list[Representative]:
        """Return who may, or might, decide for *subject*."""
        ...

    def wards(self) -> list[UUID]:
        """Return everybody who has or had a guardian."""
        ...

    def end(self, representative: UUID) -> None:
        """
        End a mandate.

        Raises:
            NotFound: There is none in force.
        """
        ...
