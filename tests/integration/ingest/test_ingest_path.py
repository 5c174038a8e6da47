"""From a sealed envelope on the broker to rows and a receipt, on real servers."""

import datetime as dt
import secrets

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.storage.quarantine import QuarantineLimits, unseal
from tests.fixtures.ingest import (
    Agent,
    World,
    heart_rate,
    is_conserved,
    metric,
    now_ms,
    settled,
    until,
)
from tests.support.seed_permissions import Seed, sow, withdraw
from tests.support.stored_rows import rows
from wire import json_envelope, state, topics
from wire.envelope import MAX_SEQUENCE, Body, decode_envelope, encode_envelope
from wire.policy import Rule
from wire.quantities import Code

pytestmark = [pytest.mark.broker, pytest.mark.database]
SEED = Seed()
DAY_MS = 86_400_000


async def test_envelope_becomes_rows_and_a_receipt(world: World) -> None:
    """A sealed envelope is stored with its values, and its agent gets a receipt after that."""
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        await agent.publish(agent.seal(heart_rate(70, 71, 72)))
        await until(lambda: agent.settled(1))
        assert world.database.fetch("SELECT value FROM vv.observations ORDER BY time") == [
            (70.0,),
            (71.0,),
            (72.0,),
        ]
        assert metric(app, "stored_observations_total", quantity="heart_rate") == 3
        assert metric(app, "measured_to_queryable_seconds_count") == 1
        assert is_conserved(app)


async def test_same_bytes_again_are_a_duplicate_and_settled_again(world: World) -> None:
    """A repeated envelope is stored once, and gets a receipt again."""
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        payload = agent.seal(heart_rate(70))
        await agent.publish(payload)
        await until(lambda: agent.settled(1))
        seen = agent.receipts
        await agent.publish(payload)
        await until(lambda: agent.receipts > seen and agent.settled(1))
        assert metric(app, "envelopes_total", outcome="duplicate") == 1
        assert rows(world) == 1
    async with world.running() as app, world.agent(SEED.agent) as other:
        # After a restart only the ledger shows that it is a duplicate.
        await other.publish(payload)
        await until(lambda: settled(app) == 1)
        assert metric(app, "envelopes_total", outcome="duplicate") == 1
        assert rows(world) == 1


async def test_what_comes_while_ingest_is_away_is_stored_later(world: World) -> None:
    """Messages that the broker queued while ingest was stopped are stored after the next start."""
    sow(world.database, SEED)
    async with world.running():
        pass
    async with world.agent(SEED.agent) as agent:
        for value in range(60, 80):
            await agent.publish(agent.seal(heart_rate(value)))
        assert rows(world) == 0
        async with world.running():
            await until(lambda: agent.all_settled(20))
        assert rows(world) == 20


async def test_graceful_stop_leaves_nothing_in_flight(world: World) -> None:
    """
    A graceful stop settles everything that was received; the rest arrives after the next
    start.
    """
    sow(world.database, SEED)
    async with world.agent(SEED.agent) as agent:
        async with world.running() as app:
            for value in range(300):
                await agent.publish(agent.seal(heart_rate(60 + value % 100)))
        assert is_conserved(app)
        assert rows(world) == metric(app, "observations_total", outcome="stored")
        async with world.running() as later:
            await until(lambda: agent.all_settled(300))
            # Everything that was committed was also acknowledged.
            assert metric(later, "envelopes_total", outcome="duplicate") == 0
    assert rows(world) == 300


