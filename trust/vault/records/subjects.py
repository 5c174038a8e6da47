"""People and their representatives: the protocols of their repositories."""

import datetime as dt
from typing import Protocol
from uuid import UUID

from trust.decisions.representatives import Representative
from trust.domain.subjects import PersonalDetails


class Subjects(Protocol):
    """Repository of people: their personal details, each sealed under the person's data key."""

    def add(self, subject: UUID, identity: PersonalDetails) -> None:
        """Add a person, with *identity* sealed under a new data key."""
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
        Return the data key of *subject*; no erasure destroys it until the transaction ends.

        Raises:
            NotFound: There is no such subject.
        """
        ...

    def personal_details(self, subject: UUID) -> PersonalDetails:
        """
        Return the personal details of *subject*.

        Raises:
            NotFound: There is no such subject.
            Tampered: The record cannot be opened.
        """
        ...

    def rectify(self, subject: UUID, *, name: str | None, born: str | None) -> list[str]:
        """
        Correct the personal details of *subject*; None keeps a field.

        Returns:
            The names of the fields that changed.

        Raises:
            NotFound: There is no such subject.
            Tampered: The record cannot be opened.
        """
        ...

    def page(self, *, after: UUID, limit: int) -> list[tuple[UUID, dt.datetime]]:
        """Return the next *limit* subjects above *after*, and when each was added."""
        ...

    def exists(self, subject: UUID) -> bool:
        """Tell whether the vault has *subject*, erased or not."""
        ...

    def is_erased(self, subject: UUID) -> bool:
        """
        Tell whether the data key of *subject* is destroyed, and with it all sealed data.

        Raises:
            NotFound: There is no such subject.
        """
        ...

    def data_key_id(self, subject: UUID) -> str:
        """Return the id of the data key of *subject*, as certificates name it; they must exist."""
        ...

    def destroy_key(self, subject: UUID) -> bool:
        """Destroy the data key of *subject* and the sealed data; return False if it was gone."""
        ...


class Representatives(Protocol):
    """Repository of people who decide for a subject. Their names are sealed under its data key."""

    def add(self, representative: Representative, *, name: str) -> None:
        """Add *representative*, with their *name* sealed under the subject's data key."""
        ...

    def of(self, subject: UUID) -> list[Representative]:
        """Return present and former representatives of *subject*, in the order of adding."""
        ...

    def wards(self) -> list[UUID]:
        """Return every subject who has or had a guardian, except erased subjects."""
        ...

    def end(self, representative: UUID) -> None:
        """
        End the mandate of *representative*.

        Raises:
            NotFound: There is no such mandate in force.
        """
        ...
