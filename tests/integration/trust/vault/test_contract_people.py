"""Subjects, representatives, purposes and decisions: the same rules for every vault."""

import datetime as dt
import uuid

import msgspec
import pytest

from tests.support.vault_rows import (
    PURPOSE,
    add_agent,
    add_handle,
    add_subject,
    decide,
    purpose,
)
from trust.decisions.decisions import Decision, State
from trust.decisions.representatives import Representative, RepresentativeRole
from trust.domain import canonical
from trust.domain.approval import Admission, AdmissionKind
from trust.domain.subjects import PersonalDetails
from trust.errors import NotFound, Tampered, VaultUnavailable
from trust.vault.protocols import Records, Vault

_NONE = uuid.UUID(int=0)


# Subjects


def test_personal_details_are_read_as_they_were_added(vault: Vault) -> None:
    """
    Personal details are read as they were added; an unknown person has neither details
    nor a key.
    """
    with vault.transaction() as records:
        subject = add_subject(records, "Ada Canary")

        assert records.subjects.personal_details(subject) == PersonalDetails(
            "Ada Canary", "1990-05"
        )
        assert records.subjects.hold(subject) == records.subjects.data_key(subject)
        assert records.subjects.exists(subject)
        assert not records.subjects.exists(_NONE)
        for ask in (
            records.subjects.personal_details,
            records.subjects.data_key,
            records.subjects.hold,
            records.subjects.is_erased,
        ):
            with pytest.raises(NotFound):
                ask(_NONE)


def test_a_correction_names_the_fields_that_changed(vault: Vault) -> None:
    """A correction returns only the fields that changed."""
    with vault.transaction() as records:
        subject = add_subject(records, "Ada")

        assert records.subjects.rectify(subject, name="Ada", born="1991-01") == ["born"]
        assert records.subjects.rectify(subject, name=None, born=None) == []
        assert records.subjects.personal_details(subject) == PersonalDetails("Ada", "1991-01")


def test_a_destroyed_key_leaves_nothing_to_read(vault: Vault) -> None:
    """After the key is destroyed, the person is listed, and has neither key nor details."""
    with vault.transaction() as records:
        subject = add_subject(records)
        before = records.subjects.data_key_id(subject)

        assert not records.subjects.is_erased(subject)
        assert records.subjects.destroy_key(subject)
        assert not records.subjects.destroy_key(subject)
        assert not records.subjects.destroy_key(_NONE)
        assert records.subjects.is_erased(subject)
        assert records.subjects.data_key_id(subject) != before
        assert [one for one, _ in records.subjects.page(after=_NONE, limit=9)] == [subject]
        with pytest.raises(NotFound):
            records.subjects.personal_details(subject)


def test_people_are_listed_page_by_page(vault: Vault) -> None:
    """A page begins after an id, in the order of ids."""
    with vault.transaction() as records:
        people = sorted(add_subject(records) for _ in range(3))

        assert [one for one, _ in records.subjects.page(after=people[0], limit=1)] == people[1:2]
        assert [one for one, _ in records.subjects.page(after=people[0], limit=9)] == people[1:]


def test_a_mandate_ends_once(vault: Vault, at: dt.datetime) -> None:
    """
    An ended mandate is still listed; wards are people with a guardian, until they are
    erased.
    """
    with vault.transaction() as records:
        subject, other = add_subject(records), add_subject(records)
        guardian = Representative(uuid.uuid4(), subject, RepresentativeRole.GUARDIAN, [], at)
        proxy = Representative(uuid.uuid4(), other, RepresentativeRole.PROXY, [PURPOSE], at)
        for one in (guardian, proxy):
            records.representatives.add(one, name="Bo")

        assert records.representatives.of(subject) == [guardian]
        assert records.representatives.of(other) == [proxy]
        assert records.representatives.wards() == [subject]
        records.representatives.end(guardian.representative)
        (ended,) = records.representatives.of(subject)
        assert ended.ended_at is not None
        assert records.representatives.wards() == [subject]
        for unknown in (guardian.representative, _NONE):
            with pytest.raises(NotFound):
                records.representatives.end(unknown)
        records.subjects.destroy_key(subject)
        assert records.representatives.wards() == []
        with pytest.raises(NotFound):
            records.representatives.add(guardian, name="Bo")


