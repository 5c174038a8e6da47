"""
Reopening the quarantine: envelopes are stored once a key opens them, once, and only if
permitted.
"""

import asyncio
import json
import threading
import time
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from psycopg import AsyncConnection

from ingest import app
from ingest.cli import main
from ingest.config import KeySettings, read_keys
from ingest.storage import ledger
from ingest.storage.quarantine import QuarantineLimits
from ingest.storage.reopening import Reopening
from runtime import files
from tests.fixtures.ingest import Agent, World, heart_rate, metric, settled, until
from tests.support.seed_permissions import Seed, sow, withdraw
from wire import agreement

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]
SEED = Seed()
OTHER = Seed(handle=bytes(range(30, 46)), pseudonym=bytes(range(120, 136)))


class QuarantineCommands:
    """The command line of the operator."""

    def __init__(self, world: World, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        tls, keys = world.settings.broker.tls, world.settings.keys
        self._capsys = capsys
        self._config = folder / "ingest.toml"
        self._config.write_text(
            f'[database]\ndsn = "{world.settings.database.dsn}"\n'
            f'[keys]\nprivate_key_file = "{keys.private_key_file}"\n'
            f'[broker]\ntls = {{ ca_file = "{tls.ca_file}",'
            f' certificate_file = "{tls.certificate_file}", key_file = "{tls.key_file}" }}\n'
        )
        server = world.database.server
        self._password = folder / "admin.password"
        files.write(self._password, server.password.encode())
        self._dsn = f"host=127.0.0.1 port={server.port} dbname={world.database.name} user=postgres"

    async def quarantine(self, step: str, *options: str) -> object:
        """Return the output of `vitalveil ingest quarantine`."""
        return await asyncio.to_thread(self._run, step, options)

    def _run(self, step: str, options: tuple[str, ...]) -> object:
        arguments = ["--dsn", self._dsn, "--password-file", str(self._password), *options]
        assert main(["quarantine", step, "--config", str(self._config), *arguments]) == 0
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def commands(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> QuarantineCommands:
    """An operator of ingest with an administrator's password."""
    return QuarantineCommands(world, tmp_path, capsys)


async def _quarantine(world: World, folder: Path, seeds: list[Seed]) -> tuple[Agent, list[bytes]]:
    """Run ingest with a wrong key, and send it an envelope of two readings for each seed."""
    wrong = folder / "wrong.key"
    wrong.touch(mode=0o600)
    wrong.write_bytes(
        X25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    settings = msgspec.structs.replace(world.settings, keys=KeySettings(wrong))
    async with world.running(settings) as app, world.agent(SEED.agent) as agent:
        sent = [agent.seal(heart_rate(70, 71, handle=seed.handle)) for seed in seeds]
        for payload in sent:
            await agent.publish(payload)
        await until(
            lambda: metric(app, "quarantined_envelopes_total", reason="bad_seal") == len(sent)
        )
        assert not agent.receipts
    return agent, sent


def _reopened(**counts: int) -> dict[str, int]:
    """Return the output of `reopen`, with these counts and 0 for the others."""
    names = ("stored", "refused", "kept", "settled_before", "observations")
    return {name: counts.get(name, 0) for name in names}


def _stored(world: World) -> list[tuple[object, ...]]:
    return world.database.fetch(
        "SELECT (SELECT count(*) FROM vv.observations),"
        " (SELECT coalesce(sum(observations), 0)::bigint FROM vv.envelopes),"
        " (SELECT count(*) FROM vv.quarantine)"
    )


async def test_right_key_brings_back_what_a_wrong_one_kept_aside(
    world: World, tmp_path: Path, commands: QuarantineCommands
) -> None:
    """
    With the right key each quarantined observation is stored once, however often it is reopened or
    sent again.
    """
    sow(world.database, SEED)
    agent, sent = await _quarantine(world, tmp_path, [SEED, SEED, SEED])
    assert _stored(world) == [(0, 0, 3)]
    listed = await commands.quarantine("show")
    (shown,) = msgspec.convert(listed, dict[str, list[dict[str, object]]])["rows"]
    assert (shown["reason"], shown["envelopes"], shown["agents"]) == ("bad_seal", 3, 1)
    told = await commands.quarantine("reopen")
    assert told == _reopened(stored=3, observations=6)
    assert _stored(world) == [(6, 6, 0)]
    assert await commands.quarantine("reopen") == _reopened()
    async with world.running() as app, world.agent(SEED.agent) as again:
        await again.publish(sent[1])
        await until(lambda: metric(app, "envelopes_total", outcome="duplicate") == 1)
    assert agent.sequence == 3
    assert _stored(world) == [(6, 6, 0)]


async def test_who_has_withdrawn_meanwhile_is_not_stored(
    world: World, tmp_path: Path, commands: QuarantineCommands
) -> None:
    """
    Reopening obeys the permissions of its own time: data of a person who has withdrawn are not
    stored.
    """
    sow(world.database, SEED, OTHER)
    await _quarantine(world, tmp_path, [SEED, OTHER])
    withdraw(world.database, SEED.handle)
    told = await commands.quarantine("reopen")
    assert told == _reopened(stored=1, refused=1, observations=2)
    assert _stored(world) == [(2, 2, 0)]
    assert world.database.fetch("SELECT outcome FROM vv.envelopes ORDER BY sequence") == [
        (1,),
        (0,),
    ]


async def test_who_withdraws_between_two_transactions_is_not_stored(
    world: World, tmp_path: Path
) -> None:
    """
    Permissions are checked in each transaction of a reopening, not once for the whole
    quarantine.
    """
    sow(world.database, SEED, OTHER)
    await _quarantine(world, tmp_path, [OTHER, SEED])
    withdrawing = threading.Thread(target=withdraw, args=(world.database, SEED.handle))

    def now_ms() -> int:
        if withdrawing.ident is None:
            withdrawing.start()
            # The withdrawal waits for this transaction, and the next transaction waits for the
            # withdrawal.
            while not world.database.fetch("SELECT FROM pg_locks WHERE NOT granted"):
                time.sleep(0.01)
        return app.now_ms()

    done = await Reopening(
        world.database.dsn(),
        keys=read_keys(world.settings.keys),
        clock=world.settings.clock,
        now_ms=now_ms,
        at_once=1,
    ).run()
    await asyncio.to_thread(withdrawing.join)

    assert (done.stored, done.refused) == (1, 1)
    assert _stored(world) == [(2, 2, 0)]


async def test_what_no_key_opens_stays(
    world: World, tmp_path: Path, commands: QuarantineCommands
) -> None:
    """
    Envelopes remain in quarantine if no key opens them, they name no handle of their agent, or
    they conflict with settled ones.
    """
    sow(world.database, SEED)
    _, sent = await _quarantine(world, tmp_path, [SEED, OTHER, SEED])
    world.database.execute("UPDATE vv.quarantine SET payload = payload || 'x' WHERE sequence = 1")
    world.database.execute(
        "INSERT INTO vv.envelopes SELECT agent, spool_id, sequence, 'other bytes', 0, 0"
        " FROM vv.quarantine WHERE sequence = 3"
    )
    assert await commands.quarantine("reopen") == _reopened(kept=3)
    assert _stored(world) == [(0, 0, 3)]
    assert len(sent) == 3


async def test_what_version_0_1_0_settled_in_quarantine_is_stored(
    world: World, tmp_path: Path, commands: QuarantineCommands
) -> None:
    """
    Envelopes that version 0.1.0 quarantined and settled (outcome 2 in the ledger) are stored when
    reopened.
    """
    sow(world.database, SEED)
    await _quarantine(world, tmp_path, [SEED])
    world.database.execute(
        "INSERT INTO vv.envelopes SELECT agent, spool_id, sequence, digest, 2, 0"
        " FROM vv.quarantine"
    )
    assert await commands.quarantine("reopen") == _reopened(stored=1, observations=2)
    assert _stored(world) == [(2, 2, 0)]


async def test_what_is_sent_again_while_it_is_reopened_is_stored_once(
    world: World, tmp_path: Path
) -> None:
    """Envelopes that are sent again while they are reopened are stored once."""
    sow(world.database, SEED)
    _, sent = await _quarantine(world, tmp_path, [SEED] * 40)

    def reopening() -> Reopening:
        return Reopening(
            world.database.dsn(),
            keys=read_keys(world.settings.keys),
            clock=world.settings.clock,
            now_ms=app.now_ms,
            at_once=3,
        )

    async with world.running() as ingest, world.agent(SEED.agent) as agent:

        async def send() -> None:
            for payload in reversed(sent):
                await agent.publish(payload)

        done, other, _ = await asyncio.gather(reopening().run(), reopening().run(), send())
        await until(lambda: settled(ingest) == len(sent))
        stored_there = metric(ingest, "envelopes_total", outcome="stored")
        repeated = metric(ingest, "envelopes_total", outcome="duplicate")
        assert done.stored + other.stored + stored_there == len(sent)
        assert stored_there + repeated == len(sent)
    await reopening().run()
    assert _stored(world) == [(2 * len(sent), 2 * len(sent), 0)]


async def test_what_is_given_up_is_receipted_when_it_comes_again(
    world: World, tmp_path: Path, commands: QuarantineCommands
) -> None:
    """
    An envelope that was given up gets a receipt when it comes again, and the ledger records its
    fate.
    """
    sow(world.database, SEED)
    agent, sent = await _quarantine(world, tmp_path, [SEED, SEED])
    options = ("--agent", SEED.agent, "--reason", "sealed to a key that was lost")
    assert await commands.quarantine("give-up", *options) == {"given_up": 0, "kept": 2}
    assert await commands.quarantine("give-up", *options, "--ahead") == {"given_up": 2, "kept": 0}
    assert world.database.fetch("SELECT outcome FROM vv.envelopes") == [(3,), (3,)]
    assert world.database.fetch("SELECT DISTINCT reason FROM vv.given_up") == [
        ("sealed to a key that was lost",)
    ]
    # Until then nothing is settled, also for an ingest that only knows the ledger: an envelope may
    # be a forgery that the gateway never sent.
    async with await AsyncConnection.connect(world.database.dsn("vv_ingest")) as connection:
        (known,) = await ledger.read_spools(connection, [(SEED.agent, agent.spool_id)])
    assert known[1:] == (0, [])
    settings = msgspec.structs.replace(world.settings, keys=KeySettings(tmp_path / "wrong.key"))
    (today,) = read_keys(settings.keys)
    assert SEED.lease_key is not None
    async with world.running(settings) as app, world.agent(SEED.agent) as again:
        again.spool_id = agent.spool_id
        # The agent pins ingest's present key, and still has envelopes sealed to the lost one.
        again.agreement = agreement.of_ingest(today, SEED.lease_key, SEED.agent)
        for payload in sent:
            await again.publish(payload)
        await until(lambda: again.all_settled(2))
        assert metric(app, "envelopes_total", outcome="duplicate") == 2
    assert _stored(world) == [(0, 0, 0)]


@pytest.mark.parametrize("room", [0, 1000], ids=["quarantine full", "room in quarantine"])
@pytest.mark.parametrize("are_same_bytes", [True, False])
async def test_what_was_given_up_by_mistake_is_stored_when_it_comes(
    world: World, tmp_path: Path, commands: QuarantineCommands, room: int, are_same_bytes: bool
) -> None:
    """
    A genuine envelope whose identity was given up by mistake is stored once, and gets a
    receipt.
    """
    sow(world.database, SEED)
    agent, sent = await _quarantine(world, tmp_path, [SEED])
    options = ("--agent", SEED.agent, "--reason", "a mistake", "--ahead")
    await commands.quarantine("give-up", *options)
    settings = msgspec.structs.replace(
        world.settings, quarantine=QuarantineLimits(max_per_agent=room)
    )
    async with world.running(settings) as app, world.agent(SEED.agent) as again:
        again.spool_id = agent.spool_id
        again.sealer = again.sealer_to(world.key)
        payload = sent[0] if are_same_bytes else again.seal(heart_rate(70, 71))
        await again.publish(payload)
        await until(lambda: again.settled(1))
        assert metric(app, "envelopes_total", outcome="stored") == 1
        assert _stored(world) == [(2, 2, 0)]
        await again.publish(payload)
        await until(lambda: metric(app, "envelopes_total", outcome="duplicate") == 1)
        again.sequence, again.sealer = 0, again.sealer_to(world.key)
        await again.publish(again.seal(heart_rate(80)))
        await until(lambda: settled(app) == 3)
    assert world.database.fetch("SELECT outcome, observations FROM vv.envelopes") == [(0, 2)]
    assert world.database.fetch("SELECT value FROM vv.observations ORDER BY 1") == [(70,), (71,)]
    assert world.database.fetch("SELECT reason FROM vv.given_up") == [("a mistake",)]


async def test_what_was_given_up_and_is_not_permitted_is_refused(
    world: World, tmp_path: Path, commands: QuarantineCommands
) -> None:
    """An envelope that was given up and is not permitted when it comes is refused."""
    sow(world.database, SEED)
    _, sent = await _quarantine(world, tmp_path, [SEED])
    await commands.quarantine("give-up", "--agent", SEED.agent, "--reason", "a mistake", "--ahead")
    withdraw(world.database, SEED.handle)
    async with world.running() as app, world.agent(SEED.agent) as again:
        await again.publish(sent[0])
        await until(lambda: metric(app, "refused_envelopes_total", reason="withdrawn") == 1)
    assert world.database.fetch("SELECT outcome, observations FROM vv.envelopes") == [(1, 0)]
    assert _stored(world) == [(0, 0, 0)]


async def test_conflict_of_before_with_what_was_given_up_can_be_reopened(
    world: World, tmp_path: Path, commands: QuarantineCommands
) -> None:
    """
    An envelope that an earlier ingest settled as a conflict with a given-up one can be reopened
    from quarantine.
    """
    sow(world.database, SEED)
    await _quarantine(world, tmp_path, [SEED])
    options = ("--agent", SEED.agent, "--reason", "a mistake", "--ahead")
    (kept,) = world.database.fetch("SELECT spool_id, digest, payload FROM vv.quarantine")
    await commands.quarantine("give-up", *options)
    world.database.execute(
        "INSERT INTO vv.quarantine (agent, spool_id, sequence, reason, digest, payload,"
        " received_at, expires_at) VALUES (%s, %s, 1, 'conflict', %s, %s, now(),"
        " now() + interval '1 day')",
        SEED.agent,
        *kept,
    )
    assert await commands.quarantine("reopen") == _reopened(stored=1, observations=2)
    assert _stored(world) == [(2, 2, 0)]


async def test_no_forgery_far_ahead_is_given_up_in_passing(
    world: World, tmp_path: Path, commands: QuarantineCommands
) -> None:
    """
    Giving up skips sequences that no receipt can express, and sequences below one that was given
    up.
    """
    sow(world.database, SEED)
    await _quarantine(world, tmp_path, [SEED, SEED])
    options = ("--agent", SEED.agent, "--reason", "a forgery")
    world.database.execute(
        "UPDATE vv.quarantine SET sequence = 1::bigint << 62 WHERE sequence = 1"
    )
    assert await commands.quarantine("give-up", *options, "--ahead") == {"given_up": 1, "kept": 1}
    assert world.database.fetch("SELECT sequence FROM vv.envelopes") == [(2,)]
    world.database.execute("UPDATE vv.quarantine SET sequence = 1")
    assert await commands.quarantine("give-up", *options) == {"given_up": 0, "kept": 1}
