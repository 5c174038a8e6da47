"""Erasures, requests, exports, officers and enrolments: the same rules for every vault."""

import datetime as dt
import secrets
import uuid

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.vault_rows import PURPOSE, add_agent, add_subject, decide
from trust.domain.due_dates import RequestKind, RequestOutcome, RightsRequest
from trust.domain.erasure_steps import (
    Certificate,
    ErasedAgain,
    Frozen,
    KeysDestroyed,
    Marked,
    NamesErased,
    RewrittenAgain,
)
from trust.domain.reidentify import Officer, OfficerRole, Signed
from trust.domain.tokens import Token
from trust.errors import Conflict, NotFound, Tampered, VaultUnavailable
from trust.ports import Keys
from trust.vault.protocols import Records, Vault
from trust.vault.records.enrolments import Renewal
from trust.vault.records.erasures import Erasure, LedgerEntry, sign_step
from trust.vault.records.requests import ExportRecord

_NONE = uuid.UUID(int=0)


# Erasures

_FROZEN = Frozen(["care"], unverified=1, in_force=False)


def _mark(rows: int) -> Marked:
    return Marked([], None, [], {"observations": rows}, [], [])


def _certificate(number: int, subject: uuid.UUID) -> Certificate:
    return Certificate(number, str(subject), "all", "", "", {}, 0, 0, [], {}, {}, [])


def test_an_erasure_under_way_goes_on(vault: Vault, at: dt.datetime) -> None:
    """
    An erasure that is begun again keeps its number until it is certified; another scope has its
    own.
    """
    with vault.transaction() as records:
        subject = add_subject(records)
        decide(records, subject, at=at)
        number = records.erasures.begin(subject, None)

        assert records.erasures.begin(subject, None) == number
        assert records.erasures.begin(subject, PURPOSE) == number + 1
        assert records.erasures.get(number).purpose is None
        assert records.erasures.get(number + 1).purpose == PURPOSE
        records.erasures.record(number, _certificate(number, subject))
        assert records.erasures.begin(subject, None) == number + 2
        with pytest.raises(NotFound):
            records.erasures.begin(_NONE, None)
        with pytest.raises(Conflict):
            records.erasures.begin(subject, "another-purpose")
        with pytest.raises(NotFound):
            records.erasures.get(number + 9)


def test_a_step_is_recorded_once(vault: Vault) -> None:
    """The first record of a step is kept."""
    with vault.transaction() as records:
        number = records.erasures.begin(add_subject(records), None)
        records.erasures.record(number, _FROZEN)
        records.erasures.record(number, Frozen([], unverified=0, in_force=True))

        assert records.erasures.steps(number).get(Frozen) == _FROZEN
        assert records.erasures.steps(number).get(Marked) is None
        assert records.erasures.steps(number + 1).get(Frozen) is None
        with pytest.raises(NotFound):
            records.erasures.certified(number)
        with pytest.raises(NotFound):
            records.erasures.entry(number)


def test_a_step_belongs_to_an_erasure(vault: Vault) -> None:
    """A step of an unknown erasure is refused."""
    with pytest.raises(VaultUnavailable), vault.transaction() as records:
        records.erasures.record(9, _FROZEN)


def test_marks_are_done_once_the_names_are_erased(vault: Vault) -> None:
    """Only marked erasures are returned, and they are done once the names are erased."""
    with vault.transaction() as records:
        numbers = [records.erasures.begin(add_subject(records), None) for _ in range(3)]
        for number in numbers[:2]:
            records.erasures.record(number, _mark(number))
        records.erasures.record(numbers[1], NamesErased({}))

        marks, tampered = records.erasures.marks()

        assert [(m.erasure.number, m.is_done) for m in marks] == [
            (numbers[0], False), (numbers[1], True),
        ]  # fmt: skip
        assert [m.facts for m in marks] == [_mark(number) for number in numbers[:2]]
        assert tampered == []


def test_what_is_found_again_waits_for_its_files(vault: Vault) -> None:
    """Data that were found again count as rewritten once the step that follows is recorded."""
    with vault.transaction() as records:
        number = records.erasures.begin(add_subject(records), None)
        found = ErasedAgain(["names"], [3], [], 0)
        records.erasures.record_again(number, found, times=1)
        (before,) = records.erasures.found_again()
        records.erasures.record_again(number, RewrittenAgain({}), times=1)
        (after,) = records.erasures.found_again()

        assert (before.times, before.facts, before.is_rewritten) == (1, found, False)
        assert after.is_rewritten