FOREIGN = Seed(agent="fedcba9876543210", handle=b"F" * 16, pseudonym=b"P" * 16)
ENDED = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
REFUSED = [
    pytest.param(heart_rate(70, handle=b"?" * 16), "unknown_handle", id="handle nobody knows"),
    pytest.param(heart_rate(70, handle=FOREIGN.handle), "unknown_handle", id="foreign handle"),
    pytest.param(heart_rate(95, quantity=Code.SPO2), "not_permitted", id="quantity"),
    pytest.param(heart_rate(70, handle=b"W" * 16), "withdrawn", id="withdrawn"),
    pytest.param(heart_rate(70, handle=b"E" * 16), "outside_period", id="ended"),
    pytest.param(heart_rate(70, lease=7), "lease_expired", id="no such lease"),
    pytest.param(heart_rate(70, lease=2), "lease_expired", id="expired lease"),
    pytest.param(
        heart_rate(71, handle=b"C" * 16, start_ms=now_ms() // 60_000 * 60_000),
        "policy_exceeded",
        id="finer value",
    ),
    pytest.param(heart_rate(301), "implausible", id="implausible"),
    pytest.param(heart_rate(70, start_ms=now_ms() + DAY_MS), "from_the_future", id="future"),
    pytest.param(heart_rate(70, start_ms=now_ms() - 31 * DAY_MS), "too_old", id="ancient"),
]


@pytest.mark.parametrize(("body", "reason"), REFUSED)
async def test_bad_observations_are_refused_with_their_reason(
    world: World, body: Body, reason: str
) -> None:
    """
    An observation that may not be stored is counted under its reason and leaves no row.

    Its envelope gets a receipt, unless it names no handle of its agent, because then anyone may
    have made it.
    """
    sow(
        world.database,
        SEED,
        FOREIGN,
        Seed(handle=b"W" * 16),
        Seed(handle=b"E" * 16, valid_to=ENDED),
        Seed(lease=2, rules=(), lease_to=ENDED),
        Seed(handle=b"C" * 16, rules=(Rule(Code.HEART_RATE, 5, 60_000, 60_000),)),
    )
    withdraw(world.database, b"W" * 16)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        await agent.publish(agent.seal(body))
        is_receipted = reason != "unknown_handle"
        await until(lambda: settled(app) == 1 and agent.settled(1) is is_receipted)
        assert world.database.fetch("SELECT count(*) FROM vv.envelopes") == [(is_receipted,)]
        assert metric(app, "refused_envelopes_total", reason=reason) == 1
        assert metric(app, "refused_observations_total", reason=reason) == 1
        assert rows(world) == 0
        assert is_conserved(app)


async def test_bad_envelopes_are_refused_with_their_reason(world: World) -> None:
    """An invalid envelope is counted under its reason and acknowledged, and ingest continues."""
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        whole = decode_envelope(agent.seal(heart_rate(70)))
        ahead = msgspec.structs.replace(whole, version=2)
        sent = {
            "malformed": encode_envelope(whole)[:-20],
            "unsupported_version": encode_envelope(ahead),
            "too_large": encode_envelope(whole) + bytes(70_000),
        }
        for payload in sent.values():
            await agent.publish(payload)
        async with world.agent("00000000deadbeef") as stranger:
            await stranger.publish(stranger.seal(heart_rate(70)))
            # The agent's own id in a shard of another one.
            shard = (topics.shard_of(stranger.name) + 1) % topics.SHARDS
            await stranger.publish(b"?", topic=f"vv1/obs/{shard:02x}/{stranger.name}")
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(2) and settled(app) == 6)
        for reason in (*sent, "unknown_agent", "wrong_topic"):
            assert metric(app, "refused_envelopes_total", reason=reason) == 1, reason
        assert rows(world) == 1
        assert is_conserved(app)


@pytest.mark.slow
async def test_ten_thousand_random_payloads_stop_nothing(world: World) -> None:
    """Ten thousand random payloads are refused, and an honest envelope after them is stored."""
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        for _ in range(10_000):
            await agent.client.publish(
                topics.observations(agent.name), secrets.token_bytes(secrets.randbelow(300)), qos=0
            )
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(1), timeout_s=60)
        await until(lambda: settled(app) == 10_001)
        assert metric(app, "envelopes_total", outcome="refused") == 10_000
        assert is_conserved(app)


