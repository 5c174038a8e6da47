"""
The store on a real database: the effects of one transaction, and how its outcome is determined
afterwards.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.admission.admit import admit
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings
from ingest.admission.pair_index import NONE
from ingest.admission.permissions import Changes, Permissions, agent_words, handle_words
from ingest.admission.plan import Plan, make_plan
from ingest.errors import StoreError, Unavailable, Unusable
from ingest.storage.database import connect
from ingest.storage.quarantine import QuarantineLimits, sealer_to
from ingest.storage.reader import read_changes
from ingest.storage.store import PostgresStore
from ingest.values.delivery import Opened
from ingest.values.outcome import Outcome, QuarantineReason, Reason
from tests.fakes.ingest import AGENT, HANDLE, NOW_MS, SPOOL, block, knowing, opened, permission
from tests.fixtures.database import Database
from tests.support.seed_permissions import Seed, sow, withdraw

pytestmark = pytest.mark.database

SETTLED = 50
"""A sequence that this process has settled before."""


@pytest.fixture
async def store(database: Database) -> AsyncIterator[PostgresStore]:
    """A store that is open."""
    one = store_at(database.dsn("vv_ingest"))
    await one.open()
    yield one
    await one.close()


def store_at(
    conninfo: str, on_change: Callable[[bool], None] = lambda is_live: None
) -> PostgresStore:
    """Return a store that is not open yet."""
    return PostgresStore(
        conninfo,
        seal=sealer_to(X25519PrivateKey.generate().public_key()),
        quarantine=QuarantineLimits(),
        timeout_s=30.0,
        now_ms=lambda: NOW_MS,
        are_settled=lambda identities: [one.sequence == SETTLED for one in identities],
        changed_since=lambda epoch: None,
        on_change=on_change,
    )


def plan_of(*some: Opened, epoch: int, is_poison: bool = False) -> Plan:
    """Return the plan of *some* under *epoch*."""
    admission = admit(
        some,
        permissions=knowing(permission(), epoch=epoch),
        last=LastReadings().reserve(),
        clock=ClockRules(),
        now_ms=NOW_MS,
    )
    return make_plan(admission, some, is_poison=is_poison)


def never(changes: Changes) -> Plan:
    """Stand in for a replan that must not be called."""
    raise AssertionError(changes.epoch)


async def test_commit_that_was_not_heard_of_is_found_out(
    store: PostgresStore, database: Database
) -> None:
    """
    After a lost answer to COMMIT the second attempt returns the outcome of the first, not a
    duplicate.
    """
    plan = plan_of(opened(block(70, 71)), epoch=sow(database, Seed()))
    connection = store._connection
    assert connection is not None
    commit = connection.commit

    async def commit_without_answer() -> None:
        await commit()
        if store._doubt is not None:
            raise psycopg.OperationalError

    connection.commit = commit_without_answer  # type: ignore[method-assign] # a cut at the worst
    with pytest.raises(Unavailable):
        await store.flush(plan, watermarks=[], replan=never)
    stored = await store.flush(plan, watermarks=[], replan=never)
    assert stored.fates == [(Outcome.STORED, None)]
    assert database.fetch("SELECT count(*) FROM vv.observations") == [(2,)]


async def test_commit_that_never_was_is_done_again(
    store: PostgresStore, database: Database
) -> None:
    """A transaction that was cut off before its COMMIT is written again."""
    plan = plan_of(opened(block(70, 71)), epoch=sow(database, Seed()))
    connection = store._connection
    assert connection is not None
    commit = connection.commit

    async def cut() -> None:
        if store._doubt is None:
            await commit()
        else:
            await connection.rollback()
            raise psycopg.OperationalError

    connection.commit = cut  # type: ignore[method-assign] # a cut before the server heard of it
    with pytest.raises(Unavailable):
        await store.flush(plan, watermarks=[], replan=never)
    assert database.fetch("SELECT count(*) FROM vv.observations") == [(0,)]
    stored = await store.flush(plan, watermarks=[], replan=never)
    assert stored.fates == [(Outcome.STORED, None)]
    assert database.fetch("SELECT count(*) FROM vv.observations") == [(2,)]


async def test_what_was_settled_without_rows_is_told_apart_from_what_was_stored(
    store: PostgresStore, database: Database
) -> None:
    """
    Duplicates of refused envelopes and conflicts are reported as unstored, because they have no
    reading in any interval.
    """
    epoch = sow(database, Seed())
    stored_before, refused_before, forged, new = (
        opened(block(70), sequence=n, digest=bytes([n]) * 16) for n in (5, 6, 7, 8)
    )
    late = opened(block(70, start_ms=1), sequence=6, digest=bytes([6]) * 16)
    genuine = opened(block(71), sequence=7, digest=b"g" * 16)
    first = plan_of(stored_before, late, genuine, epoch=epoch)
    assert first.verdicts == [None, Reason.TOO_OLD, None]
    stored = await store.flush(first, watermarks=[], replan=never)
    assert stored.unstored == []
    again = plan_of(stored_before, refused_before, forged, new, epoch=epoch)
    assert again.verdicts == [None] * 4
    stored = await store.flush(again, watermarks=[], replan=never)
    assert [fate for fate, _ in stored.fates] == [
        Outcome.DUPLICATE,
        Outcome.DUPLICATE,
        Outcome.QUARANTINED,
        Outcome.STORED,
    ]
    assert stored.unstored == [1, 2]


@pytest.mark.parametrize(
    "sequence", [pytest.param(5, id="unknown"), pytest.param(SETTLED, id="known")]
)
async def test_what_is_in_the_ledger_is_no_second_row(
    store: PostgresStore, database: Database, sequence: int
) -> None:
    """A duplicate among new envelopes is found, whether this process knew of it or not."""
    epoch = sow(database, Seed())
    first = [opened(block(70), sequence=s) for s in (sequence, 6)]
    again = [opened(block(70), sequence=s) for s in (7, sequence, 8)]
    await store.flush(plan_of(*first, epoch=epoch), watermarks=[], replan=never)
    stored = await store.flush(plan_of(*again, epoch=epoch), watermarks=[], replan=never)
    assert stored.fates == [
        (Outcome.STORED, None), (Outcome.DUPLICATE, None), (Outcome.STORED, None)
    ]  # fmt: skip
    assert database.fetch("SELECT count(*) FROM vv.observations") == [(4,)]
    assert database.fetch("SELECT count(*), sum(observations) FROM vv.envelopes") == [(4, 4)]


async def test_of_a_flush_an_envelope_is_written_once(
    store: PostgresStore, database: Database
) -> None:
    """An envelope that comes twice within a flush is stored once."""
    some = [opened(block(70, 71)), opened(block(70, 71)), opened(block(72), sequence=2)]
    plan = plan_of(*some, epoch=sow(database, Seed()))
    stored = await store.flush(plan, watermarks=[], replan=never)
    assert [outcome for outcome, _ in stored.fates] == [
        Outcome.STORED, Outcome.DUPLICATE, Outcome.STORED
    ]  # fmt: skip
    assert database.fetch("SELECT count(*) FROM vv.observations") == [(3,)]
    assert database.fetch("SELECT count(*), sum(observations) FROM vv.envelopes") == [(2, 3)]


async def test_what_is_quarantined_has_no_rows(store: PostgresStore, database: Database) -> None:
    """An envelope that was admitted and then found to be poison is only in quarantine."""
    one = opened(block(70, 71))
    one.delivery.payload = b"sealed"
    plan = plan_of(one, epoch=sow(database, Seed()), is_poison=True)
    stored = await store.flush(plan, watermarks=[], replan=never)
    assert stored.fates == [(Outcome.QUARANTINED, QuarantineReason.POISON)]
    assert database.fetch("SELECT count(*) FROM vv.observations") == [(0,)]
    assert database.fetch("SELECT count(*) FROM vv.quarantine") == [(1,)]


async def test_spools_are_read_as_they_were_settled(
    store: PostgresStore, database: Database
) -> None:
    """
    The settled sequences of a spool are its watermark and the runs above it; an unknown spool has
    none.
    """
    epoch = sow(database, Seed())
    some = [opened(block(70), sequence=s) for s in (3, 4, 6, 9, 10, 11)]
    mark = (AGENT, SPOOL, 4)
    await store.flush(plan_of(*some, epoch=epoch), watermarks=[mark], replan=never)
    other = (AGENT, b"o" * 16)
    assert await store.read_spools([(AGENT, SPOOL), other]) == [
        ((AGENT, SPOOL), 4, [(6, 6), (9, 11)]),
        (other, 0, []),
    ]
    lower = (AGENT, SPOOL, 2)
    await store.flush(plan_of(some[0], epoch=epoch), watermarks=[lower], replan=never)
    assert (await store.read_spools([(AGENT, SPOOL)]))[0][1] == 4


async def test_observations_of_many_days_have_their_partitions(
    store: PostgresStore, database: Database
) -> None:
    """Observations of many past days get their partitions."""
    day = 86_400_000
    some = [
        opened(block(70, start_ms=NOW_MS - days * day), sequence=days + 1)
        for days in (0, 1, 2, 9, 29)
    ]
    await store.flush(plan_of(*some, epoch=sow(database, Seed())), watermarks=[], replan=never)
    assert database.fetch("SELECT count(DISTINCT time::date) FROM vv.observations") == [(5,)]


async def test_changes_are_read_whole_and_since_an_epoch(database: Database) -> None:
    """A reader gets all changes, only those after an epoch, or none."""
    first = sow(database, Seed())
    second = sow(database, Seed(handle=b"n" * 16))
    async with await psycopg.AsyncConnection.connect(database.dsn("vv_ingest")) as connection:
        everything = await read_changes(connection, since=None)
        newer = await read_changes(connection, since=first)
        nothing = await read_changes(connection, since=second)
    assert everything.is_complete
    words = everything.permissions["handle"].astype(">u8")
    assert {word.tobytes() for word in words} == {HANDLE, b"n" * 16}
    assert newer.permissions["handle"].astype(">u8").tobytes() == b"n" * 16
    assert (newer.is_complete, newer.epoch) == (False, second)
    assert (nothing.epoch, len(nothing.permissions)) == (second, 0)


async def test_what_was_erased_unseen_is_forgotten(database: Database) -> None:
    """A reader that missed a withdrawal and its erasure forgets the permission."""
    known = sow(database, Seed())
    after = sow(database, Seed(handle=b"n" * 16))
    permissions = Permissions()
    async with await psycopg.AsyncConnection.connect(
        database.dsn("vv_ingest"), autocommit=True
    ) as connection:
        async with connection.transaction():
            permissions.apply(await read_changes(connection, since=None))
        withdraw(database, HANDLE)
        database.execute("SELECT vv.erase_keys(ARRAY[%s]::bytea[], '{}', '{}')", HANDLE)
        async with connection.transaction():
            changes = await read_changes(connection, since=after)
        permissions.apply(changes)
        async with connection.transaction():
            again = await read_changes(connection, since=changes.epoch)
    assert known < after < changes.epoch
    numbers = permissions.handles(handle_words([HANDLE, b"n" * 16]), agent_words([AGENT, AGENT]))
    assert [number == NONE for number in numbers] == [True, False]
    assert not again.is_complete


async def test_who_knows_another_line_of_time_reads_everything(database: Database) -> None:
    """A reader reads everything if its epoch belongs to another timeline of a restored server."""
    sow(database, Seed())
    known = sow(database, Seed(handle=b"n" * 16))
    database.execute("UPDATE vv.permission_gate SET epoch = epoch - 1, cleared_at = '2020-01-01'")
    database.execute("SELECT vv.clear_erasures('{}')")
    async with await psycopg.AsyncConnection.connect(database.dsn("vv_ingest")) as connection:
        changes = await read_changes(connection, since=known)
    assert changes.is_complete
    assert changes.epoch > 1_700_000_000_000


@pytest.mark.parametrize(
    ("change", "kind", "why"),
    [
        ("password=wrong", Unusable, "the database refused the password"),
        ("dbname=nowhere", Unusable, "the database in dsn does not exist"),
        ("port=1", Unavailable, "no server listens on the address of the database"),
    ],
)
async def test_failure_to_connect_says_what_to_mend(
    database: Database, change: str, kind: type[StoreError], why: str
) -> None:
    """An error of connecting names its cause, without the text of libpq."""
    with pytest.raises(kind) as caught:
        await connect(f"{database.dsn('vv_ingest')} {change}", autocommit=True)
    assert caught.value.cause.startswith(f"{why}. ")


async def test_each_try_tells_whether_the_database_is_live(database: Database) -> None:
    """
    Each attempt reports whether the database is live, because another connection may have reported
    otherwise.
    """
    told: list[bool] = []
    nowhere = store_at(f"{database.dsn('vv_ingest')} port=1", told.append)
    somewhere = store_at(database.dsn("vv_ingest"), told.append)
    for each, works in ((nowhere, False), (somewhere, True), (nowhere, False)):
        with contextlib.suppress(Unavailable):
            await each.open()
        assert told[-1] is works
    await somewhere.close()


@pytest.mark.slow
async def test_withdrawal_races_a_flush_and_always_has_the_last_word(
    store: PostgresStore, database: Database
) -> None:
    """In many races with a flush no row is committed after the withdrawal of its permission."""
    handles = [bytes([i]) * 16 for i in range(150)]
    sow(database, *(Seed(handle=handle, pseudonym=handle) for handle in handles))
    permissions, chance = Permissions(), random.Random(7)
    async with await psycopg.AsyncConnection.connect(database.dsn("vv_ingest")) as connection:
        permissions.apply(await read_changes(connection, since=None))

    def plan(some: Sequence[Opened]) -> Plan:
        admission = admit(
            some,
            permissions=permissions,
            last=LastReadings().reserve(),
            clock=ClockRules(),
            now_ms=NOW_MS,
        )
        return make_plan(admission, some)

    outcomes = []
    for number, handle in enumerate(handles):
        some = [opened(block(70, 71), handle=handle, sequence=number + 1)]

        def replan(changes: Changes, some: Sequence[Opened] = some) -> Plan:
            permissions.apply(changes)
            return plan(some)

        withdrawing = asyncio.to_thread(withdraw, database, handle)
        task = asyncio.ensure_future(withdrawing)
        await asyncio.sleep(chance.uniform(0, 0.02))
        stored = await store.flush(plan(some), watermarks=[], replan=replan)
        await task
        outcomes.append(stored.fates[0][0])
    assert set(outcomes) == {Outcome.STORED, Outcome.REFUSED}
    assert database.fetch(
        "SELECT count(*) FROM vv.observations o JOIN vv.permissions p USING (series_id)"
        " WHERE pg_xact_commit_timestamp(o.xmin) > pg_xact_commit_timestamp(p.xmin)"
    ) == [(0,)]