def _marked(records: Records) -> tuple[uuid.UUID, int]:
    subject = add_subject(records)
    number = records.erasures.begin(subject, None)
    records.erasures.record(number, _mark(1))
    return subject, number


def test_a_known_entry_is_not_entered(vault: Vault) -> None:
    """
    An entry of the ledger's file is ignored if the vault has it, or does not know its
    subject.
    """
    with vault.transaction() as records:
        _, number = _marked(records)
        entry = records.erasures.entry(number)
        stranger = msgspec.structs.replace(entry.erasure, subject=_NONE)

        assert records.erasures.read(entry) == _mark(1)
        assert records.erasures.enter(entry) is None
        assert records.erasures.enter(msgspec.structs.replace(entry, erasure=stranger)) is None


def test_an_entry_is_entered_under_its_number_or_another(vault: Vault, at: dt.datetime) -> None:
    """An entry keeps its number if that is free, and no number is given twice afterwards."""
    with vault.transaction() as records:
        _, number = _marked(records)
        known = records.erasures.entry(number)
        # The vault was restored: the file has the number of a newer erasure.
        earlier = msgspec.structs.replace(known.erasure, requested_at=at - dt.timedelta(hours=1))
        taken = msgspec.structs.replace(known, erasure=earlier)

        assert records.erasures.enter(taken) == number + 1
        assert records.erasures.enter(taken) is None
        assert records.erasures.get(number + 1).requested_at == earlier.requested_at
        other = add_subject(records)
        assert records.erasures.begin(other, None) == number + 2


def test_a_number_of_the_file_is_never_given_again(
    vault: Vault, keys: Keys, at: dt.datetime
) -> None:
    """After an entry with a higher number, the next erasure has a number above it."""
    document, signature = sign_step(9, "mark", _mark(1), keys)
    with vault.transaction() as records:
        subject = add_subject(records)
        entry = LedgerEntry(Erasure(9, subject, None, at), document.decode(), signature)

        assert records.erasures.enter(entry) == 9
        assert records.erasures.entry(9) == entry
        assert records.erasures.begin(add_subject(records), None) == 10


def test_an_entry_that_was_changed_is_refused(vault: Vault) -> None:
    """The step of an entry must be signed for the number that the entry names."""
    with vault.transaction() as records:
        _, number = _marked(records)
        entry = records.erasures.entry(number)
        renumbered = msgspec.structs.replace(entry.erasure, number=number + 5)
        for wrong in (
            msgspec.structs.replace(entry, erasure=renumbered),
            msgspec.structs.replace(entry, document=entry.document.replace("1", "2")),
        ):
            with pytest.raises(Tampered):
                records.erasures.enter(wrong)


def test_a_person_who_is_back_is_found(vault: Vault) -> None:
    """A data key that exists although an erasure destroyed it came back with a backup."""
    with vault.transaction() as records:
        subject, number = _marked(records)
        assert records.erasures.restored_subjects() == []
        records.erasures.record(number, KeysDestroyed(0, [], 0, 0))
        assert records.erasures.restored_subjects() == [(number, subject)]
        records.subjects.destroy_key(subject)
        assert records.erasures.restored_subjects() == []
        assert records.erasures.destroyed_subjects() == [(number, subject)]


# Requests and exports


def test_a_request_is_closed_once(vault: Vault, at: dt.datetime) -> None:
    """Open requests are listed by their due date; the outcome of a closed one is kept."""
    with vault.transaction() as records:
        subject = add_subject(records)
        early, late = (
            RightsRequest(
                uuid.uuid4(), subject, RequestKind.ACCESS, at, at + dt.timedelta(days=days)
            )
            for days in (10, 20)
        )
        for one in (late, early):
            records.requests.add(one)

        assert records.requests.all(with_closed=False) == [early, late]
        extended = msgspec.structs.replace(
            early, due_at=at + dt.timedelta(days=30), extended_because="many"
        )
        records.requests.extend(extended)
        assert records.requests.get(early.request) == extended
        records.requests.close(late.request, RequestOutcome.GRANTED)
        assert records.requests.ids(with_closed=False) == [early.request]
        assert records.requests.ids(with_closed=True) == [late.request, early.request]
        assert records.requests.get(late.request).outcome is RequestOutcome.GRANTED
        for unknown in (late.request, _NONE):
            with pytest.raises(Conflict):
                records.requests.close(unknown, RequestOutcome.GRANTED)
        with pytest.raises(NotFound):
            records.requests.get(_NONE)