async def test_what_a_gateway_left_at_the_broker_does_not_come_at_each_start(
    world: World,
) -> None:
    """
    Envelopes that a gateway retained at the broker, on topics of its choice, are delivered at most
    once.
    """
    sow(world.database, SEED)
    async with world.agent(SEED.agent) as agent:
        for n in range(40):
            topic = f"vv1/obs/{n:02x}/{SEED.agent}"
            await agent.client.publish(topic, b"x" * 60_000, qos=1, retain=True)
        async with world.running() as app:
            await agent.publish(agent.seal(heart_rate(70)))
            await until(lambda: agent.settled(1))
            assert metric(app, "received_envelopes_total") == 1
        for n in range(40):
            topic = f"vv1/obs/{n:02x}/{SEED.agent}"
            await agent.client.publish(topic, b"", qos=1, retain=True)


async def test_bad_seal_rests_in_quarantine_up_to_a_cap(world: World) -> None:
    """
    An envelope that no key opens is kept in quarantine unchanged, while its agent's share has
    room.
    """
    sow(world.database, SEED)
    settings = msgspec.structs.replace(
        world.settings, quarantine=QuarantineLimits(max_per_agent=2)
    )
    async with world.running(settings) as app, world.agent(SEED.agent) as agent:
        agent.sealer = agent.sealer_to(X25519PrivateKey.generate())
        sent = [agent.seal(heart_rate(70)) for _ in range(3)]
        for payload in sent:
            await agent.publish(payload)
        await until(lambda: settled(app) == 3)
        kept = world.database.fetch("SELECT reason, payload FROM vv.quarantine ORDER BY sequence")
        assert kept == [("bad_seal", sent[0]), ("bad_seal", sent[1])]
        assert metric(app, "quarantined_envelopes_total", reason="bad_seal") == 2
        assert metric(app, "refused_envelopes_total", reason="bad_seal") == 1
        assert world.database.fetch("SELECT count(*) FROM vv.envelopes") == [(0,)]
        assert not agent.receipts
        assert is_conserved(app)


async def test_same_identity_with_other_bytes_is_quarantined_once(world: World) -> None:
    """
    A second envelope with a stored identity and other bytes changes no row, and is kept in
    quarantine once.
    """
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(1))
        agent.sealer = agent.sealer_to(world.key)
        forged = encode_envelope(agent.sealer.seal(heart_rate(99), sequence=1))
        await agent.publish(forged)
        await agent.publish(forged)
        await until(lambda: settled(app) == 3)
        assert metric(app, "quarantined_envelopes_total", reason="conflict") == 1
        assert metric(app, "envelopes_total", outcome="duplicate") == 1
        assert world.database.fetch("SELECT value FROM vv.observations") == [(70.0,)]
        assert world.database.fetch("SELECT payload FROM vv.quarantine") == [(forged,)]


async def test_poison_is_found_and_the_others_are_stored(world: World) -> None:
    """An envelope that the database cannot store does not delay any other envelope."""
    sow(world.database, SEED)
    world.database.execute("ALTER TABLE vv.observations ADD CHECK (value <> 99)")
    async with world.agent(SEED.agent) as agent:
        async with world.running():
            pass
        for value in (70, 71, 99, 73, 74):
            await agent.publish(agent.seal(heart_rate(value)))
        async with world.running() as app:
            await until(lambda: agent.settled(5))
            assert metric(app, "quarantined_envelopes_total", reason="poison") == 1
            assert is_conserved(app)
    assert rows(world) == 4
    assert world.database.fetch("SELECT sequence FROM vv.quarantine") == [(3,)]
    assert world.database.fetch("SELECT outcome FROM vv.envelopes ORDER BY sequence") == [
        (0,),
        (0,),
        (2,),
        (0,),
        (0,),
    ]


