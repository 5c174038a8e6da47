"""
Forged envelopes for a gateway: a forgery takes no identity, and does not affect later
envelopes.
"""

from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.storage.quarantine import QuarantineLimits
from tests.fixtures.ingest import Agent, World, heart_rate, is_conserved, metric, settled, until
from tests.support.seed_permissions import Seed, sow
from wire import json_envelope
from wire.envelope import Block, Body, encode_envelope

pytestmark = [pytest.mark.broker, pytest.mark.database]
SEED = Seed()
OTHER = Seed(agent="fedcba9876543210", handle=b"F" * 16, pseudonym=b"P" * 16)


def to_another_key(agent: Agent, world: World, sequence: int) -> bytes:
    """Seal to a key that ingest does not have."""
    sealer = agent.sealer_to(X25519PrivateKey.generate())
    return encode_envelope(sealer.seal(heart_rate(99), sequence=sequence))


def with_an_invented_handle(agent: Agent, world: World, sequence: int) -> bytes:
    """Seal to ingest's public key, as anyone can, with an invented handle."""
    body = heart_rate(99, handle=b"?" * 16)
    return encode_envelope(agent.sealer_to(world.key).seal(body, sequence=sequence))


def with_another_gateways_handle(agent: Agent, world: World, sequence: int) -> bytes:
    """Seal to ingest's public key, with a handle of another gateway."""
    body = heart_rate(99, handle=OTHER.handle)
    return encode_envelope(agent.sealer_to(world.key).seal(body, sequence=sequence))


def with_nothing_inside(agent: Agent, world: World, sequence: int) -> bytes:
    """Seal data that are not a body to ingest's public key."""
    body = Body(SEED.handle, 1, [Block(1, 0, 1, b"")])
    return encode_envelope(agent.sealer_to(world.key).seal(body, sequence=sequence))


def in_clear(agent: Agent, world: World, sequence: int) -> bytes:
    """Send JSON for a gateway that seals."""
    return json_envelope.encode(agent.spool_id, sequence, heart_rate(99))


FORGERIES = [
    to_another_key,
    with_an_invented_handle,
    with_another_gateways_handle,
    with_nothing_inside,
    in_clear,
]
Forge = Callable[[Agent, World, int], bytes]


@pytest.mark.parametrize("forge", FORGERIES)
async def test_forgery_spoils_no_envelope_to_come(world: World, forge: Forge) -> None:
    """An envelope is stored although a forgery came before it under the same identity."""
    sow(world.database, SEED, OTHER)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        for sequence in (1, 2, 3):
            await agent.publish(forge(agent, world, sequence))
        await until(lambda: settled(app) == 3)
        assert world.database.fetch("SELECT count(*) FROM vv.envelopes") == [(0,)]
        for value in (70, 71):
            await agent.publish(agent.seal(heart_rate(value)))
        await until(lambda: agent.all_settled(2))
        assert not agent.settled(3)
        assert world.database.fetch("SELECT value FROM vv.observations ORDER BY value") == [
            (70.0,),
            (71.0,),
        ]
        assert is_conserved(app)


async def test_unopened_envelope_is_kept_once(world: World) -> None:
    """
    An envelope that does not open is in quarantine once, however often it comes, in one flush or
    several.
    """
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        forged = to_another_key(agent, world, 1)
        for times in (3, 2):
            before = settled(app)
            for _ in range(times):
                await agent.publish(forged)
            await until(lambda after=before + times: settled(app) == after)  # type: ignore[misc]
        assert metric(app, "quarantined_envelopes_total", reason="bad_seal") == 1
        assert metric(app, "envelopes_total", outcome="duplicate") == 4
        assert world.database.fetch("SELECT payload FROM vv.quarantine") == [(forged,)]
        assert is_conserved(app)


async def test_forger_fills_one_gateways_share_and_spoils_nothing(world: World) -> None:
    """
    A forger can only fill the quarantine of one gateway; envelopes that the gateway sends later
    are stored.
    """
    sow(world.database, SEED)
    settings = msgspec.structs.replace(
        world.settings, quarantine=QuarantineLimits(max_per_agent=3)
    )
    async with world.running(settings) as app, world.agent(SEED.agent) as agent:
        for sequence in range(1, 9):
            await agent.publish(to_another_key(agent, world, sequence))
        await until(lambda: settled(app) == 8)
        assert metric(app, "quarantined_envelopes_total", reason="bad_seal") == 3
        assert metric(app, "refused_envelopes_total", reason="bad_seal") == 5
        for value in range(70, 78):
            await agent.publish(agent.seal(heart_rate(value)))
        await until(lambda: agent.all_settled(8))
        assert is_conserved(app)
    assert world.database.fetch("SELECT count(*) FROM vv.observations") == [(8,)]


async def test_what_was_stored_is_receipted_although_its_key_is_gone(world: World) -> None:
    """
    A stored envelope that is sent again after its key was removed is a duplicate, and gets a
    receipt.
    """
    sow(world.database, SEED)
    async with world.running() as app, world.agent(SEED.agent) as agent:
        sent = agent.seal(heart_rate(70))
        await agent.publish(sent)
        await until(lambda: agent.settled(1))
    world.settings.keys.private_key_file.write_bytes(_another_key())
    async with world.running() as app, world.agent(SEED.agent) as again:
        again.spool_id = agent.spool_id
        await again.publish(sent)
        # A new receipt, not the one that the broker has retained.
        await until(lambda: metric(app, "receipts_total") == 1 and again.settled(1))
        assert metric(app, "envelopes_total", outcome="duplicate") == 1
        assert metric(app, "quarantined_envelopes_total", reason="bad_seal") == 0


def _another_key() -> bytes:
    from cryptography.hazmat.primitives import serialization

    return X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
