"""
The ways out of quarantine: opened with the right key and stored, or given up by an operator.

What no key opened has settled nothing: its gateway keeps it, and may send it again while this
runs. What the database could not write is settled, and lies here alone.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from psycopg import AsyncConnection

from ingest.admission.admit import admit, owners_of
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings
from ingest.admission.opening import Opening
from ingest.admission.permissions import Permissions
from ingest.admission.plan import LedgerRow, Plan, make_plan
from ingest.storage import copy_format, ledger
from ingest.storage.database import connect, mapped_errors
from ingest.storage.quarantine import unseal
from ingest.storage.queries import QUERIES
from ingest.storage.reader import read_changes
from ingest.values.delivery import Delivery, EnvelopeId, Opened
from ingest.values.outcome import Reason
from runtime.database.named_sql import read
from wire import topics
from wire.sealing import Opener

_QUERIES: Final = read("ingest.storage", "reopening.sql")
_AT_ONCE: Final = 200
_DAY_MS: Final = 86_400_000
_EPOCH: Final = dt.date(1970, 1, 1)


class Reopened(msgspec.Struct):
    """What became of the envelopes that were in quarantine."""

    stored: int = 0
    refused: int = 0
    kept: int = 0
    """No key of ours opens them still, or nobody's handle is in them."""
    settled_before: int = 0
    """Sent again by their gateways, and stored or refused then."""
    observations: int = 0


class GivenUp(msgspec.Struct):
    """What an operator gave up."""

    given_up: int
    kept: int
    """Of the same gateway: ahead of all that it was ever heard to send."""


class _Row(msgspec.Struct, frozen=True):
    number: int
    opened: Opened


async def summary(conninfo: str) -> list[dict[str, Any]]:
    """
    Return for each reason how much is in quarantine, of how many agents, since when, until when.

    Raises:
        StoreError: The database cannot be asked.
    """
    async with mapped_errors(), await connect(conninfo, autocommit=True) as connection:
        cursor = await connection.execute(_QUERIES["summary"])
        names = ("reason", "envelopes", "agents", "oldest_received_at", "first_expires_at")
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


async def give_up(conninfo: str, agent: str, *, reason: str, ahead: bool) -> GivenUp:
    """
    Give up what no key opens of *agent*: it is settled, and its gateway may forget it.

    Args:
        conninfo: Of an administrator, who may become the owner of the tables.

        agent: Whose.

        reason: Why, for those who ask later.

        ahead: Also above the last sequence that was ever settled of a spool.

    Raises:
        StoreError: The database cannot do it; nothing is given up.
    """
    async with mapped_errors(), await connect(conninfo, autocommit=False) as connection:
        await connection.execute("SET ROLE vv_owner")
        cursor = await connection.execute(
            _QUERIES["give_up"], {"agent": agent, "reason": reason, "ahead": ahead}
        )
        row = await cursor.fetchone()
        await connection.commit()
    assert row is not None  # noqa: S101 - a SELECT of two counts has one row
    return GivenUp(*row)