# Purposes


def test_a_version_of_a_purpose_never_changes(vault: Vault) -> None:
    """Adding a version of a purpose again, even with other content, keeps the first one."""
    other = msgspec.structs.replace(purpose(1), recipients=["someone-else"])
    with vault.transaction() as records:
        assert records.purposes.add(purpose(1))
        assert records.purposes.add(purpose(2))
        assert not records.purposes.add(other)
    with vault.transaction() as records:
        assert records.purposes.get(PURPOSE, 1) == purpose(1)
        assert records.purposes.versions(PURPOSE) == [2, 1]
        assert records.purposes.references() == [(PURPOSE, 1), (PURPOSE, 2)]
        assert records.purposes.all() == [purpose(1), purpose(2)]
        assert records.purposes.names() == [PURPOSE]
        assert records.purposes.signed(PURPOSE, 1).document == canonical.encode(purpose(1))
        assert records.purposes.loaded_at(PURPOSE, 1).tzinfo is not None
        for ask in (records.purposes.get, records.purposes.signed):
            with pytest.raises(NotFound):
                ask(PURPOSE, 3)


def test_an_admission_is_kept_once(vault: Vault, at: dt.datetime) -> None:
    """An admission is recorded once, and only for an existing version."""
    admission = Admission(PURPOSE, 1, "aa", "bb", AdmissionKind.FIRST, [], [], at)
    with vault.transaction() as records:
        assert records.admissions.is_fresh()
        records.purposes.add(purpose(1))
        assert records.admissions.get(PURPOSE, 1) is None
        records.admissions.admit(admission)
    with vault.transaction() as records:
        assert records.admissions.get(PURPOSE, 1) == admission
        assert records.admissions.all() == [(PURPOSE, 1)]
        assert records.admissions.approvals(PURPOSE, 1) == []
        add_subject(records)
        assert not records.admissions.is_fresh()
    for wrong in (admission, msgspec.structs.replace(admission, version=2)):
        with pytest.raises(VaultUnavailable), vault.transaction() as records:
            records.admissions.admit(wrong)


# Decisions


def test_decisions_form_one_chain(vault: Vault, at: dt.datetime) -> None:
    """A chain is read in its order, apart from those of other people and purposes."""
    with vault.transaction() as records:
        subject, other = add_subject(records), add_subject(records)
        chain = [decide(records, subject, at=at), decide(records, subject, State.WITHDRAWN, at=at)]
        theirs = decide(records, other, at=at, version=2)

        assert records.decisions.chain(subject, PURPOSE) == chain
        assert records.decisions.chain(other, PURPOSE) == [theirs]
        assert records.decisions.chain(subject, "another-purpose") == []
        assert records.decisions.references(subject) == [(PURPOSE, 1)]
        assert records.decisions.references(other) == [(PURPOSE, 2)]
        assert records.decisions.purposes_of(subject) == [PURPOSE]
        assert list(records.decisions.recorded_at(subject)) == [d.decision for d in chain]
        assert len(records.decisions.signed_of(subject)) == 2
        assert records.admissions.decided_on(PURPOSE) == [1, 2]


@pytest.mark.parametrize("kind", ["again", "fork", "nobody", "no purpose", "nothing before"])
def test_a_decision_that_breaks_the_chain_is_refused(
    vault: Vault, at: dt.datetime, kind: str
) -> None:
    """
    Refused are a repeated decision, a fork, an unknown person or purpose, and an unknown
    predecessor.
    """
    with vault.transaction() as records:
        first = decide(records, add_subject(records), at=at)
    changes: dict[str, dict[str, object]] = {
        "again": {},
        "fork": {"decision": uuid.uuid4()},
        "nobody": {"decision": uuid.uuid4(), "subject": _NONE},
        "no purpose": {"decision": uuid.uuid4(), "version": 9, "supersedes": first.decision},
        "nothing before": {"decision": uuid.uuid4(), "supersedes": uuid.uuid4()},
    }

    with pytest.raises(VaultUnavailable) as refused, vault.transaction() as records:
        records.decisions.add(msgspec.structs.replace(first, **changes[kind]))

    assert refused.value.is_of_a_row
    with vault.transaction() as records:
        assert records.decisions.count() == 1


