"""The person whose data are exported, and their consents."""

import datetime as dt
import enum
from uuid import UUID

import msgspec


class Answer(enum.Enum):
    """A person's answer about a purpose, as far as export formats distinguish answers."""

    YES = enum.auto()
    NO = enum.auto()
    VOID = enum.auto()
    """Recorded in error: of another person, or not given validly."""
    OTHER = enum.auto()
    """Not answered yet, ended, or withdrawn."""


class Consent(msgspec.Struct, frozen=True):
    """A recorded answer of the person about one version of a purpose."""

    consent: UUID
    purpose: str
    version: int
    answer: Answer
    decided_at: dt.datetime
    valid_from: dt.datetime
    valid_to: dt.datetime | None


class Person(msgspec.Struct, frozen=True):
    """The person whose data are exported. Their data are never shown in a repr or a log."""

    subject: UUID
    name: str
    born: str | None
    """Year and month of birth, for instance 2014-05."""
    consents: tuple[Consent, ...]

    def __repr__(self) -> str:
        return "Person(…)"

    __str__ = __repr__
