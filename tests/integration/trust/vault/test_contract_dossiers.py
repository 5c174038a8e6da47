"""Dossiers in every vault: all that is kept of one person is found, and nothing of others."""

import datetime as dt
import secrets
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.vault_rows import PURPOSE, add_agent, add_handle, add_subject, decide
from trust.decisions.representatives import Representative, RepresentativeRole, Shown
from trust.domain import canonical
from trust.domain.due_dates import RequestKind, RightsRequest
from trust.domain.reidentify import Basis, Officer, OfficerRole, ReidentificationRequest, Signed
from trust.errors import NotFound
from trust.vault.protocols import Records, Vault
from trust.vault.records.requests import ExportRecord

DAY = dt.timedelta(days=1)


def _fill(records: Records, subject: uuid.UUID, at: dt.datetime) -> str:
    """Have the vault keep something of every kind about *subject*; return their gateway."""
    agent = add_agent(records)
    add_handle(records, decide(records, subject, at=at), agent)
    records.handles.end(subject, PURPOSE)
    add_handle(records, decide(records, subject, at=at), agent)
    records.subjects.rectify(subject, name="Ada Corrected", born=None)
    request = RightsRequest(uuid.uuid4(), subject, RequestKind.ACCESS, at, at + 30 * DAY)
    records.requests.add(request)
    records.exports.add(
        ExportRecord(uuid.uuid4(), subject, None, "ada", bytes(32), 7, at + 30 * DAY)
    )
    records.representatives.add(
        Representative(
            uuid.uuid4(), subject, RepresentativeRole.GUARDIAN, [], at, shown=Shown.COURT_ORDER
        ),
        name="Grace Guardian",
    )
    records.erasures.begin(subject, PURPOSE)
    return agent


def test_a_dossier_has_everything_and_of_nobody_else(vault: Vault, at: dt.datetime) -> None:
    """Handles of before, gateways, corrections, requests, exports, guardians and erasures."""
    with vault.transaction() as records:
        subject, other = add_subject(records), add_subject(records, "Bo Other")
        agent = _fill(records, subject, at)
        _fill(records, other, at)

        found = records.dossiers.of(subject)

    assert [one.agent for one in found.gateways] == [agent]
    assert [(one.agent, one.purpose, one.sensors) for one in found.sensors] == [
        (agent, PURPOSE, ["C0:FF:EE:00:00:01"])
    ] * 2
    assert [one.ended_at is None for one in found.sensors] == [False, True]
    assert [one.fields for one in found.rectifications] == [["name"]]
    assert [one.kind for one in found.requests] == [RequestKind.ACCESS]
    assert [(one.observations, one.deleted_at) for one in found.exports] == [(7, None)]
    assert [one.name for one in found.representatives] == ["Grace Guardian"]
    assert [one.purpose for one in found.erasures] == [PURPOSE]
    assert {one.subject for one in found.requests} == {subject}
    assert {one.subject for one in found.erasures} == {subject}


def test_a_sensor_that_was_unbound_is_in_the_dossier(vault: Vault, at: dt.datetime) -> None:
    """With its address, and with the time at which it was unbound as its end."""
    with vault.transaction() as records:
        agent, subject = add_agent(records), add_subject(records)
        handle = add_handle(records, decide(records, subject, at=at), agent)
        records.handles.unbind(handle, at=at, data_key=records.subjects.data_key(subject))

        (found,) = records.dossiers.of(subject).sensors

        assert (found.sensors, found.ended_at) == (["C0:FF:EE:00:00:01"], at)


def test_a_person_who_was_erased_has_no_dossier(vault: Vault) -> None:
    """Nor has one who was never here."""
    with vault.transaction() as records:
        subject = add_subject(records)
        assert records.dossiers.of(subject).sensors == []
        records.subjects.destroy_key(subject)
        for nobody in (subject, uuid.UUID(int=0)):
            with pytest.raises(NotFound):
                records.dossiers.of(nobody)


def test_reidentifications_are_found_by_pseudonym(vault: Vault, at: dt.datetime) -> None:
    """A person is told who asked for the name behind their pseudonyms, opened or not."""
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    officer = Officer(uuid.uuid4(), OfficerRole.DPO, key)
    mine, theirs = secrets.token_hex(16), secrets.token_hex(16)
    with vault.transaction() as records:
        records.officers.add(officer)
        asked = [
            ReidentificationRequest(
                uuid.uuid4(), officer.officer, PURPOSE, pseudonyms, Basis.SAFETY, "-" * 20, at, at
            )
            for pseudonyms in ([theirs, mine], [theirs])
        ]
        for one in asked:
            signed = Signed(canonical.encode(one), b"signature")
            records.reidentifications.add(one.request, officer.officer, signed)
        approval = Signed(b"approval", b"signature")
        records.reidentifications.open(asked[0].request)
        records.reidentifications.add_approval(asked[0].request, officer.officer, approval)

        found = records.dossiers.reidentifications([mine, secrets.token_hex(16)])
        nothing = records.dossiers.reidentifications([])

    assert [(one.request, one.approvals) for one in found] == [(asked[0], 1)]
    assert found[0].opened_at is not None
    assert nothing == []
