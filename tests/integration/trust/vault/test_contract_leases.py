"""Leases, and units that were set aside: the same rules for every vault."""

import datetime as dt
import secrets
import uuid

from tests.support.vault_rows import PURPOSE, add_agent, add_handle, add_subject, decide
from trust.decisions.decisions import State
from trust.decisions.leases import sealed_packet_bytes
from trust.domain.units import Cause, Failure, Unit, UnitKind, Work, gateway
from trust.ports import SealedLease
from trust.vault.protocols import Vault

_LONG_AGO = dt.timedelta(0)


def _key() -> bytes:
    return secrets.token_bytes(32)


# Leases


def test_a_change_is_unfinished_until_it_is_applied(vault: Vault) -> None:
    """A stale agent is found until the change that was wanted is saved as applied."""
    with vault.transaction() as records:
        agent, other = add_agent(records), add_agent(records)
    with vault.transaction() as records:
        assert records.leases.unfinished(older_than=_LONG_AGO, limit=9) == [agent, other]
        assert records.leases.unfinished(older_than=dt.timedelta(hours=1), limit=9) == []
        for one in (agent, other):
            records.leases.save_applied(one, records.leases.wanted(one))
        assert records.leases.unfinished(older_than=_LONG_AGO, limit=9) == []
        records.leases.mark_stale([other])
        assert records.leases.wanted(other) == 2
    with vault.transaction() as records:
        assert records.leases.unfinished(older_than=_LONG_AGO, limit=9) == [other]
        # Saving an older change late does not hide a newer one.
        records.leases.save_applied(other, 1)
    with vault.transaction() as records:
        assert records.leases.unfinished(older_than=_LONG_AGO, limit=9) == [other]
        assert records.leases.backlog() == (1, 0)
        assert records.leases.wanted("0" * 16) == 0


def test_a_lease_waits_until_the_broker_has_its_version(vault: Vault, at: dt.datetime) -> None:
    """A saved lease is unpublished until its version or a later one is saved as published."""
    with vault.transaction() as records:
        agents = [add_agent(records, lease_key=_key()) for _ in range(2)]
        leases = [SealedLease(agent, 3, b"sealed") for agent in agents]
        for lease in leases:
            records.leases.save(lease, lease.agent, version=3, term=(at, at))

        assert records.leases.of(agents) == leases
        assert records.leases.unpublished(limit=9) == agents
        assert records.leases.unpublished(limit=1) == agents[:1]
        assert records.leases.unpublished(without=agents[:1], limit=9) == agents[1:]
        records.leases.save_published(leases[:1])
        records.leases.save_published([SealedLease(agents[0], 2, b"older")])
        assert records.leases.unpublished(limit=9) == agents[1:]
        assert records.leases.versions_of(agents) == {agents[0]: (3, 3), agents[1]: (3, 0)}
        assert records.leases.newest_versions() == [(agent, 3) for agent in agents]
        assert records.leases.of(agents[1:]) == leases[1:]
        assert records.leases.page(after=agents[0], limit=9) == agents[1:]
        assert sorted(records.leases.due(now=at, limit=9)) == agents
        assert records.leases.due(now=at - dt.timedelta(seconds=1), limit=9) == []
        records.leases.save(None, agents[1], version=4, term=(at, at))
        assert records.leases.unpublished(limit=9) == []


def test_superseding_raises_every_lease(vault: Vault) -> None:
    """`supersede` requests a lease above the floor for every agent; a higher version is kept."""
    with vault.transaction() as records:
        low, high = add_agent(records), add_agent(records)
        records.leases.save(None, high, version=9, term=(None, None))

        assert records.leases.supersede(5) == 2

        assert records.leases.newest_versions() == [(low, 5), (high, 9)]
        assert records.leases.wanted(low) == 2


def test_padding_is_noted_once_and_taken_back_for_a_time(vault: Vault) -> None:
    """
    Only sealed agents that are not revoked are recorded as reading padding; each record is a
    change.
    """
    with vault.transaction() as records:
        agent, speaks_json = add_agent(records, lease_key=_key()), add_agent(records)
        revoked = add_agent(records, lease_key=_key())
        records.agents.revoke(revoked)
        names = [agent, speaks_json, revoked]

        assert records.leases.note_padded(names) == 1
        assert records.leases.note_padded(names) == 0
        assert records.agents.lock([agent])[0].reads_padded
        assert records.leases.wanted(agent) == 2
        assert records.leases.unpad(None, valid_for=dt.timedelta(hours=1)) == 1
        assert not records.agents.lock([agent])[0].reads_padded
        assert records.leases.note_padded(names) == 0
        assert records.leases.unpad(agent, valid_for=dt.timedelta(0)) == 1
    with vault.transaction() as records:
        assert records.leases.note_padded(names) == 1