async def test_json_is_for_agents_that_may_and_is_sealed_in_quarantine(world: World) -> None:
    """A JSON envelope of a permitted agent is stored, and in quarantine it is sealed."""
    sow(world.database, SEED, Seed(agent="aaaaaaaaaaaaaaaa", handle=b"J" * 16, format="json"))
    world.database.execute("ALTER TABLE vv.observations ADD CHECK (value <> 99)")

    def encoded(agent: Agent, value: int, handle: bytes) -> bytes:
        agent.sequence += 1
        body = heart_rate(value, handle=handle, lease=0)
        return json_envelope.encode(agent.spool_id, agent.sequence, body)

    async with world.running() as app:
        async with world.agent("aaaaaaaaaaaaaaaa", reads=None) as agent:
            # The agent publishes no state, which is allowed for JSON.
            await agent.publish(encoded(agent, 70, b"J" * 16))
            await agent.publish(bad := encoded(agent, 99, b"J" * 16))
            await until(lambda: agent.settled(2))
        async with world.agent(SEED.agent) as agent:
            await agent.publish(encoded(agent, 70, SEED.handle))
            await until(lambda: settled(app) == 3)
            assert not agent.receipts
        assert metric(app, "refused_envelopes_total", reason="malformed") == 1
    assert rows(world) == 1
    ((kept,),) = world.database.fetch("SELECT payload FROM vv.quarantine")
    assert isinstance(kept, bytes)
    assert unseal(kept, world.key) == bad


async def test_sequence_that_no_receipt_can_report_is_refused(world: World) -> None:
    """
    A sequence of MAX_SEQUENCE or above is refused in a sealed and in a JSON envelope, and a
    floor above it in a state; later receipts of the spool stay readable.
    """
    device = Seed(agent="aaaaaaaaaaaaaaaa", handle=b"J" * 16, format="json")
    sow(world.database, SEED, device)
    async with world.agent(SEED.agent) as agent:
        # An earlier version accepted this sequence.
        with psycopg.connect(world.database.dsn()) as connection:
            connection.execute(
                "INSERT INTO vv.envelopes"
                " (agent, spool_id, sequence, digest, outcome, observations)"
                " VALUES (%s, %s, %s, %s, 0, 1)",
                [agent.name, agent.spool_id, MAX_SEQUENCE, bytes(16)],
            )
        async with world.running() as app:
            await agent.publish(agent.seal(heart_rate(70)))
            sealer = agent.sealer_to(world.key)
            for sequence in (MAX_SEQUENCE, (1 << 63) - 1):
                sealed = sealer.seal(heart_rate(71), sequence=sequence)
                await agent.publish(encode_envelope(sealed))
            await until(lambda: agent.settled(1) and settled(app) == 3)
            floor = state.SpoolState(agent.spool_id.hex(), MAX_SEQUENCE + 1, 0)
            await agent.tell([state.RECEIPT_2], floor)
            await until(lambda: metric(app, "unreadable_states_total", reason="malformed") == 1)
            async with world.agent(device.agent, reads=None) as other:
                body = heart_rate(72, handle=device.handle, lease=0)
                await other.publish(json_envelope.encode(other.spool_id, MAX_SEQUENCE, body))
                await other.publish(json_envelope.encode(other.spool_id, 1, body))
                await until(lambda: other.settled(1))
            assert metric(app, "refused_envelopes_total", reason="malformed") == 3
            assert agent.unbelieved == []
            assert agent.told[0].through == 1
            assert agent.told[0].ranges == []
    assert rows(world) == 2


async def test_floor_of_a_state_closes_holes(world: World) -> None:
    """Sequences below the floor of a state count as settled, so that `through` can grow."""
    sow(world.database, SEED)
    async with world.running(), world.agent(SEED.agent) as agent:
        agent.sequence = 9
        await agent.publish(agent.seal(heart_rate(70)))
        await until(lambda: agent.settled(10))
        assert (agent.told[0].through, agent.told[0].ranges) == (0, [(10, 10)])
        await agent.tell([state.RECEIPT_2], agent.floor(10))
        await until(lambda: agent.told[0].through == 10)
