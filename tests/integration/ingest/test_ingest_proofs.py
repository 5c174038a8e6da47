"""Receipts and floors on real servers: without a valid proof nothing is settled."""

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.config import KeySettings
from tests.fakes.edge_agent import mqtt
from tests.fixtures.ingest import World, heart_rate, metric, settled, until
from tests.support.seed_permissions import Seed, change, sow
from wire import agreement, receipt, state, topics
from wire.envelope import encode_envelope
from wire.errors import Unproven
from wire.state import SpoolState, State

pytestmark = [pytest.mark.broker, pytest.mark.database]
SEED = Seed()
OTHER = Seed(agent="fedcba9876543210", handle=b"F" * 16, pseudonym=b"P" * 16)


async def test_a_forged_state_settles_nothing(world: World) -> None:
    """A forged state does not make ingest issue receipts for envelopes that were never sent."""
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(1))
        spool, true = agent.spool_id.hex(), agent.floor(1)
        for number, forged in enumerate(
            [
                SpoolState(spool, 1 << 62, 0),
                SpoolState(spool, 1 << 62, 0, true.proof),
                SpoolState(spool, 1000, 0, "0" * 16 + "." + "0" * 64),
            ],
            start=1,
        ):
            await agent.tell([state.RECEIPT_2], forged)
            await until(
                lambda count=number: (  # type: ignore[misc]
                    metric(app, "ignored_floors_total", reason="no_proof")
                    + metric(app, "ignored_floors_total", reason="bad_proof")
                    == count
                )
            )
        await agent.publish(agent.seal(heart_rate(71)))
        await until(lambda: agent.settled(2))
        assert agent.told[0].through == 2


async def test_an_agent_of_before_goes_on_with_holes(world: World) -> None:
    """
    The unproven floor of an earlier agent is ignored and its gaps remain, but its envelopes get
    receipts.
    """
    sow(world.database, SEED)
    async with world.running(), world.agent(SEED.agent, reads=()) as agent:
        for _ in range(300):
            agent.sequence += 1
            await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(600))
        await agent.tell([], SpoolState(agent.spool_id.hex(), 601, 0))
        agent.sequence += 1
        first = agent.sealer.seal(heart_rate(70), sequence=agent.sequence + 1)
        agent.sequence += 1
        await agent.publish(encode_envelope(first))
        await until(lambda: agent.settled(first.sequence))
        assert agent.told[0].through == 0
        assert len(agent.told[0].ranges) == receipt.MAX_RANGES


async def test_each_agent_is_told_in_the_form_that_it_reads(world: World) -> None:
    """
    Each agent gets receipts in the form that it reads, at once after an upgrade and after a
    downgrade.
    """
    sow(world.database, SEED)
    async with world.running(), world.agent(SEED.agent, reads=()) as agent:
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(1))
        for reads in ([state.RECEIPT_2], []):
            agent.told, before = [], len(agent.unbelieved)
            await agent.tell(reads)
            await until(lambda: agent.settled(1))
            assert len(agent.unbelieved) <= before + 1


async def test_receipts_wait_for_a_state_that_comes_late(world: World) -> None:
    """Receipts for an agent wait until its state says which form it reads."""
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent, reads=None) as agent:
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: settled(app) == 1)
        await until(lambda: metric(app, "waiting_receipts", reason="no_state") == 1)
        assert (agent.receipts, agent.unbelieved) == (0, [])
        await agent.tell([state.RECEIPT_2])
        await until(lambda: agent.settled(1))
        assert metric(app, "waiting_receipts", reason="no_state") == 0


async def test_receipts_wait_for_the_key_that_trust_writes(world: World) -> None:
    """Receipts wait until trust has written the lease key of an upgraded agent."""
    sow(world.database, msgspec.structs.replace(SEED, lease_key=None))
    async with world.running() as app, world.agent(SEED.agent) as agent:
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: metric(app, "waiting_receipts", reason="no_key") == 1)
        assert agent.receipts == 0
        with change(world.database) as (connection, epoch):
            connection.execute(
                "UPDATE vv.agents SET lease_key = %s, changed_epoch = %s", [SEED.lease_key, epoch]
            )
        await until(lambda: agent.settled(1))
        assert metric(app, "waiting_receipts", reason="no_key") == 0


async def test_a_restarted_ingest_hears_what_each_agent_reads(world: World) -> None:
    """
    A restarted ingest reads the retained states, so that an agent with only a backlog gets its
    receipt.
    """
    sow(world.database, SEED, OTHER)
    async with world.agent(SEED.agent) as agent, world.agent(OTHER.agent, reads=()) as other:
        async with world.running():
            await agent.publish(agent.seal(heart_rate(70)))
            await until(lambda: agent.settled(1))
        for one, seed in ((agent, SEED), (other, OTHER)):
            await one.publish(one.seal(heart_rate(71, handle=seed.handle)))
        async with world.running():
            await until(lambda: agent.settled(2) and other.settled(1))
        assert (agent.unbelieved, other.unbelieved) == ([], [])


