"""The store: one transaction for each flush, which excludes withdrawals of consent."""

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec
import psycopg
from psycopg import AsyncConnection

from ingest.admission.decide import Rows
from ingest.admission.permissions import Changes
from ingest.admission.plan import Fate, Plan, conclude, unstored
from ingest.errors import Poisoned, StoreError, Unavailable, Undecided
from ingest.ports import SpoolRanges, Stored
from ingest.storage import copy_format, ledger
from ingest.storage.database import connect, mapped_errors
from ingest.storage.quarantine import QuarantineLimits, Seal
from ingest.storage.queries import QUERIES
from ingest.storage.reader import read_changes
from ingest.values.delivery import EnvelopeId, Spool

_DAY_MS = 86_400_000
_EPOCH = dt.date(1970, 1, 1)


class _Doubt(msgspec.Struct, frozen=True):
    """A COMMIT whose result is unknown because the connection was lost."""

    transaction: str
    claim: EnvelopeId | None
    """An identity that the transaction wrote into the ledger: if it is there, all rows are."""
    opened: object
    """The deliveries of the plan, compared by identity."""
    stored: Stored
    """The result of the flush if the COMMIT has succeeded."""


class PostgresStore:
    """
    Implements the port `Store` over one connection, which is made when it is needed.

    Args:
        conninfo: Connection string with the password.

        seal: Seals JSON envelopes for the quarantine.

        quarantine: Limits of the quarantine.

        timeout_s: Time limit of a transaction.

        now_ms: The system clock, ms since 1970.

        are_settled: Returns which identities may be in the ledger, as far as this process knows.

        changed_since: Returns the changes of permissions after an epoch that this process knows.

        on_change: Called with `is_live` after each attempt: stores share one display of it.
    """

    def __init__(  # noqa: PLR0913 - the composition root hands over every part once, by name
        self,
        conninfo: str,
        *,
        seal: Seal,
        quarantine: QuarantineLimits,
        timeout_s: float,
        now_ms: Callable[[], int],
        are_settled: ledger.AreSettled,
        changed_since: Callable[[int], Changes | None],
        on_change: Callable[[bool], None],
    ) -> None:
        self._conninfo = conninfo
        self._seal = seal
        self._quarantine = quarantine
        self._timeout_s = timeout_s
        self._now_ms = now_ms
        self._are_settled = are_settled
        self._changed_since = changed_since
        self._on_change = on_change
        self._connection: AsyncConnection | None = None
        self._days: set[int] = set()
        self._doubt: _Doubt | None = None
        self.is_live = False

    async def open(self) -> None:
        """
        Connect, and create the partitions of today and tomorrow.

        Raises:
            StoreError: The database cannot be reached, or is set up wrongly.
        """
        today = self._now_ms() // _DAY_MS
        await self._attempt(lambda c: self._ensure_days(c, {today, today + 1}))

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        self._set_live(False)

    async def read_spools(self, spools: Iterable[Spool]) -> list[SpoolRanges]:
        wanted = sorted(spools)
        found: list[SpoolRanges] = []

        async def read(connection: AsyncConnection) -> None:
            found.extend(await ledger.read_spools(connection, wanted))
            await connection.commit()

        await self._attempt(read)
        return found

    async def flush(
        self,
        plan: Plan,
        *,
        watermarks: list[tuple[str, bytes, int]],
        replan: Callable[[Changes], Plan],
    ) -> Stored:
        done: list[Stored] = []

        async def write(connection: AsyncConnection) -> None:
            if (settled := await self._resolve(connection, plan)) is not None:
                done.append(settled)
                return
            await self._ensure_days(connection, _days(plan.admission.rows))
            try:
                stored = await self._write(connection, plan, watermarks, replan, self._are_settled)
            except ledger.Repeated:
                # Another process has settled it, or this one has forgotten it.
                await connection.rollback()
                stored = await self._write(connection, plan, watermarks, replan, _all_of)
            done.append(stored)

        try:
            await self._attempt(write)
        except Poisoned:
            # The cause may be a partition that was dropped: create partitions again before an
            # envelope is blamed.
            self._days.clear()
            raise
        return done[0]

    async def _attempt(self, work: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Do *work* on the connection; after any error no transaction stays open."""
        try:
            async with mapped_errors(), asyncio.timeout(self._timeout_s):
                if self._connection is None:
                    self._connection = await connect(self._conninfo, autocommit=False)
                await work(self._connection)
        except (StoreError, asyncio.CancelledError) as error:
            await self._clean_up(is_broken=not isinstance(error, Poisoned | Undecided))
            raise
        self._set_live(True)

    async def _clean_up(self, *, is_broken: bool) -> None:
        if self._connection is None:
            self._set_live(False)
            return
        try:
            if is_broken:
                await self.close()
            else:
                await self._connection.rollback()
        except (psycopg.Error, OSError):
            await self.close()

    def _set_live(self, is_live: bool) -> None:
        self.is_live = is_live
        self._on_change(is_live)

    async def _ensure_days(self, connection: AsyncConnection, days: set[int]) -> None:
        """Create the partitions of *days*, in a separate transaction, as it locks the table."""
        missing = sorted(days - self._days)
        for first, last in _runs(missing):
            await connection.execute(
                QUERIES["ensure_partitions"],
                [_EPOCH + dt.timedelta(days=first), _EPOCH + dt.timedelta(days=last)],
            )
        await connection.commit()
        self._days.update(missing)

    async def _resolve(self, connection: AsyncConnection, plan: Plan) -> Stored | None:
        """Return the result of an earlier attempt at *plan* if its COMMIT has succeeded."""
        doubt, self._doubt = self._doubt, None
        if doubt is None or doubt.opened is not plan.opened:
            return None
        status = await ledger.transaction_status(connection, doubt.transaction)
        if status == "in progress":
            self._doubt = doubt
            raise Unavailable("the transaction of the attempt before has not ended yet")
        is_there = doubt.claim is not None and await ledger.has_written(
            connection, doubt.transaction, doubt.claim
        )
        await ledger.outlast(connection)
        await connection.commit()
        return doubt.stored if is_there else None

    async def _write(
        self,
        connection: AsyncConnection,
        plan: Plan,
        watermarks: list[tuple[str, bytes, int]],
        replan: Callable[[Changes], Plan],
        are_settled: ledger.AreSettled,
    ) -> Stored:
        epoch, transaction = await ledger.hold_permissions(connection)
        if epoch != plan.epoch or self._now_ms() >= plan.admission.expires_ms:
            # No withdrawal commits before this transaction ends: decisions made now stay valid.
            plan = replan(await self._changes(connection, plan, epoch))
            if plan.epoch != epoch:
                await ledger.decide_under(connection, plan.epoch)
        known, differing = await ledger.claim(connection, plan, are_settled=are_settled)
        fates, conflicts = conclude(plan, known)
        copy_s = await self._copy(connection, plan, known)
        repeated = await self._quarantine_all(connection, plan, fates, conflicts, known)
        await ledger.mark_spools(connection, watermarks)
        if known or repeated:
            await ledger.outlast(connection)
        lost = unstored(plan, fates, conflicts, differing)
        stored = Stored(plan, fates, self._now_ms(), copy_s, repeated, lost)
        new = (one for one, i in zip(plan.claims, plan.firsts, strict=True) if i not in known)
        self._doubt = _Doubt(transaction, next(new, None), plan.opened, stored)
        await connection.commit()
        self._doubt = None
        return msgspec.structs.replace(stored, committed_ms=self._now_ms())

    async def _changes(self, connection: AsyncConnection, plan: Plan, epoch: int) -> Changes:
        """Return the changes of permissions since *plan* was made, at least up to *epoch*."""
        if epoch < plan.epoch:
            return await read_changes(connection, since=None)
        known = self._changed_since(plan.epoch)
        if known is not None and known.epoch >= epoch:
            return known
        return await read_changes(connection, since=plan.epoch)

    async def _copy(
        self, connection: AsyncConnection, plan: Plan, known: dict[int, bytes]
    ) -> float:
        """Write the observations of new envelopes; return the duration of COPY, s."""
        rows = plan.admission.rows
        if known or plan.repeats or not plan.is_all_accepted:
            rows = rows.of(plan.accepted(i for i in plan.firsts if i not in known))
        if not len(rows):
            return 0.0
        started_at = time.perf_counter()
        async with (
            connection.cursor() as cursor,
            cursor.copy(QUERIES["copy_observations"]) as copy,
        ):
            for piece in copy_format.pieces(rows):
                await copy.write(piece)
        return time.perf_counter() - started_at

    async def _quarantine_all(
        self,
        connection: AsyncConnection,
        plan: Plan,
        fates: list[Fate],
        conflicts: list[int],
        known: dict[int, bytes],
    ) -> list[EnvelopeId]:
        """
        Write the quarantine, and the final fates of its deliveries into *fates*.

        Return the identities that no key opens and that were settled before with the same bytes.
        """
        poisoned = [i for i in plan.poisoned() if i not in known]
        unopened = plan.unopened()
        if not poisoned and not conflicts and not unopened:
            return []
        writer = ledger.QuarantineWriter(
            connection, plan, seal=self._seal, limits=self._quarantine
        )
        await writer.keep(poisoned)
        for index, fate in (await writer.keep_conflicts(conflicts)).items():
            fates[index] = fate
        found, repeated = await writer.keep_unopened(unopened)
        for index, fate in found.items():
            fates[index] = fate
        return repeated


def _all_of(identities: Sequence[EnvelopeId]) -> list[bool]:
    """Return that each of *identities* may be in the ledger."""
    return [True] * len(identities)


def _days(rows: Rows) -> set[int]:
    """Return the days of *rows*, as days since 1970."""
    if not len(rows):
        return set()
    first, last = int(rows.times_ms.min()) // _DAY_MS, int(rows.times_ms.max()) // _DAY_MS
    if last - first <= 1:
        return {first, last}
    return set((rows.times_ms // _DAY_MS).tolist())


def _runs(days: list[int]) -> list[tuple[int, int]]:
    """Return the first and the last day of each run of consecutive *days*, which ascend."""
    found: list[tuple[int, int]] = []
    for day in days:
        if found and day == found[-1][1] + 1:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found
