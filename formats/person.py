"""The person whose data are exported, their consents, and the controller that answers for them."""

import datetime as dt
import enum
from uuid import UUID

import msgspec


class Status(enum.StrEnum):
    """Whether a recorded answer is in force, in the words of FHIR R4 (Consent.status)."""

    PROPOSED = "proposed"
    """The person was shown the choice and left it open."""
    ACTIVE = "active"
    REJECTED = "rejected"
    """The person said no."""
    INACTIVE = "inactive"
    """A later answer replaced it, it was withdrawn, or its time is over."""
    ENTERED_IN_ERROR = "entered-in-error"
    """It is void: of another person, or not given validly."""


class Consent(msgspec.Struct, frozen=True):
    """A recorded answer of the person about one version of a purpose."""

    consent: UUID
    purpose: str
    version: int
    status: Status
    is_yes: bool
    """Whether the person agreed; together with the status this tells what is permitted."""
    decided_at: dt.datetime
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    """When it ended or will end, also by a later answer; None if nothing ends it."""


class Controller(msgspec.Struct, frozen=True):
    """The organisation that answers for the processing (GDPR art. 4(7))."""

    name: str
    contact: str | None = None
    """An address of post or e-mail, or a telephone number."""


class Person(msgspec.Struct, frozen=True):
    """The person whose data are exported. Their data are never shown in a repr or a log."""

    subject: UUID
    consents: tuple[Consent, ...]
    controller: Controller

    def __repr__(self) -> str:
        return "Person(…)"

    __str__ = __repr__
