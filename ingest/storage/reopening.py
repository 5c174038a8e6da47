"""
The ways out of quarantine: reopened with the right key and stored, or given up by an operator.

An envelope that no key opened is not settled: its gateway keeps it, and may send it again during
a reopening. An envelope that the database could not write is settled, and only the quarantine
has it.
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
    """Number of envelopes reopened from quarantine, by result."""

    stored: int = 0
    refused: int = 0
    kept: int = 0
    """Still no key opens them, or the handle in them is unknown."""
    settled_before: int = 0
    """Their gateways sent them again, and they were stored or refused then."""
    observations: int = 0
    """Observations stored from the envelopes in `stored`."""


class GivenUp(msgspec.Struct):
    """Number of envelopes that an operator gave up."""

    given_up: int
    kept: int
    """Envelopes of the same gateway above the highest settled sequence of their spool."""


class _Row(msgspec.Struct, frozen=True):
    """An opened envelope from quarantine, with its `quarantine_id`."""

    number: int
    opened: Opened


async def summary(conninfo: str) -> list[dict[str, Any]]:
    """
    Return for each reason the number of envelopes and agents in quarantine, and its dates.

    Raises:
        StoreError: The database cannot be queried.
    """
    async with mapped_errors(), await connect(conninfo, autocommit=True) as connection:
        cursor = await connection.execute(_QUERIES["summary"])
        names = ("reason", "envelopes", "agents", "oldest_received_at", "first_expires_at")
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


async def give_up(conninfo: str, agent: str, *, reason: str, ahead: bool) -> GivenUp:
    """
    Settle the envelopes of *agent* that no key opens, so that the gateway may delete them.

    Args:
        conninfo: Connection string of an administrator, who may become the owner of the tables.

        agent: Id of the gateway's agent.

        reason: The operator's reason, kept in the database.

        ahead: Include envelopes above the highest settled sequence of their spool.

    Raises:
        StoreError: The database has refused; nothing is given up.
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
    Opens the envelopes in quarantine again, and stores what is permitted now.

    Each transaction excludes withdrawals, as a flush does, and moves envelopes from quarantine to
    their rows in one step. Interruptions and repetitions therefore cause no duplicates.

    Args:
        conninfo: Connection string of an administrator, who may become the owner of the tables.

        keys: The private keys of ingest, the newest first.

        clock: How far from its arrival an observation may have been measured.

        now_ms: The system clock, ms since 1970.

        at_once: Number of envelopes in a transaction.
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
        Reopen all envelopes in quarantine once.

        Raises:
            StoreError: The database has refused. Committed transactions stay; run again for the
                rest.
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
        """Reopen the next envelopes *after* an id; return the last id, or None at the end."""
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
        """Hold the permissions until the transaction ends, and update them in memory."""
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
        """Return the envelope as it came: a JSON envelope was sealed to ingest for quarantine."""
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
            # These conflict with readings of other gateways, which are stored first.
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
    """Write *rows* into the ledger; return the identities that this transaction must store."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(_QUERIES["settle"], ledger.columns_of(rows))
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
