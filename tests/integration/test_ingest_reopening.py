"""The way out of quarantine: stored when a key opens it, once, and only what is permitted."""

import asyncio
import json
import threading
import time
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest import app
from ingest.cli import main
from ingest.config import KeySettings, read_keys
from ingest.reopening import Reopening
from tests.fix_ingest import Agent, World, heart_rate, metric, until
from tests.seed_permissions import Seed, sow, withdraw

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]
SEED = Seed()
OTHER = Seed(handle=bytes(range(30, 46)), pseudonym=bytes(range(120, 136)))


class Desk:
    """The operator's command line."""

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
        self._password.write_text(server.password)
        self._dsn = f"host=127.0.0.1 port={server.port} dbname={world.database.name} user=postgres"

    async def quarantine(self, step: str) -> object:
        """Return what `vitalveil ingest quarantine` prints."""
        return await asyncio.to_thread(self._run, step)

    def _run(self, step: str) -> object:
        arguments = ["--dsn", self._dsn, "--password-file", str(self._password)]
        assert main(["quarantine", step, "--config", str(self._config), *arguments]) == 0
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def desk(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Whoever runs ingest, with an administrator's password."""
    return Desk(world, tmp_path, capsys)


async def _quarantine(world: World, folder: Path, seeds: list[Seed]) -> tuple[Agent, list[bytes]]:
    """Have ingest run with a wrong key, and send it an envelope of two readings for each seed."""
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
        await until(lambda: agent.all_settled(len(sent)))
        assert metric(app, "quarantined_envelopes_total", reason="bad_seal") == len(sent)
    return agent, sent


def _stored(world: World) -> list[tuple[object, ...]]:
    return world.database.fetch(
        "SELECT (SELECT count(*) FROM vv.observations),"
        " (SELECT coalesce(sum(observations), 0)::bigint FROM vv.envelopes),"
        " (SELECT count(*) FROM vv.quarantine)"
    )


async def test_right_key_brings_back_what_a_wrong_one_kept_aside(
    world: World, tmp_path: Path, desk: Desk
) -> None:
    """Each observation is one row, however often it is asked for and sent again."""
    sow(world.database, SEED)
    agent, sent = await _quarantine(world, tmp_path, [SEED, SEED, SEED])
    assert _stored(world) == [(0, 0, 3)]
    (shown,) = msgspec.convert(await desk.quarantine("show"), list[dict[str, object]])
    assert (shown["reason"], shown["envelopes"], shown["agents"]) == ("bad_seal", 3, 1)
    told = await desk.quarantine("reopen")
    assert told == {"stored": 3, "refused": 0, "kept": 0, "observations": 6}
    assert _stored(world) == [(6, 6, 0)]
    assert await desk.quarantine("reopen") == {
        "stored": 0,
        "refused": 0,
        "kept": 0,
        "observations": 0,
    }
    async with world.running() as app, world.agent(SEED.agent) as again:
        await again.publish(sent[1])
        await until(lambda: metric(app, "envelopes_total", outcome="duplicate") == 1)
    assert agent.sequence == 3
    assert _stored(world) == [(6, 6, 0)]


async def test_who_has_withdrawn_meanwhile_is_not_stored(
    world: World, tmp_path: Path, desk: Desk
) -> None:
    """What counts is what is permitted when it is stored: quarantine is no way around it."""
    sow(world.database, SEED, OTHER)
    await _quarantine(world, tmp_path, [SEED, OTHER])
    withdraw(world.database, SEED.handle)
    told = await desk.quarantine("reopen")
    assert told == {"stored": 1, "refused": 1, "kept": 0, "observations": 2}
    assert _stored(world) == [(2, 2, 0)]
    assert world.database.fetch("SELECT outcome FROM vv.envelopes ORDER BY sequence") == [
        (1,),
        (0,),
    ]


async def test_who_withdraws_between_two_transactions_is_not_stored(
    world: World, tmp_path: Path
) -> None:
    """The permissions are asked in each transaction, not once for all of the quarantine."""
    sow(world.database, SEED, OTHER)
    await _quarantine(world, tmp_path, [OTHER, SEED])
    withdrawing = threading.Thread(target=withdraw, args=(world.database, SEED.handle))

    def now_ms() -> int:
        if withdrawing.ident is None:
            withdrawing.start()
            # It waits for this transaction, and the next one for it.
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


async def test_what_no_key_opens_stays(world: World, tmp_path: Path, desk: Desk) -> None:
    """So does what the ledger does not know as quarantined."""
    sow(world.database, SEED)
    _, sent = await _quarantine(world, tmp_path, [SEED, SEED])
    world.database.execute("UPDATE vv.quarantine SET payload = payload || 'x' WHERE sequence = 1")
    world.database.execute("UPDATE vv.envelopes SET outcome = 0 WHERE sequence = 2")
    told = await desk.quarantine("reopen")
    assert told == {"stored": 0, "refused": 0, "kept": 2, "observations": 0}
    assert _stored(world) == [(0, 0, 2)]
    assert len(sent) == 2
