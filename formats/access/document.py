"""
Everything that a person is told with a copy of their data (GDPR art. 15(1) and (2)).

The letters of art. 15(1): purposes (a), categories (b), recipients (c), retention (d), rights (e),
complaint (f), source (g), automated decisions (h); art. 15(2): transfers. Times have a zone.
"""

import datetime as dt
from collections.abc import Mapping

import msgspec


class Notice(msgspec.Struct, frozen=True):
    """The statements of the controller; None where the controller has not said it."""

    controller: str
    contact: str | None = None
    dpo: str | None = None
    """How to reach the data protection officer."""
    authority: str | None = None
    """The supervisory authority for a complaint."""
    sources: str | None = None
    """Where personal details come from; measurements come from the sensors."""
    transfers: str | None = None
    """Transfers to countries outside the EU, and their safeguards; or that there are none."""
    automated_decisions: str | None = None
    """Automated decisions about people, and their logic; or that there are none."""
    purposes: Mapping[str, str] = {}
    """By the name of a purpose: what it is for, in words."""
    recipients: Mapping[str, str] = {}
    """By the name of a recipient: who that is."""

    def unsaid(self) -> list[str]:
        """Return the names of the statements that are missing."""
        return [name for name in self.__struct_fields__ if getattr(self, name) is None]


class Detail(msgspec.Struct, frozen=True):
    """The finest detail in which a quantity is kept for a purpose."""

    quantity: str
    unit: str
    step: float
    """Rounding of values, in *unit*."""
    interval_s: float
    time_step_s: float
    aggregate: str


class Purpose(msgspec.Struct, frozen=True):
    """A version of a purpose that the person decided on."""

    purpose: str
    version: int
    art6: str
    art9: str
    needs_consent: bool
    recipients: list[str]
    details: list[Detail]
    never: list[str]
    """Quantities that the policy rules out."""
    raw_days: int
    aggregate_days: int
    justification: str | None = None


class AnswerGiven(msgspec.Struct, frozen=True):
    """A decision, and what became of it."""

    purpose: str
    version: int
    state: str
    standing: str
    decided_at: dt.datetime
    valid_from: dt.datetime
    ends_at: dt.datetime | None
    given_by: str


class Sensor(msgspec.Struct, frozen=True):
    """A sensor that was bound to the person for a purpose, at a gateway."""

    sensor: str | None
    """The address; None if it can no longer be read."""
    gateway: str
    purpose: str
    since: dt.datetime
    until: dt.datetime | None


class Gateway(msgspec.Struct, frozen=True):
    """A gateway that may or might measure for the person."""

    gateway: str
    since: dt.datetime
    revoked_at: dt.datetime | None


class Correction(msgspec.Struct, frozen=True):
    """Personal details that were corrected."""

    fields: list[str]
    at: dt.datetime


class Request(msgspec.Struct, frozen=True):
    """A request of the person under the GDPR."""

    right: str
    received_at: dt.datetime
    due_at: dt.datetime
    extended_because: str | None
    closed_at: dt.datetime | None
    outcome: str | None


class Copy(msgspec.Struct, frozen=True):
    """A copy of the data that was made before."""

    made_at: dt.datetime
    observations: int
    deleted_at: dt.datetime | None


class Deputy(msgspec.Struct, frozen=True):
    """Someone who may, or might once, decide for the person."""

    name: str | None
    role: str
    purposes: list[str]
    since: dt.datetime
    until: dt.datetime | None
    shown: str | None


class Opening(msgspec.Struct, frozen=True):
    """A request of officers to learn who is behind the person's pseudonym."""

    purpose: str
    basis: str
    requested_at: dt.datetime
    approvals: int
    opened_at: dt.datetime | None


class Deletion(msgspec.Struct, frozen=True):
    """An erasure of one purpose."""

    purpose: str | None
    requested_at: dt.datetime


class Access(msgspec.Struct, frozen=True):
    """Everything that is told, beside the measurements."""

    made_at: dt.datetime
    version: str
    subject: str
    name: str
    born: str | None
    registered_at: dt.datetime
    notice: Notice
    purposes: list[Purpose]
    answers: list[AnswerGiven]
    sensors: list[Sensor]
    gateways: list[Gateway]
    corrections: list[Correction]
    requests: list[Request]
    copies: list[Copy]
    deputies: list[Deputy]
    openings: list[Opening]
    deletions: list[Deletion]

    def __repr__(self) -> str:
        return "Access(…)"
