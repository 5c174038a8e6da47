"""The store: one transaction per flush, which excludes every withdrawal."""

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
    """A COMMIT of which we never heard."""

    transaction: str
    claim: EnvelopeId | None
    """One that it wrote into the ledger: if that is there, all of it is."""
    opened: object
    stored: Stored


class PostgresStore:
    """
    Fills the port `Store` over one connection, made when it is needed.

    Args:
        conninfo: What to connect with.

        seal: Seals what came in clear and must be quarantined.

        quarantine: How much the quarantine keeps.

        timeout_s: When to give a transaction up.

        now_ms: The time, ms since 1970.

        are_settled: Tells what may be in the ledger already, as far as this process knows.

        changed_since: Returns what this process knows to have changed after an epoch.
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
    ) -> None:
        self._conninfo = conninfo
        self._seal = seal
        self._quarantine = quarantine
        self._timeout_s = timeout_s
        self._now_ms = now_ms
        self._are_settled = are_settled
        self._changed_since = changed_since
        self._connection: AsyncConnection | None = None
        self._days: set[int] = set()
        self._doubt: _Doubt | None = None
        self.is_live = False
        self.on_change: Callable[[bool], None] = lambda is_live: None
        """Told `is_live` after each try: another connection may have told otherwise meanwhile."""

    async def open(self) -> None:
        """
        Connect, and make the partitions of today and tomorrow.

        Raises:
            StoreError: Not possible.
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
                # Settled by another worker, or before what this process remembers.
                await connection.rollback()
                stored = await self._write(connection, plan, watermarks, replan, _all_of)
            done.append(stored)

        try:
            await self._attempt(write)
        except Poisoned:
            # Perhaps a partition that was there is no more: look again before anybody is blamed.
            self._days.clear()
            raise
        return done[0]

    async def _attempt(self, work: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Do *work* on the connection; whatever goes wrong, leave no transaction open."""
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
        self.on_change(is_live)

    async def _ensure_days(self, connection: AsyncConnection, days: set[int]) -> None:
        """Have the partitions of *days*, in a transaction of its own: it locks the table."""
        missing = sorted(days - self._days)
        for first, last in _runs(missing):
            await connection.execute(
                QUERIES["ensure_partitions"],
                [_EPOCH + dt.timedelta(days=first), _EPOCH + dt.timedelta(days=last)],
            )
        await connection.commit()
        self._days.update(missing)

    async def _resolve(self, connection: AsyncConnection, plan: Plan) -> Stored | None:
        """Return what an earlier attempt at *plan* has committed without our hearing of it."""
        doubt, self._doubt = self._doubt, None
        if doubt is None or doubt.opened is not plan.opened:
            return None
        status = await ledger.transaction_status(connection, doubt.transaction)
        if status == "in progress":
            self._doubt = doubt
            raise Unavailable("the transaction before has not ended")
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
            # What this transaction cannot see is not withdrawn before it ends: what is decided now
            # is decided.
            plan = replan(await self._changes(connection, plan, epoch))
            if plan.epoch != epoch:
                await ledger.decide_under(connection, plan.epoch)
        known, rowless = await ledger.claim(connection, plan, are_settled=are_settled)
        fates, conflicts = conclude(plan, known)
        copy_s = await self._copy(connection, plan, known)
        again = await self._put_aside(connection, plan, fates, conflicts, known)
        await ledger.mark_spools(connection, watermarks)
        if known or again:
            await ledger.outlast(connection)
        lost = unstored(plan, fates, conflicts, rowless)
        stored = Stored(plan, fates, self._now_ms(), copy_s, again, lost)
        new = (one for one, i in zip(plan.claims, plan.firsts, strict=True) if i not in known)
        self._doubt = _Doubt(transaction, next(new, None), plan.opened, stored)
        await connection.commit()
        self._doubt = None
        return msgspec.structs.replace(stored, committed_ms=self._now_ms())

    async def _changes(self, connection: AsyncConnection, plan: Plan, epoch: int) -> Changes:
        """Return what changed since *plan* was made, at least up to *epoch*."""
        if epoch < plan.epoch:
            return await read_changes(connection, since=None)
        known = self._changed_since(plan.epoch)
        if known is not None and known.epoch >= epoch:
            return known
        return await read_changes(connection, since=plan.epoch)

    async def _copy(
        self, connection: AsyncConnection, plan: Plan, known: dict[int, bytes]
    ) -> float:
        """Write the observations of what is new; return how long that took."""
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

    async def _put_aside(
        self,
        connection: AsyncConnection,
        plan: Plan,
        fates: list[Fate],
        conflicts: list[int],
        known: dict[int, bytes],
    ) -> list[EnvelopeId]:
        """
        Write the quarantine, and the fates as they turn out into *fates*.

        Return the identities that did not open, and were settled before with the same bytes.
        """
        poisoned = [i for i in plan.poisoned() if i not in known]
        unopened = plan.unopened()
        if not poisoned and not conflicts and not unopened:
            return []
        keeper = ledger.QuarantineWriter(
            connection, plan, seal=self._seal, limits=self._quarantine
        )
        await keeper.keep(poisoned)
        for index, fate in (await keeper.keep_conflicts(conflicts)).items():
            fates[index] = fate
        found, again = await keeper.keep_unopened(unopened)
        for index, fate in found.items():
            fates[index] = fate
        return again


def _all_of(identities: Sequence[EnvelopeId]) -> list[bool]:
    """Take each of *identities* for one that may be in the ledger."""
    return [True] * len(identities)


def _days(rows: Rows) -> set[int]:
    """Return the days, since 1970, that *rows* fall on."""
    if not len(rows):
        return set()
    first, last = int(rows.times_ms.min()) // _DAY_MS, int(rows.times_ms.max()) // _DAY_MS
    if last - first <= 1:
        return {first, last}
    return set((rows.times_ms // _DAY_MS).tolist())


def _runs(days: list[int]) -> list[tuple[int, int]]:
    """Return *days*, ascending, as first and last of each unbroken run."""
    found: list[tuple[int, int]] = []
    for day in days:
        if found and day == found[-1][1] + 1:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found