class Reopening:
    """
    Opens what is in quarantine again, and writes what may be stored now.

    Each of its transactions excludes withdrawals as a flush does, and moves an envelope from
    quarantine to its rows in one step: however often it is cut off or repeated, there is one row.

    Args:
        conninfo: Of an administrator, who may become the owner of the tables.

        keys: Ingest's private keys, the newest first.

        clock: How far from its arrival an observation may have been measured.

        now_ms: The time, ms since 1970; a permission may end by itself meanwhile.

        at_once: How many envelopes a transaction takes.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        keys: Sequence[X25519PrivateKey],
        clock: ClockRules,
        now_ms: Callable[[], int],
        at_once: int = _AT_ONCE,
    ) -> None:
        self._conninfo = conninfo
        self._keys = keys
        self._opening = Opening(Opener(keys))
        self._clock = clock
        self._now_ms = now_ms
        self._at_once = at_once
        self._permissions = Permissions()
        self._last = LastReadings()

    async def run(self) -> Reopened:
        """
        Go through the quarantine once.

        Raises:
            StoreError: The database cannot do it. What is done is done; run it again.
        """
        done, after = Reopened(), 0
        async with mapped_errors(), await connect(self._conninfo, autocommit=False) as connection:
            await connection.execute("SET ROLE vv_owner")
            await connection.commit()
            while (last := await self._some(connection, after, done)) is not None:
                await connection.commit()
                after = last
            await connection.rollback()
        return done

    async def _some(self, connection: AsyncConnection, after: int, done: Reopened) -> int | None:
        """Take the next of the quarantine; return the last one's number, None without one."""
        await self._learn(connection)
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(_QUERIES["take"], [after, self._at_once])
            taken = [self._open(*row) for row in await cursor.fetchall()]
        if not taken:
            return None
        rows = [row for row in taken if row.opened.fault is not Reason.BAD_SEAL]
        done.kept += len(taken) - len(rows)
        if rows:
            await self._settle(connection, rows, done)
        return taken[-1].number

    async def _learn(self, connection: AsyncConnection) -> None:
        """Hold the permissions until the end of the transaction, and know them as they are."""
        epoch, _ = await ledger.hold_permissions(connection)
        since = self._permissions.epoch if self._permissions.is_loaded else None
        self._permissions.apply(await read_changes(connection, since=since))
        if self._permissions.epoch != epoch:
            await ledger.decide_under(connection, self._permissions.epoch)

    def _open(
        self, number: int, agent: str, payload: bytes, digest: bytes, received_at: dt.datetime
    ) -> _Row:
        received_ms = round(received_at.timestamp() * 1000)
        topic = topics.observations(agent)
        bare = self._bare(payload, digest)
        return _Row(number, self._opening.open(Delivery(topic, bare, None, 0, received_ms)))

    def _bare(self, payload: bytes, digest: bytes) -> bytes:
        """Return the envelope as it came: one that came in clear was sealed to ourselves."""
        if hashlib.blake2b(payload, digest_size=16).digest() == digest:
            return payload
        for key in self._keys:
            try:
                return unseal(payload, key)
            except InvalidTag:
                continue
        return payload

    async def _settle(
        self, connection: AsyncConnection, rows: Sequence[_Row], done: Reopened
    ) -> None:
        opened = [row.opened for row in rows]
        reserved = self._last.reserve()
        admission = admit(
            opened,
            permissions=self._permissions,
            last=reserved,
            clock=self._clock,
            now_ms=self._now_ms(),
        )
        if waiting := set(admission.waiting):
            # Until it is known whether the gateways that they met have their readings stored.
            reserved.settle(owners_of(opened))
            some = [row for index, row in enumerate(rows) if index not in waiting]
            for part in (some, [rows[index] for index in admission.waiting]):
                await self._settle(connection, part, done)
            return
        plan = make_plan(admission, opened)
        found = {row.identity: row for row in plan.ledger()}
        settled = await _move(connection, list(found.values()))
        firsts = [index for index in plan.firsts if opened[index].identity in settled]
        await _store(connection, plan, firsts)
        written = set(firsts)
        unwritten = [one for index, one in enumerate(opened) if index not in written]
        reserved.settle(owners_of(unwritten) if unwritten else None)
        gone = [rows[index].number for index in firsts]
        left = {row.number for row in rows}.difference(gone)
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(_QUERIES["settled_before"], [list(left)])
            before = [number for (number,) in await cursor.fetchall()]
            await cursor.execute(_QUERIES["forget"], [gone + before])
        done.settled_before += len(before)
        done.kept += len(left) - len(before)
        _note(done, found, settled)


async def _move(connection: AsyncConnection, rows: Sequence[LedgerRow]) -> set[EnvelopeId]:
    """Have the ledger say what became of *rows*; return those that are ours to write."""
    columns = [
        [row.identity.spool[0] for row in rows],
        [row.identity.spool[1] for row in rows],
        [row.identity.sequence for row in rows],
        [row.digest for row in rows],
        [row.outcome for row in rows],
        [row.observations for row in rows],
    ]
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(_QUERIES["settle"], columns)
        return {EnvelopeId((a, spool_id), n) for a, spool_id, n in await cursor.fetchall()}


async def _store(connection: AsyncConnection, plan: Plan, firsts: Sequence[int]) -> None:
    rows = plan.admission.rows.of(plan.accepted(firsts))
    if not len(rows):
        return
    for day in np.unique(rows.times_ms // _DAY_MS).tolist():
        date = _EPOCH + dt.timedelta(days=day)
        await connection.execute(QUERIES["ensure_partitions"], [date, date])
    async with (
        connection.cursor() as cursor,
        cursor.copy(QUERIES["copy_observations"]) as copy,
    ):
        await copy.write(copy_format.encode(rows))


def _note(
    done: Reopened,
    found: Mapping[EnvelopeId, LedgerRow],
    settled: set[EnvelopeId],
) -> None:
    outcomes = [found[identity].outcome for identity in settled]
    done.stored += outcomes.count(0)
    done.refused += outcomes.count(1)
    done.observations += sum(found[identity].observations for identity in settled)