def test_a_deleted_export_is_listed_no_more(vault: Vault, at: dt.datetime) -> None:
    """An export is listed for its person, and as expired after its time, until it is deleted."""
    with vault.transaction() as records:
        subject = add_subject(records)
        export = ExportRecord(uuid.uuid4(), subject, None, "/exports/a", b"0" * 32, 3, at)
        records.exports.add(export)
        found = [(export.export, "/exports/a")]

        assert records.exports.of(subject) == found
        assert records.exports.of(_NONE) == []
        assert records.exports.expired(at=at) == found
        assert records.exports.expired(at=at - dt.timedelta(seconds=1)) == []
        records.exports.mark_deleted(export.export)
        assert records.exports.of(subject) == []
        assert records.exports.expired(at=at) == []


# Officers and re-identification


def _officer() -> Officer:
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    return Officer(uuid.uuid4(), OfficerRole.DPO, key)


def test_an_officer_has_a_key_of_their_own(vault: Vault) -> None:
    """Each officer has a distinct key; an office ends once."""
    with vault.transaction() as records:
        officer, other = _officer(), _officer()
        records.officers.add(officer)
        records.officers.add(other)

        assert not records.admissions.is_fresh()
        with pytest.raises(Conflict):
            records.officers.add(msgspec.structs.replace(_officer(), public_key=other.public_key))
        records.officers.end(other.officer)
        known = records.officers.all()
        assert [one.officer for one in known.values()] == [officer, other]
        assert (known[officer.officer].ended_at is None) != (known[other.officer].ended_at is None)
        with pytest.raises(NotFound):
            records.officers.end(other.officer)


def test_a_request_to_re_identify_is_opened_once(vault: Vault, at: dt.datetime) -> None:
    """
    Each officer approves a request once, it is opened once, and every attempt is listed, newest
    first.
    """
    with vault.transaction() as records:
        officers = [_officer() for _ in range(2)]
        for officer in officers:
            records.officers.add(officer)
        asker, approver = (officer.officer for officer in officers)
        request, signed = uuid.uuid4(), Signed(b"document", b"signature")
        records.reidentifications.add(request, asker, signed)

        assert records.reidentifications.get(request) == (signed, None)
        assert records.reidentifications.get(_NONE) is None
        assert records.reidentifications.requested_since(asker, at - dt.timedelta(days=1)) == 1
        assert records.reidentifications.requested_since(asker, at + dt.timedelta(days=1)) == 0
        records.reidentifications.add_approval(request, approver, signed)
        assert records.reidentifications.approvals(request) == [signed]
        assert records.reidentifications.open(request)
        assert not records.reidentifications.open(request)
        for outcome in ("refused", "opened"):
            records.reidentifications.add_attempt(
                request=request, officer=asker, action="open", outcome=outcome
            )
        (last,) = records.reidentifications.attempts(limit=1)
        assert last[:4] == (request, asker, "open", "opened")


# Enrolments


def test_a_token_is_used_for_one_request(vault: Vault, at: dt.datetime) -> None:
    """A token keeps the request that it was used for, and wrong proofs are counted."""
    token = Token(secrets.token_bytes(8), secrets.token_bytes(16))
    with vault.transaction() as records:
        agent = add_agent(records)
        records.enrolments.add(token, format="json", expires_at=at)
        records.enrolments.fail(token.enrolment)
        records.enrolments.use(
            token.enrolment, request_sha256=b"0" * 32, agent=agent, certificate=b"pem"
        )

        issued = records.enrolments.lock(token.enrolment)

        assert issued is not None
        assert issued.secret_sha256 == token.secret_sha256
        assert (issued.failures, issued.agent, issued.certificate) == (1, agent, b"pem")
        assert issued.used_at is not None
        assert records.enrolments.lock(b"0" * 8) is None


def test_a_certificate_is_renewed_once(vault: Vault, at: dt.datetime) -> None:
    """
    The owner of a certificate is known, and whether either is revoked; a second renewal is
    refused.
    """
    answer = Renewal(b"0" * 32, b"pem")
    with vault.transaction() as records:
        agent = add_agent(records)
        for serial in (1, 2, 3):
            records.agents.add_certificate(agent, serial, not_after=at)
        records.enrolments.add_renewal(1, succeeded_by=2, answer=answer)

        assert records.enrolments.renewal(1) == answer
        assert records.enrolments.renewal(2) is None
        assert records.enrolments.certificate_owner(1) == (agent, False)
        assert records.enrolments.certificate_owner(9) is None
    with pytest.raises(VaultUnavailable), vault.transaction() as records:
        records.enrolments.add_renewal(1, succeeded_by=3, answer=answer)
    with vault.transaction() as records:
        records.agents.revoke(agent)
        assert records.enrolments.certificate_owner(1) == (agent, True)
