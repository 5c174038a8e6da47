"""The dossier of a person: all that the vault keeps about them beside details and decisions."""

import datetime as dt
from collections.abc import Collection
from typing import Protocol
from uuid import UUID

import msgspec

from trust.decisions.representatives import Representative
from trust.domain import subjects
from trust.domain.due_dates import RightsRequest
from trust.domain.reidentify import ReidentificationRequest
from trust.errors import Tampered
from trust.ports import Keys
from trust.vault.records.erasures import Erasure
from trust.vault.records.handles import SealedHandle, open_handle


class BoundSensors(msgspec.Struct, frozen=True):
    """The sensors of one handle of the person, live, unbound or ended."""

    agent: str
    purpose: str
    sensors: list[str] | None
    """The addresses of the sensors; None if they do not open."""
    issued_at: dt.datetime
    ended_at: dt.datetime | None


class GatewayRecord(msgspec.Struct, frozen=True):
    """A gateway that has or had a handle of the person."""

    agent: str
    enrolled_at: dt.datetime
    revoked_at: dt.datetime | None


class Rectification(msgspec.Struct, frozen=True):
    """Fields of the personal details that were corrected; not what they were."""

    fields: list[str]
    rectified_at: dt.datetime


class RecordedExport(msgspec.Struct, frozen=True):
    """An export of the person's data that was made."""

    export: UUID
    made_at: dt.datetime
    observations: int
    expires_at: dt.datetime
    deleted_at: dt.datetime | None


class NamedRepresentative(msgspec.Struct, frozen=True):
    """Someone who may, or might once, decide for the person."""

    representative: Representative
    name: str | None
    """None if the name does not open."""

    def __repr__(self) -> str:
        return "NamedRepresentative(…)"


class RecordedReidentification(msgspec.Struct, frozen=True):
    """A request of an officer to learn who is behind pseudonyms."""

    request: ReidentificationRequest
    approvals: int
    opened_at: dt.datetime | None


class Dossier(msgspec.Struct, frozen=True):
    """What the vault keeps about one person; each list in the order of recording."""

    added_at: dt.datetime
    sensors: list[BoundSensors]
    gateways: list[GatewayRecord]
    rectifications: list[Rectification]
    requests: list[RightsRequest]
    exports: list[RecordedExport]
    representatives: list[NamedRepresentative]
    erasures: list[Erasure]
    """Erasures of single purposes."""

    def __repr__(self) -> str:
        return "Dossier(…)"


def bound_sensors(sealed: SealedHandle, ended_at: dt.datetime | None, keys: Keys) -> BoundSensors:
    """Return the sensors of *sealed*, which measured until they were unbound or it ended."""
    assert sealed.issued_at is not None  # noqa: S101 - it is read from a row that has one
    try:
        handle = open_handle(sealed, keys)
    except Tampered:
        sensors = None
    else:
        sensors = handle.bindings or handle.unbound
    ends = [at for at in (sealed.unbound_at, ended_at) if at is not None]
    return BoundSensors(
        *(sealed.agent, sealed.purpose, sensors),
        *(sealed.issued_at, min(ends, default=None)),
    )


def opened_name(sealed: bytes, representative: UUID, data_key: bytes) -> str | None:
    """Return the name of a representative; None if it does not open."""
    try:
        return subjects.open_identity(sealed, subject=representative, data_key=data_key).name
    except Tampered:
        return None


class Dossiers(Protocol):
    """What the vault keeps about people, read for them alone (GDPR art. 15)."""

    def of(self, subject: UUID) -> Dossier:
        """
        Return the dossier of *subject*.

        Raises:
            NotFound: There is no such subject, or they were erased.
        """
        ...

    def reidentifications(self, pseudonyms: Collection[str]) -> list[RecordedReidentification]:
        """
        Return the requests to re-identify any of *pseudonyms*, in the order they were made.

        Args:
            pseudonyms: In hexadecimal.
        """
        ...