async def test_ingest_key_is_exchanged_under_a_backlog(world: World, tmp_path: Path) -> None:
    """While ingest has two keys, receipts are proven under both."""
    sow(world.database, SEED)
    new = X25519PrivateKey.generate()
    path = tmp_path / "new.key"
    path.touch(mode=0o600)
    path.write_bytes(
        new.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    keys = KeySettings(path, world.settings.keys.private_key_file)
    both = msgspec.structs.replace(world.settings, keys=keys)
    async with world.agent(SEED.agent) as agent:
        async with world.running():
            await agent.publish(agent.seal(heart_rate(70)))
            await until(lambda: agent.settled(1))
        # First a backlog of an agent that pins the old key; then the agent pins the new one.
        await agent.publish(agent.seal(heart_rate(71)))
        async with world.running(both):
            await until(lambda: agent.settled(2))
            agent.agreement = with_key(new)
            agent.sealer = agent.sealer_to(new)
            await agent.tell([state.RECEIPT_2], agent.floor(3))
            await agent.publish(agent.seal(heart_rate(72)))
            await until(lambda: agent.settled(3))
            assert agent.unbelieved == []
        only_new = msgspec.structs.replace(world.settings, keys=KeySettings(path))
        async with world.running(only_new):
            await agent.publish(agent.seal(heart_rate(73)))
            await until(lambda: agent.settled(4))
        assert agent.unbelieved == []


def with_key(key: X25519PrivateKey) -> agreement.Agreement:
    """Return the agreement of the sown agent with ingest's *key*."""
    lease_key = SEED.lease_key
    assert lease_key is not None
    return agreement.of_ingest(key, lease_key, SEED.agent)


async def test_a_lease_key_that_was_exchanged_is_believed_by_neither_side(world: World) -> None:
    """With a wrong lease key in the database neither side accepts the other's proofs."""
    other = X25519PrivateKey.generate().public_key().public_bytes_raw()
    sow(world.database, msgspec.structs.replace(SEED, lease_key=other))
    async with world.running() as app, world.agent(SEED.agent) as agent:
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: len(agent.unbelieved) == 1)
        await agent.tell([state.RECEIPT_2], agent.floor(1 << 40))
        await until(lambda: metric(app, "ignored_floors_total", reason="bad_proof") == 1)
        with change(world.database) as (connection, epoch):
            connection.execute(
                "UPDATE vv.agents SET lease_key = %s, changed_epoch = %s", [SEED.lease_key, epoch]
            )
        await agent.tell([state.RECEIPT_2], agent.floor(2))
        await agent.publish(agent.seal(heart_rate(71)))
        await until(lambda: agent.all_settled(2))


async def test_who_holds_ingests_certificate_makes_no_receipt(world: World) -> None:
    """
    A holder of ingest's certificate can publish receipts, but the agent accepts none of
    them.
    """
    sow(world.database, SEED)
    async with world.running(), world.agent(SEED.agent) as agent:
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(1))
        forged = [receipt.SpoolReceipt(agent.spool_id, 1000)]
        thief = with_key(X25519PrivateKey.generate())
        held = agent.agreement
        as_ingest = msgspec.structs.replace(thief, key_id=held.key_id)
        payloads = [
            receipt.encode(forged),
            receipt.encode_proven(forged, [thief]),
            receipt.encode_proven(forged, [as_ingest]),
            receipt.encode_proven(forged, [msgspec.structs.replace(held, receipt_key=bytes(32))]),
        ]
    async with world.agent(SEED.agent) as agent, mqtt(world.settings.broker, "ingest") as client:
        before = len(agent.unbelieved)
        for payload in payloads:
            await client.publish(topics.receipt(SEED.agent), payload, qos=1, retain=True)
        await until(lambda: len(agent.unbelieved) == before + len(payloads))
        assert isinstance(agent.unbelieved[before], Unproven)
        assert not any(one.through == 1000 for one in agent.told)
    # A retained forgery costs the next connection only one refused receipt.
    async with world.running(), world.agent(SEED.agent) as agent:
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(1))
        assert len(agent.unbelieved) == 1


def test_the_state_of_before_is_what_it_was() -> None:
    """An agent without proofs and new forms encodes its state as version 0.1.0 did."""
    told = State(True, "0.1.0", spools=[SpoolState("ab" * 16, 5, 2)])
    assert b"proof" not in state.encode(told)
    assert b"reads" not in state.encode(told)
