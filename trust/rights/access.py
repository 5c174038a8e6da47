"""What a person is told with their data: the dossier, the policies and the controller's notice."""

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from msgspec import UnsetType

from formats.access.document import (
    Access,
    AnswerGiven,
    Copy,
    Correction,
    Deletion,
    Deputy,
    Detail,
    Gateway,
    Notice,
    Opening,
    Purpose,
    Request,
    Sensor,
)
from trust.config import NoticeSettings
from trust.domain import purposes
from trust.domain.subjects import PersonalDetails
from trust.rights.answers import Answered
from trust.vault.records.dossiers import (
    BoundSensors,
    Dossier,
    NamedRepresentative,
    RecordedReidentification,
)
from wire.quantities import BY_NAME


class Told(msgspec.Struct, frozen=True):
    """Everything that was read of a person, beside the measurements."""

    subject: UUID
    identity: PersonalDetails
    dossier: Dossier
    answers: Sequence[Answered]
    policies: Sequence[purposes.Purpose]
    """The versions of purposes that the person decided on."""
    openings: Sequence[RecordedReidentification]

    def __repr__(self) -> str:
        return "Told(…)"


def notice_of(controller: str, said: NoticeSettings) -> Notice:
    """Return what the settings say; the name under which pseudonyms are made if they say none."""
    return Notice(
        controller=said.controller or controller,
        contact=said.contact,
        dpo=said.dpo,
        authority=said.authority,
        sources=said.sources,
        transfers=said.transfers,
        automated_decisions=said.automated_decisions,
        purposes=said.purposes,
        recipients=said.recipients,
    )


def unsaid(notice: Notice, policies: Iterable[purposes.Purpose]) -> list[str]:
    """Return the keys of the section [notice] that are missing, for the purposes of *policies*."""
    known = list(policies)
    names = dict.fromkeys(one.name for one in known)
    recipients = dict.fromkeys(name for one in known for name in one.recipients)
    return [
        *notice.unsaid(),
        *(f"purposes.{name}" for name in names if name not in notice.purposes),
        *(f"recipients.{name}" for name in recipients if name not in notice.recipients),
    ]


def access_of(told: Told, notice: Notice, *, made_at: dt.datetime, version: str) -> Access:
    """Return what the person is told *made_at* a time, by this *version* of VitalVeil."""
    dossier = told.dossier
    return Access(
        made_at=made_at,
        version=version,
        subject=str(told.subject),
        name=told.identity.name,
        born=told.identity.born,
        registered_at=dossier.added_at,
        notice=notice,
        purposes=[_purpose(one) for one in told.policies],
        answers=[_answer(one) for one in told.answers],
        sensors=[sensor for one in dossier.sensors for sensor in _sensors(one)],
        gateways=[Gateway(one.agent, one.enrolled_at, one.revoked_at) for one in dossier.gateways],
        corrections=[Correction(one.fields, one.rectified_at) for one in dossier.rectifications],
        requests=[
            Request(
                one.kind.value,
                one.received_at,
                one.due_at,
                one.extended_because,
                one.closed_at,
                None if one.outcome is None else one.outcome.value,
            )
            for one in dossier.requests
        ],
        copies=[Copy(one.made_at, one.observations, one.deleted_at) for one in dossier.exports],
        deputies=[_deputy(one) for one in dossier.representatives],
        openings=[
            Opening(
                one.request.purpose,
                one.request.basis.value,
                one.request.requested_at,
                one.approvals,
                one.opened_at,
            )
            for one in told.openings
        ],
        deletions=[Deletion(one.purpose, one.requested_at) for one in dossier.erasures],
    )


def _purpose(one: purposes.Purpose) -> Purpose:
    justification = one.justification
    return Purpose(
        purpose=one.name,
        version=one.version,
        art6=one.art6.value,
        art9=one.art9.value,
        needs_consent=one.needs_consent,
        recipients=one.recipients,
        details=[_detail(name, allowed) for name, allowed in one.quantities.items()],
        never=one.deny,
        raw_days=one.retention.raw_days,
        aggregate_days=one.retention.aggregate_days,
        justification=None if isinstance(justification, UnsetType) else justification,
    )


def _detail(name: str, allowed: purposes.Allowed) -> Detail:
    quantity = BY_NAME[name]
    return Detail(
        name,
        quantity.unit,
        quantity.to_unit(allowed.step),
        allowed.interval_ms / 1000,
        allowed.time_step_ms / 1000,
        allowed.aggregate.value,
    )


def _answer(one: Answered) -> AnswerGiven:
    decision = one.decision
    return AnswerGiven(
        decision.purpose,
        decision.version,
        decision.state.value,
        one.standing.value,
        decision.decided_at,
        decision.valid_from,
        one.ends_at,
        decision.given_by.value,
    )


def _sensors(one: BoundSensors) -> list[Sensor]:
    sensors: Sequence[str | None] = [None] if one.sensors is None else one.sensors
    return [
        Sensor(sensor, one.agent, one.purpose, one.issued_at, one.ended_at) for sensor in sensors
    ]


def _deputy(one: NamedRepresentative) -> Deputy:
    who = one.representative
    ends = [end for end in (who.valid_to, who.ended_at) if end is not None]
    return Deputy(
        one.name,
        who.role.value,
        who.purposes,
        who.valid_from,
        min(ends, default=None),
        None if who.shown is None else who.shown.value,
    )
