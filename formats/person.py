"""The person an export is of, and their consents, as the forms of an export need them."""

import datetime as dt
import enum
from uuid import UUID

import msgspec


class Answer(enum.Enum):
    """What a person answered, as far as the forms tell answers apart."""

    YES = enum.auto()
    NO = enum.auto()
    VOID = enum.auto()
    """Recorded in error: of another person, or not validly given."""
    OTHER = enum.auto()
    """Open, over or withdrawn."""


class Consent(msgspec.Struct, frozen=True):
    """One recorded answer of the person, for one version of a purpose."""

    consent: UUID
    purpose: str
    version: int
    answer: Answer
    decided_at: dt.datetime
    valid_from: dt.datetime
    valid_to: dt.datetime | None


class Person(msgspec.Struct, frozen=True):
    """Whom an export is of. Shows nothing of itself when printed or logged."""

    subject: UUID
    name: str
    born: str | None
    """Year and month, as 2014-05."""
    consents: tuple[Consent, ...]

    def __repr__(self) -> str:
        return "Person(…)"

    __str__ = __repr__
