"""After the COMMIT of a withdrawal no row of its scope appears, whichever writer races it."""

import asyncio
import contextlib
import datetime as dt
import itertools
import random
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.admission.admit import admit
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings
from ingest.admission.permissions import Changes, Permissions
from ingest.admission.plan import Plan, make_plan
from ingest.storage.database import connect
from ingest.storage.quarantine import QuarantineLimits, sealer_to
from ingest.storage.reader import read_changes
from ingest.storage.store import PostgresStore
from ingest.values.delivery import EnvelopeId, Opened
from ingest.values.outcome import Outcome
from runtime import files
from tests.fakes.ingest import NOW_MS, SPOOL, block, opened
from tests.fixtures.database import Database
from tests.fixtures.vault import settings_of
from trust.config import DatabaseSettings
from trust.decisions.permissions import Permission
from trust.domain.pseudonyms import Pseudonym
from trust.telemetry.permissions import Change, Telemetry

pytestmark = [pytest.mark.database, pytest.mark.slow]

WRITERS = 12
_AT_ONCE = 24
"""How many handles are measured at a time; each round ends one of them."""
_SOW = """
INSERT INTO vv.series (pseudonym, purpose, quantity)
SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'race', 1 FROM generate_series(1, %s) n
"""
_PERMIT = """
INSERT INTO vv.permissions
SELECT pseudonym, 1, (%s::text[])[1 + (series_id - 1) / %s], series_id, '2020-01-01', NULL, NULL,
    1, 1, 1, 1
FROM vv.series
"""
_LEAKED = """
SELECT count(DISTINCT o.series_id) FROM vv.observations o JOIN vv.permissions p USING (series_id)
WHERE (p.withdrawn_at IS NOT NULL OR p.valid_to IS NOT NULL)
  AND pg_xact_commit_timestamp(o.xmin) > pg_xact_commit_timestamp(p.xmin)
"""
_FROM = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_END = dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
_BROKEN = {
    "nobody is seen to store": """
CREATE OR REPLACE FUNCTION vv.hold_permissions() RETURNS bigint
LANGUAGE sql SECURITY DEFINER AS $$
INSERT INTO vv.flushes SELECT pg_current_xact_id(), epoch FROM vv.permission_gate
ON CONFLICT (transaction) DO UPDATE SET epoch = excluded.epoch;
SELECT epoch FROM vv.permission_gate
$$
""",
    "a withdrawal waits for nobody": """
CREATE OR REPLACE FUNCTION vv.await_storing() RETURNS void
LANGUAGE sql SECURITY DEFINER AS 'SELECT NULL::void'
""",
    "a shorter validity excludes nobody": """
CREATE OR REPLACE FUNCTION vv.change_permissions() RETURNS bigint
LANGUAGE sql SECURITY DEFINER AS 'SELECT vv.next_epoch()'
""",
}


