"""People and their representatives: the protocols of their repositories."""

import datetime as dt
import enum
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from trust.decisions.representatives import Representative
from trust.domain.identity.national import NationalIdentity
from trust.domain.subjects import PersonalDetails


class SubjectState(enum.StrEnum):
    """Which people a list shows."""

    MEASURED = "measured"
    """Those who are measured at a gateway."""
    NOT_MEASURED = "not-measured"
    """Those who are not, and are not erased."""
    ERASED = "erased"
    ALL = "all"


class SubjectFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which people a list shows; None for no condition. Without a state, all but erased ones."""

    state: SubjectState | None = None
    purpose: str | None = None
    """The purpose that they are measured for."""
    agent: str | None = None
    """The gateway that measures them."""
    added_since: dt.datetime | None = None


class SubjectSummary(msgspec.Struct, frozen=True):
    """A person in a list, without their name."""

    subject: UUID
    added_at: dt.datetime
    erased_at: dt.datetime | None
    purposes: list[str]
    """The purposes that they are measured for."""
    agents: list[str]
    """The gateways that measure them."""


class Alike(msgspec.Struct, frozen=True):
    """The people who are registered already and may be the same person."""

    by_name: list[UUID]
    """Those with the same name and month of birth."""
    by_matricule: list[UUID]
    is_unread: bool = False
    """Whether there may be more with that name: a record cannot be read."""


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

    def details_of(self, subjects: Sequence[UUID]) -> dict[UUID, PersonalDetails]:
        """Return the details of *subjects*; erased people and unreadable records are omitted."""
        ...

    def search(self, wanted: SubjectFilter, *, after: UUID, limit: int) -> list[SubjectSummary]:
        """Return the next *limit* people above *after* that *wanted* admits, by id."""
        ...

    def alike(self, details: PersonalDetails) -> Alike:
        """
        Return the people who may be the person of *details*, except erased ones.

        Until the transaction ends, no other one that asked the same adds such a person.
        """
        ...

    def rectify(
        self,
        subject: UUID,
        *,
        name: str | None,
        born: str | None,
        identity: NationalIdentity | None = None,
    ) -> list[str]:
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
