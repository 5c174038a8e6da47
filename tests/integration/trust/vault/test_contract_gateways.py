"""Transactions, agents, handles and epochs: the same rules for every vault."""

import datetime as dt
import secrets

import msgspec
import pytest

from tests.support.vault_rows import PURPOSE, add_agent, add_handle, add_subject, decide
from trust.composition import now
from trust.errors import Tampered, VaultUnavailable
from trust.vault.protocols import Vault

_LONG_AGO = dt.timedelta(0)


def _key() -> bytes:
    return secrets.token_bytes(32)


# Transactions


def test_a_block_that_fails_changes_nothing(vault: Vault) -> None:
    """The changes of a transaction are undone when its block raises an error."""

    def fail() -> None:
        with vault.transaction() as records:
            add_agent(records)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    with vault.transaction() as records:
        assert records.agents.page(after="", limit=9) == []


def test_a_row_that_the_schema_refuses_is_of_that_row(vault: Vault) -> None:
    """Adding a gateway twice is refused as an error of the row, while the server works."""
    with vault.transaction() as records:
        agent = add_agent(records)

    with pytest.raises(VaultUnavailable) as refused, vault.transaction() as records:
        records.agents.add(agent, sealed=False, lease_key=None)

    assert refused.value.is_of_a_row
    with vault.transaction() as records:
        assert records.agents.hold_all([agent]) == [agent]


# Agents


def test_a_new_agent_wants_its_first_lease(vault: Vault) -> None:
    """A new agent has one change that telemetry does not have."""
    with vault.transaction() as records:
        agent, key = add_agent(records), _key()
        sealed = add_agent(records, lease_key=key)

        first, second = records.agents.lock([sealed, agent, "0" * 16])

        assert (first.agent, first.format, first.lease_key) == (agent, "json", None)
        assert (second.agent, second.format, second.lease_key) == (sealed, "sealed", key)
        assert (first.wanted, first.applied, first.lease_version) == (1, 0, 0)
        assert records.agents.hold(sealed) == ("sealed", False)
        assert records.agents.hold("0" * 16) is None
        assert records.agents.has_lease_key(key)
        assert not records.agents.has_lease_key(_key())


def test_a_revoked_agent_keeps_its_first_time(vault: Vault) -> None:
    """A second revocation keeps the time of the first, for the agent and its certificates."""
    serials = [secrets.randbits(100), secrets.randbits(100)]
    with vault.transaction() as records:
        agent, other = add_agent(records), add_agent(records)
        ends = [now() + dt.timedelta(days=days) for days in (1, 2)]
        records.agents.add_certificates([(serials[0], agent, ends[0])])
        records.agents.add_certificate(agent, serials[1], not_after=ends[1])
        assert records.agents.lock([agent])[0].certified_until == ends[1]
        records.agents.revoke(agent)
    with vault.transaction() as records:
        (before,) = records.agents.lock([agent])
        revoked = records.agents.revocations()
        records.agents.revoke(agent)
    with vault.transaction() as records:
        assert records.agents.lock([agent]) == [before]
        assert before.revoked_at is not None
        assert before.certified_until is None
        assert records.agents.revocations() == revoked
        assert [serial for serial, _ in revoked] == sorted(serials)
        assert records.agents.owners_of([serials[0], 5]) == [agent]
        assert records.agents.uncut() == [agent]
        records.agents.note_cut([agent, other])
        assert records.agents.uncut() == []


def test_agents_are_listed_page_by_page_with_their_signs(vault: Vault) -> None:
    """A page begins after an id; a sign of a clone is listed until an operator has examined it."""
    with vault.transaction() as records:
        records.agents.add_all([("a" * 16, None), ("b" * 16, _key())])
        records.agents.note_clone_sign("b" * 16, "renewed_twice")
        records.agents.note_clone_sign("b" * 16, "renewed_twice")

        (row,) = records.agents.page(after="a" * 16, limit=1)

        assert (row.agent, row.format, row.revoked_at) == ("b" * 16, "sealed", None)
        assert (row.clone_signs, row.may_be_connected) == (["renewed_twice"], False)
        assert records.agents.vouch("b" * 16) == 1
        assert records.agents.vouch("b" * 16) == 0
        assert records.agents.page(after="a" * 16, limit=9)[0].clone_signs == []


# Handles


def test_a_handle_opens_to_what_was_bound(vault: Vault, at: dt.datetime) -> None:
    """Bindings are sealed for their handle, and cannot be opened for another one."""
    with vault.transaction() as records:
        agent = add_agent(records)
        first = add_handle(records, decide(records, add_subject(records), at=at), agent)
        add_handle(records, decide(records, add_subject(records), at=at), agent)

        sealed = {one.handle: one for one in records.handles.sealed_at([agent])}

        mine = sealed.pop(first.handle)
        assert records.handles.open(mine) == first
        (other,) = sealed.values()
        moved = msgspec.structs.replace(
            other, sealed_bindings=mine.sealed_bindings, wrapped_key=mine.wrapped_key
        )
        with pytest.raises(Tampered):
            records.handles.open(moved)
        count, length = records.handles.lease_load(agent)
        assert (count, length) == (2, len(mine.sealed_bindings) + len(other.sealed_bindings))


