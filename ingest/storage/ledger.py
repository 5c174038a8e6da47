"""The statements of a flush, inside the caller's transaction: claims, quarantine, watermarks."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

from psycopg import AsyncConnection, AsyncCursor
from psycopg.errors import InvalidParameterValue, UniqueViolation

from ingest.admission.plan import Fate, LedgerRow, Plan
from ingest.ports import SpoolRanges
from ingest.storage import copy_format
from ingest.storage.quarantine import QuarantineLimits, Seal, rows
from ingest.storage.queries import QUERIES
from ingest.values.delivery import EnvelopeId, Opened, Spool
from ingest.values.outcome import GIVEN_UP, Outcome, QuarantineReason, Reason, ledger_code


async def hold_permissions(connection: AsyncConnection) -> tuple[int, str]:
    """Exclude withdrawals until the end of the transaction; return the epoch and its id."""
    cursor = await connection.execute(QUERIES["hold_permissions"])
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - a SELECT of two calls has one row
    return row[0], row[1]


async def decide_under(connection: AsyncConnection, epoch: int) -> None:
    """Have it on record that this transaction decides under *epoch*, later than it held."""
    await connection.execute(QUERIES["decide_under"], [epoch])


async def transaction_status(connection: AsyncConnection, transaction: str) -> str:
    """Return what became of *transaction*: committed, aborted, in progress, or unknown."""
    try:
        cursor = await connection.execute(QUERIES["transaction_status"], [transaction])
    except InvalidParameterValue:
        # Never written: to a server that came back from a crash it lies in the future.
        await connection.rollback()
        return "aborted"
    row = await cursor.fetchone()
    return "unknown" if row is None or row[0] is None else str(row[0])


async def has_written(connection: AsyncConnection, transaction: str, claim: EnvelopeId) -> bool:
    """
    Tell whether *transaction* committed *claim*.

    Its id alone tells nothing: after a crash, or a failover, another may have been given the same.
    """
    arguments = [*claim.spool, claim.sequence, transaction]
    cursor = await connection.execute(QUERIES["has_written"], arguments)
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def outlast(connection: AsyncConnection) -> None:
    """Have the COMMIT of this transaction wait until a standby has all that was committed."""
    await connection.execute(QUERIES["outlast"])


AreSettled = Callable[[Sequence[EnvelopeId]], list[bool]]
"""Tells of each identity whether it may be in the ledger already."""


class Repeated(Exception):
    """Something that was taken for new is in the ledger. Nothing is written; claim carefully."""


async def claim(
    connection: AsyncConnection, plan: Plan, *, are_settled: AreSettled
) -> tuple[dict[int, bytes], set[int]]:
    """
    Write the ledger; return the deliveries that were in it before, with the digest there, and
    those of them that were not accepted then.

    Args:
        connection: In a transaction.

        plan: What is claimed.

        are_settled: Tells what may be in the ledger. All else is taken for new and copied, which
            costs a third.

    Raises:
        Repeated: Not all else was new. The transaction is lost.
    """
    wanted = plan.ledger()
    doubtful = are_settled([row.identity for row in wanted])
    is_new = True not in doubtful
    new = wanted if is_new else list(compress(wanted, map(operator.not_, doubtful)))
    if new:
        try:
            async with connection.cursor() as cursor, cursor.copy(QUERIES["copy_ledger"]) as copy:
                await copy.write(copy_format.encode_ledger(new))
        except UniqueViolation:
            raise Repeated from None
    if is_new:
        return {}, set()
    pairs = zip(plan.firsts, wanted, strict=True)
    return await _claim_carefully(connection, list(compress(pairs, doubtful)))


async def _claim_carefully(
    connection: AsyncConnection, claims: Sequence[tuple[int, LedgerRow]]
) -> tuple[dict[int, bytes], set[int]]:
    """
    Write what is new of *claims*; return the others' digests by their deliveries, and which of
    them were not accepted.
    """
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(QUERIES["claim"], _columns([row for _, row in claims]))
        if cursor.rowcount == len(claims):
            return {}, set()
        new = {EnvelopeId((a, spool_id), n) for a, spool_id, n in await cursor.fetchall()}
        old = [(index, row) for index, row in claims if row.identity not in new]
        before = await _before(cursor, old)
        given_up = [row for _, row in old if before[row.identity][1] == GIVEN_UP]
        if given_up:
            await cursor.execute(QUERIES["take_given_up"], _columns(given_up))
            taken = {EnvelopeId((a, spool_id), n) for a, spool_id, n in await cursor.fetchall()}
            old = [(index, row) for index, row in old if row.identity not in taken]
            if len(taken) < len(given_up):
                # Another transaction has taken some of them meanwhile.
                before = await _before(cursor, old)
    known = {index: before[row.identity] for index, row in old}
    rowless = {index for index, (_, outcome) in known.items() if outcome != ledger_code(None)}
    return {index: digest for index, (digest, _) in known.items()}, rowless


async def _before(
    cursor: AsyncCursor, claims: Sequence[tuple[int, LedgerRow]]
) -> dict[EnvelopeId, tuple[bytes, int]]:
    """Return what the ledger has of *claims*: digests and outcomes."""
    columns = _columns([row for _, row in claims])
    await cursor.execute(QUERIES["outcomes_before"], columns[:3])
    found = await cursor.fetchall()
    return {EnvelopeId((a, s), n): (digest, outcome) for a, s, n, digest, outcome in found}


def _columns(some: Sequence[LedgerRow]) -> list[list[Any]]:
    """Return *some* as the columns of the ledger."""
    return [
        [row.identity.spool[0] for row in some],
        [row.identity.spool[1] for row in some],
        [row.identity.sequence for row in some],
        [row.digest for row in some],
        [row.outcome for row in some],
        [row.observations for row in some],
    ]


async def quarantined_of(connection: AsyncConnection, agents: Iterable[str]) -> dict[str, int]:
    """Return how many envelopes of each of *agents* are in quarantine."""
    cursor = await connection.execute(QUERIES["quarantined_of_agents"], [sorted(agents)])
    return dict(await cursor.fetchall())


async def mark_spools(
    connection: AsyncConnection, watermarks: Sequence[tuple[str, bytes, int]]
) -> None:
    """Write down what spools are settled through."""
    if watermarks:
        columns = [list(column) for column in zip(*watermarks, strict=True)]
        await connection.execute(QUERIES["mark_spools"], columns)


async def read_spools(connection: AsyncConnection, spools: Sequence[Spool]) -> list[SpoolRanges]:
    """Return what is settled of each of *spools*."""
    if not spools:
        return []
    # What is given back is the object that was asked for.
    asked = {spool: spool for spool in spools}
    found: dict[Spool, SpoolRanges] = {}
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(
            QUERIES["read_spools"], [[s[0] for s in spools], [s[1] for s in spools]]
        )
        for agent, spool_id, through, first, last in await cursor.fetchall():
            spool = asked[agent, spool_id]
            _, _, runs = found.setdefault(spool, (spool, through, []))
            if first is not None:
                runs.append((first, last))
    return list(found.values())


class QuarantineWriter:
    """Puts deliveries of one plan into quarantine."""

    def __init__(
        self, connection: AsyncConnection, plan: Plan, *, seal: Seal, limits: QuarantineLimits
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._seal = seal
        self._limits = limits

    async def keep(
        self, indexes: Sequence[int], *, reason: QuarantineReason | None = None
    ) -> set[int]:
        """Keep the deliveries *indexes*; return those that were not there before."""
        # All in one statement: a flush would wait a round trip for each.
        found = rows(
            self._plan, indexes, reason=reason, seal=self._seal, keep_days=self._limits.keep_days
        )
        kept = {(one.agent, one.spool_id, one.sequence, one.digest): one for one in found}
        if not kept:
            return set()
        columns = zip(
            *(
                (
                    one.agent, one.spool_id, one.sequence, one.reason.value,
                    one.digest, one.payload, one.received_at, one.expires_at,
                )
                for one in kept.values()
            ),
            strict=True,
        )  # fmt: skip
        async with self._connection.cursor(binary=True) as cursor:
            await cursor.execute(QUERIES["quarantine"], [list(column) for column in columns])
            return {kept[row].index for row in await cursor.fetchall()}

    async def keep_conflicts(self, indexes: Sequence[int]) -> dict[int, Fate]:
        """Keep what contradicts the ledger, while there is room; return what became of each."""
        fates: dict[int, Fate] = {}
        if not indexes:
            return fates
        opened = self._plan.opened
        kept = await quarantined_of(self._connection, {opened[i].agent for i in indexes})
        for index in indexes:
            agent = opened[index].agent
            if kept.get(agent, 0) >= self._limits.max_per_agent:
                # No room to keep a forgery; what it contradicts was settled by an envelope that
                # opened, for it would have taken what was given up itself.
                fates[index] = (Outcome.REFUSED, Reason.MALFORMED)
            elif await self.keep([index], reason=QuarantineReason.CONFLICT):
                kept[agent] = kept.get(agent, 0) + 1
                fates[index] = (Outcome.QUARANTINED, QuarantineReason.CONFLICT)
            else:
                fates[index] = (Outcome.DUPLICATE, None)
        return fates

    async def keep_unopened(
        self, indexes: Sequence[int]
    ) -> tuple[dict[int, Fate], list[EnvelopeId]]:
        """
        Keep each of *indexes*, which no key opens, once, while there is room for its agent.

        Takes no identity: anyone who can publish for an agent may have made it. Return what
        became of each, and the identities that were settled before with the same bytes: those
        opened once, with a key that is gone by now.
        """
        fates: dict[int, Fate] = {}
        if not indexes:
            return fates, []
        opened = {index: self._plan.opened[index] for index in indexes}
        settled = await self._find("claimed_before", opened)
        lying = await self._find("quarantined_before", opened)
        kept = await quarantined_of(self._connection, {one.agent for one in opened.values()})
        again: dict[EnvelopeId, None] = {}
        wanted: list[int] = []
        for index, one in opened.items():
            assert one.identity is not None  # noqa: S101 - what has a seal has an outside
            key = (one.identity, one.digest)
            if key in settled:
                again[one.identity] = None
            if key in settled or key in lying:
                fates[index] = (Outcome.DUPLICATE, None)
            elif kept.get(one.agent, 0) >= self._limits.max_per_agent:
                # Its agent keeps it, for it gets no receipt: nothing is lost.
                fates[index] = (Outcome.REFUSED, Reason.BAD_SEAL)
            else:
                kept[one.agent] = kept.get(one.agent, 0) + 1
                lying.add(key)
                fates[index] = (Outcome.QUARANTINED, QuarantineReason.BAD_SEAL)
                wanted.append(index)
        there_meanwhile = set(wanted) - await self.keep(wanted)
        fates |= dict.fromkeys(there_meanwhile, (Outcome.DUPLICATE, None))
        return fates, list(again)

    async def _find(
        self, query: str, opened: Mapping[int, Opened]
    ) -> set[tuple[EnvelopeId, bytes]]:
        """Return which of *opened* the *query* finds, by identity and digest."""
        identities = [one.identity for one in opened.values() if one.identity is not None]
        async with self._connection.cursor(binary=True) as cursor:
            await cursor.execute(
                QUERIES[query],
                [
                    [identity.spool[0] for identity in identities],
                    [identity.spool[1] for identity in identities],
                    [identity.sequence for identity in identities],
                ],
            )
            return {(EnvelopeId((a, s), n), digest) for a, s, n, digest in await cursor.fetchall()}