class Race:
    """
    Twelve writers, and trust, which ends a permission in each round.

    Trust alternately withdraws a permission and shortens its validity.

    Args:
        database: The telemetry database.

        trust: The settings with which trust connects to it.

        rounds: How many permissions are ended.

        seed: The seed of all random choices.
    """

    def __init__(
        self, database: Database, trust: DatabaseSettings, *, rounds: int, seed: int
    ) -> None:
        self._database = database
        self._trust = trust
        self._rounds = rounds
        self._chance = random.Random(seed)
        self._permissions = Permissions()
        self._sequences = itertools.count(1)
        self._handles = [n.to_bytes(16, "big") for n in range(1, rounds + _AT_ONCE + 1)]
        self._agents = [f"{n:016x}" for n in range(len(self._handles) // _AT_ONCE + 1)]
        self._ended = 0
        self.stored = 0
        self.refused = 0

    def sow(self) -> None:
        """Permit every handle."""
        if self._database.variant == "timescale":
            # Rows from long ago would be compressed, and would not show which writer wrote them.
            self._database.execute("SELECT remove_compression_policy('vv.observations')")
        self._database.execute("UPDATE vv.permission_gate SET epoch = 1")
        self._database.execute(
            "INSERT INTO vv.agents SELECT unnest(%s::text[]), 'sealed', NULL, 1", self._agents
        )
        self._database.execute(
            "INSERT INTO vv.leases SELECT agent, 1, '2020-01-01', '2099-01-01', 1 FROM vv.agents"
        )
        self._database.execute(_SOW, len(self._handles))
        self._database.execute(_PERMIT, self._agents, _AT_ONCE)

    async def run(self) -> None:
        """Run the race to its end."""
        async with contextlib.AsyncExitStack() as stack:
            connection = await stack.enter_async_context(
                await connect(self._database.dsn("vv_ingest"), autocommit=False)
            )
            self._permissions.apply(await read_changes(connection, since=None))
            stores = [
                await stack.enter_async_context(_store(self._database, self._permissions))
                for _ in range(WRITERS)
            ]
            writing = [asyncio.create_task(self._write(store)) for store in stores]
            await self._end_all()
            for task in writing:
                await task

    async def _write(self, store: PostgresStore) -> None:
        while self._ended < self._rounds:
            live = range(self._ended, self._ended + _AT_ONCE)
            some = [self._measured(number) for number in self._chance.sample(live, 3)]

            def replan(changes: Changes, some: Sequence[Opened] = some) -> Plan:
                self._permissions.apply(changes)
                return self._plan(some)

            stored = await store.flush(self._plan(some), watermarks=[], replan=replan)
            for outcome, _ in stored.fates:
                self.stored += outcome is Outcome.STORED
                self.refused += outcome is Outcome.REFUSED

    def _measured(self, number: int) -> Opened:
        agent, sequence = self._agents[number // _AT_ONCE], next(self._sequences)
        one = opened(block(70, 71), handle=self._handles[number])
        return msgspec.structs.replace(
            one, agent=agent, identity=EnvelopeId((agent, SPOOL), sequence)
        )

    def _plan(self, some: Sequence[Opened]) -> Plan:
        admission = admit(
            some,
            permissions=self._permissions,
            last=LastReadings().reserve(),
            clock=ClockRules(),
            now_ms=NOW_MS,
        )
        return make_plan(admission, some)

    async def _end_all(self) -> None:
        permitted = {handle: _permission(handle, valid_to=None) for handle in self._handles}
        with contextlib.closing(Telemetry(self._trust)) as telemetry:
            for number, handle in enumerate(self._handles[: self._rounds]):
                await asyncio.sleep(self._chance.uniform(0, 0.004))
                if number % 2:
                    permitted[handle] = _permission(handle, valid_to=_END)
                else:
                    del permitted[handle]
                place = number // _AT_ONCE
                those = self._handles[place * _AT_ONCE : (place + 1) * _AT_ONCE]
                left = [permitted[h] for h in those if h in permitted]
                change = Change(self._agents[place], "sealed", None, left, None, 0)
                await asyncio.to_thread(telemetry.write, [change])
                self._ended += 1

    def leaked(self) -> int:
        """
        Return how many handles had a row that was committed after their permission had
        ended.
        """
        return int(str(self._database.fetch(_LEAKED)[0][0]))


def _permission(handle: bytes, *, valid_to: dt.datetime | None) -> Permission:
    return Permission(handle, 1, Pseudonym(handle), "race", _FROM, valid_to, 1, 1, 1)


@contextlib.asynccontextmanager
async def _store(database: Database, permissions: Permissions) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(
        database.dsn("vv_ingest"),
        seal=sealer_to(X25519PrivateKey.generate().public_key()),
        quarantine=QuarantineLimits(),
        timeout_s=30.0,
        now_ms=lambda: NOW_MS,
        are_settled=lambda identities: [False] * len(identities),
        changed_since=permissions.since,
        on_change=lambda is_live: None,
    )
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(autouse=True)
def _turns() -> Iterator[None]:
    """Let trust's thread run beside twelve writers that never pause."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def trust(database: Database, tmp_path: Path) -> DatabaseSettings:
    """Return the settings with which trust connects to the database."""
    password_file = tmp_path / "trust.password"
    files.write(password_file, database.server.password.encode())
    return settings_of(database, password_file)


@pytest.mark.parametrize("seed", [7, 8])
async def test_no_row_after_the_withdrawal(
    database: Database, trust: DatabaseSettings, seed: int
) -> None:
    """
    Twelve writers against 100 withdrawals at random moments: no row is stored after a
    withdrawal.
    """
    race = Race(database, trust, rounds=100, seed=seed)
    race.sow()

    await race.run()

    assert race.leaked() == 0
    assert race.stored > 200
    assert race.refused > 0


@pytest.mark.parametrize("broken", _BROKEN.values(), ids=_BROKEN)
async def test_without_a_guard_rows_come_after(
    database: Database, trust: DatabaseSettings, broken: str
) -> None:
    """
    Without one of the guards the same race stores rows after a withdrawal, so the test
    can fail.
    """
    race = Race(database, trust, rounds=60, seed=7)
    race.sow()
    database.execute(broken)

    await race.run()

    assert race.leaked() > 0


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2026, 2036))
async def test_no_row_after_ten_thousand_withdrawals(
    database: Database, trust: DatabaseSettings, seed: int
) -> None:
    """Twelve writers against ten times 1,000 withdrawals: no row is stored after a withdrawal."""
    race = Race(database, trust, rounds=1_000, seed=seed)
    race.sow()

    await race.run()

    assert race.leaked() == 0
    assert race.stored > 2_000
    print(f"seed {seed}: stored {race.stored}, refused {race.refused}, leaked 0")  # noqa: T201