def test_only_what_was_named_ends(vault: Vault, at: dt.datetime) -> None:
    """
    Handles are ended for one purpose everywhere, for one purpose at one gateway, or all at a
    gateway.
    """
    with vault.transaction() as records:
        agents = [add_agent(records) for _ in range(3)]
        subject, other = add_subject(records), add_subject(records)
        decision = decide(records, subject, at=at)
        for agent in agents:
            add_handle(records, decision, agent)
        kept = add_handle(records, decide(records, other, at=at), agents[0])
        assert records.handles.agents_of(subject, PURPOSE) == agents

        records.handles.end(subject, PURPOSE, agent=agents[2])
        assert records.handles.agents_of(subject, PURPOSE) == agents[:2]
        records.handles.end(subject, PURPOSE)
        assert records.handles.agents_of(subject, PURPOSE) == []
        assert records.handles.live_at(agents[0]) == [kept.handle]
        records.handles.end_at(agents[0])
        assert records.handles.live_at(agents[0]) == []
        assert len(records.handles.of(subject, None)) == 3
        assert records.handles.of(subject, "another-purpose") == []


def test_a_person_has_a_handle_for_each_sensor(vault: Vault, at: dt.datetime) -> None:
    """Handles of a person for one purpose at a gateway stand beside each other, and end as one."""
    with vault.transaction() as records:
        agent = add_agent(records)
        subject = add_subject(records)
        decision = decide(records, subject, at=at)
        handles = {add_handle(records, decision, agent).handle for _ in range(3)}

        assert set(records.handles.live_at(agent)) == handles
        assert records.handles.agents_of(subject, PURPOSE) == [agent]
        records.handles.end(subject, PURPOSE, agent=agent)
        assert records.handles.live_at(agent) == []
        assert {handle for handle, _, _, _ in records.handles.of(subject, None)} == handles


def test_an_unbound_handle_stays_live_without_its_bindings(vault: Vault, at: dt.datetime) -> None:
    """What was bound is sealed apart; a second time, or of an ended handle, nothing changes."""
    with vault.transaction() as records:
        agent, subject = add_agent(records), add_subject(records)
        data_key = records.subjects.data_key(subject)
        decision = decide(records, subject, at=at)
        first, ended = (add_handle(records, decision, agent) for _ in range(2))

        for when in (at, at + dt.timedelta(days=1)):
            records.handles.unbind(first, at=when, data_key=data_key)

        found = {
            one.handle: one
            for one in map(records.handles.open, records.handles.sealed_at([agent]))
        }
        assert found[first.handle] == msgspec.structs.replace(
            first, bindings=[], unbound=first.bindings, unbound_at=at
        )
        assert found[ended.handle] == ended
        records.handles.end_at(agent)
        records.handles.unbind(ended, at=at, data_key=data_key)
        assert records.handles.sealed_at([agent]) == []


def test_deleted_handles_are_gone(vault: Vault, at: dt.datetime) -> None:
    """
    Handles are deleted by person and purpose, or by handle, and the existing ones are
    counted.
    """
    with vault.transaction() as records:
        agents = [add_agent(records) for _ in range(2)]
        subject, other = add_subject(records), add_subject(records)
        decision = decide(records, subject, at=at)
        for agent in agents:
            add_handle(records, decision, agent)
        kept = add_handle(records, decide(records, other, at=at), agents[0])

        assert records.handles.delete_of(subject, "another-purpose") == 0
        assert records.handles.delete_of(subject, None) == 2
        assert records.handles.all() == [(kept.handle, other, PURPOSE)]
        assert records.handles.delete([kept.handle, b"0" * 16]) == 1
        assert records.handles.all() == []


def test_handles_move_to_a_later_epoch(vault: Vault, at: dt.datetime) -> None:
    """Live handles at the named gateways move to a later epoch once; ended ones do not."""
    with vault.transaction() as records:
        agents = [add_agent(records) for _ in range(3)]
        subject = add_subject(records)
        decision = decide(records, subject, at=at)
        for agent in agents:
            add_handle(records, decision, agent)
        records.handles.end(subject, PURPOSE, agent=agents[2])

        assert records.handles.agents_below_epoch(PURPOSE, 2, limit=1) == agents[:1]
        assert records.handles.move_to_epoch(PURPOSE, 2, agents=agents[:1]) == 1
        assert records.handles.move_to_epoch(PURPOSE, 2, agents=agents[:1]) == 0
        assert records.handles.agents_below_epoch(PURPOSE, 2, limit=9) == agents[1:2]
        assert records.handles.count_by_epoch(PURPOSE) == {1: 1, 2: 1}
        assert list(records.handles.subjects_of_purpose(PURPOSE)) == [subject]


# Epochs


def test_the_first_epoch_needs_no_row(vault: Vault) -> None:
    """A purpose is in epoch 1 until another begins; beginning an epoch twice changes nothing."""
    with vault.transaction() as records:
        assert (records.epochs.current("p"), records.epochs.unmoved("p")) == (1, None)
        records.epochs.begin("p", 2)
        records.epochs.begin("p", 2)
        records.epochs.begin("p", 3)
        assert (records.epochs.current("p"), records.epochs.unmoved("p")) == (3, 3)
        assert records.epochs.numbers("p") == [1, 2, 3]
        records.epochs.mark_moved("p", 2)
        assert records.epochs.unmoved("p") == 3
        records.epochs.mark_moved("p", 3)
        assert records.epochs.unmoved("p") is None
        assert [(one.purpose, one.number) for one in records.epochs.all()] == [("p", 2), ("p", 3)]
        assert records.epochs.current("q") == 1