def _add_one_and_repeat(records: Records, decision: Decision) -> None:
    add_subject(records)
    records.decisions.add(decision)


def test_what_is_isolated_is_taken_back_alone(vault: Vault, at: dt.datetime) -> None:
    """A row that is refused inside ends neither the transaction nor what was done before it."""
    with vault.transaction() as records:
        subject = add_subject(records)
        first = decide(records, subject, at=at)
        with pytest.raises(VaultUnavailable) as refused, records.isolated():
            _add_one_and_repeat(records, first)
        assert refused.value.is_of_a_row
        with records.isolated():
            other = add_subject(records)
    with vault.transaction() as records:
        assert records.decisions.count() == 1
        assert {s for s, _ in records.subjects.page(after=_NONE, limit=9)} == {subject, other}


def test_the_owners_of_live_handles_are_known(vault: Vault, at: dt.datetime) -> None:
    """Each live handle is found by its gateway and by itself; one that ended is not."""
    with vault.transaction() as records:
        agent, elsewhere = add_agent(records), add_agent(records)
        subject = add_subject(records)
        handle = add_handle(records, decide(records, subject, at=at), agent)

        assert records.handles.owners_at([agent]) == [(handle.handle, subject, agent, PURPOSE)]
        assert records.handles.owners_at([elsewhere]) == []
        assert [records.handles.sealed(handle.handle)] == records.handles.sealed_at([agent])
        records.handles.end_at(agent)
        assert records.handles.owners_at([agent]) == []
        assert records.handles.sealed(handle.handle) is None


def test_a_document_that_was_not_signed_is_not_used(vault: Vault, at: dt.datetime) -> None:
    """A signature of another document, or the chain of another person, does not verify."""
    with vault.transaction() as records:
        subject, other = add_subject(records), add_subject(records)
        decide(records, subject, at=at)
        decide(records, subject, State.WITHDRAWN, at=at)
        (first, signature), (second, _) = records.decisions.signed_of(subject)

        for chain, signed in [
            ((subject, PURPOSE), [(second, signature)]),
            ((subject, PURPOSE), records.decisions.signed_of(subject)[1:]),
            ((other, PURPOSE), [(first, signature)]),
        ]:
            with pytest.raises(Tampered):
                records.decisions.verified_chain(chain, signed)


def test_chains_are_counted(vault: Vault, at: dt.datetime) -> None:
    """The length of a chain counts all its decisions; a person without decisions has length 0."""
    with vault.transaction() as records:
        people = sorted(add_subject(records) for _ in range(3))
        decide(records, people[0], at=at)
        position = records.decisions.last_position()
        decide(records, people[0], State.WITHDRAWN, at=at)
        decide(records, people[1], at=at)

        assert records.decisions.count() == 3
        assert records.decisions.chain_lengths_after(position) == {
            (people[0], PURPOSE): 2, (people[1], PURPOSE): 1,
        }  # fmt: skip
        newest = records.decisions.last_position()
        assert records.decisions.chain_lengths_after(newest) == {}
        assert records.decisions.chain_lengths(after=people[0], limit=2) == {
            (people[1], PURPOSE): 1, (people[2], PURPOSE): 0,
        }  # fmt: skip


def _is_of(records: Records, subject: uuid.UUID) -> list[str]:
    return records.decisions.purposes_with_handles(subject)


def test_a_persons_purposes_are_those_of_decisions_and_handles(
    vault: Vault, at: dt.datetime
) -> None:
    """A handle counts for the purposes of a person, even if no decision is left."""
    with vault.transaction() as records:
        subject, other = add_subject(records), add_subject(records)
        decision = decide(records, subject, at=at)
        assert (_is_of(records, subject), _is_of(records, other)) == ([PURPOSE], [])
        moved = msgspec.structs.replace(decision, subject=other)
        add_handle(records, moved, add_agent(records))

        assert _is_of(records, other) == [PURPOSE]
        assert records.decisions.restricted() == []
        decide(records, subject, State.RESTRICTED, at=at)
        assert records.decisions.restricted() == [(subject, PURPOSE)]