def test_leases_that_are_too_large_are_named(vault: Vault, at: dt.datetime) -> None:
    """The size of a lease is that of its packet; the largest comes first."""
    with vault.transaction() as records:
        agents = [add_agent(records, lease_key=_key()) for _ in range(2)]
        for agent, size in zip(agents, (10, 20), strict=True):
            lease = SealedLease(agent, 1, b"x" * size)
            records.leases.save(lease, agent, version=1, term=(at, at))
        around = sealed_packet_bytes(0)

        assert records.leases.larger(than_bytes=around) == [
            (agents[1], around + 20), (agents[0], around + 10),
        ]  # fmt: skip
        assert records.leases.larger(than_bytes=around + 10) == [(agents[1], around + 20)]
        # A revoked gateway gets no lease any more, however large its last one was.
        records.agents.revoke(agents[1])
        assert records.leases.larger(than_bytes=around) == [(agents[0], around + 10)]


# Units that were set aside


def test_a_unit_that_was_set_aside_waits(vault: Vault) -> None:
    """A gateway that failed is not unfinished while it waits, unless there is a newer change."""
    with vault.transaction() as records:
        agent = add_agent(records)
        failure = Failure(gateway(agent), Cause.LEASE_KEY)
        records.set_aside.replace(Work.LEASE, {agent: {failure}}, tried={agent: 1})
    with vault.transaction() as records:
        assert records.leases.unfinished(older_than=_LONG_AGO, limit=9) == []
        assert records.set_aside.to_retry(limit=9) == []
        assert records.set_aside.of_agents(Work.LEASE, [agent]) == {agent: {failure}}
        assert records.set_aside.keeps_lease([agent])
        records.leases.mark_stale([agent])
    with vault.transaction() as records:
        assert records.leases.unfinished(older_than=_LONG_AGO, limit=9) == [agent]
        assert records.set_aside.hasten() == 1
    with vault.transaction() as records:
        assert records.set_aside.to_retry(limit=9) == [agent]


def test_what_fails_again_counts_on_and_what_is_well_is_gone(vault: Vault) -> None:
    """
    Consecutive failures are counted with growing pauses, apart for each unit, and a success
    deletes them.
    """
    with vault.transaction() as records:
        agent, other = add_agent(records), add_agent(records)
        person = Failure(Unit(UnitKind.PERSON, str(uuid.uuid4())), Cause.TAMPERED)
        failure = Failure(gateway(agent), Cause.LEASE_KEY)
        records.set_aside.replace(Work.LEASE, {agent: {failure, person}, other: ()})
        records.set_aside.replace(Work.LEASE, {agent: {person}})

        (kept,) = records.set_aside.all(limit=9)

        assert (kept.failure, kept.failures, kept.stands_in) == (person, 2, agent)
        assert kept.next_attempt_at > kept.failed_since
        assert not records.set_aside.keeps_lease([agent])
        # A success for another gateway does not change them.
        records.set_aside.replace(Work.LEASE, {other: ()})
        records.set_aside.replace(Work.PUBLICATION, {agent: ()})
        assert len(records.set_aside.all(limit=9)) == 1


def test_a_refused_lease_is_published_again_alone(vault: Vault, at: dt.datetime) -> None:
    """A refused lease is omitted from the pages of leases until it succeeds."""
    with vault.transaction() as records:
        agent = add_agent(records, lease_key=_key())
        lease = SealedLease(agent, 1, b"sealed")
        records.leases.save(lease, agent, version=1, term=(at, at))
        refused = {Failure(gateway(agent), Cause.LEASE_TOO_LARGE)}
        records.set_aside.replace(Work.PUBLICATION, {agent: refused})

        assert records.leases.unpublished(limit=9) == []
        assert records.leases.page(after="", limit=9) == []
        assert records.leases.of([agent]) == [lease]
        assert records.set_aside.keeps_lease([agent])
        records.set_aside.hasten()
    with vault.transaction() as records:
        assert records.set_aside.to_publish_again(limit=9) == [agent]
        records.set_aside.replace(Work.PUBLICATION, {agent: ()})
        assert records.leases.unpublished(limit=9) == [agent]


def test_a_withdrawal_ends_what_was_decided(vault: Vault, at: dt.datetime) -> None:
    """The signed decisions of an agent are those that its live handles rest on."""
    with vault.transaction() as records:
        agent, subject = add_agent(records), add_subject(records)
        add_handle(records, decide(records, subject, at=at), agent)
        decide(records, subject, State.WITHDRAWN, at=at)
        chain = (subject, PURPOSE)

        signed = records.decisions.signed_of_agents([agent])

        assert [d.state for d in records.decisions.verified_chain(chain, signed[chain])] == [
            State.ACCEPTED, State.WITHDRAWN,
        ]  # fmt: skip
        records.handles.end_at(agent)
        assert records.decisions.signed_of_agents([agent]) == {}
