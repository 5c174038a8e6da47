"""
The statements of a flush, inside the caller's transaction: claims, quarantine, watermarks.

Deliveries are named by their envelope index (see `ingest.admission`).
"""

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
    """Exclude withdrawals until the transaction ends; return the epoch and the transaction id."""
    cursor = await connection.execute(QUERIES["hold_permissions"])
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - a SELECT of two calls has one row
    return row[0], row[1]


async def decide_under(connection: AsyncConnection, epoch: int) -> None:
    """Record that this transaction decides under *epoch*, which is newer than the one it held."""
    await connection.execute(QUERIES["decide_under"], [epoch])


async def transaction_status(connection: AsyncConnection, transaction: str) -> str:
    """Return the status of *transaction*: committed, aborted, in progress, or unknown."""
    try:
        cursor = await connection.execute(QUERIES["transaction_status"], [transaction])
    except InvalidParameterValue:
        # The id lies in the future of a server that restarted after a crash: nothing was written.
        await connection.rollback()
        return "aborted"
    row = await cursor.fetchone()
    return "unknown" if row is None or row[0] is None else str(row[0])


async def has_written(connection: AsyncConnection, transaction: str, claim: EnvelopeId) -> bool:
    """
    Return whether *transaction* committed *claim*.

    The transaction id alone proves nothing: after a crash or a failover, another transaction may
    have got the same id.
    """
    arguments = [*claim.spool, claim.sequence, transaction]
    cursor = await connection.execute(QUERIES["has_written"], arguments)
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def outlast(connection: AsyncConnection) -> None:
    """Make the COMMIT of this transaction wait until the standby has all earlier commits."""
    await connection.execute(QUERIES["outlast"])


AreSettled = Callable[[Sequence[EnvelopeId]], list[bool]]
"""Returns, for each identity, whether it may be in the ledger already."""


class Repeated(Exception):
    """An envelope that was taken for new is in the ledger: the transaction must be repeated."""


async def claim(
    connection: AsyncConnection, plan: Plan, *, are_settled: AreSettled
) -> tuple[dict[int, bytes], set[int]]:
    """
    Write the claims of *plan* into the ledger.

    Args:
        connection: A connection in a transaction.

        plan: The plan of the flush.

        are_settled: Returns which identities may be in the ledger. All others are taken for new
            and written with COPY, which costs a third of INSERT.

    Returns:
        The deliveries that the ledger knew before, with the digest there; and those of them that
        the ledger does not have as accepted with the planned number of observations.

    Raises:
        Repeated: An identity that was taken for new is in the ledger. The transaction has failed.
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
    """Write those of *claims* that are new, with INSERT. Return as `claim`."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(QUERIES["claim"], columns_of([row for _, row in claims]))
        if cursor.rowcount == len(claims):
            return {}, set()
        new = {EnvelopeId((a, spool_id), n) for a, spool_id, n in await cursor.fetchall()}
        old = [(index, row) for index, row in claims if row.identity not in new]
        before = await _before(cursor, old)
        given_up = [row for _, row in old if before[row.identity][1] == GIVEN_UP]
        if given_up:
            await cursor.execute(QUERIES["take_given_up"], columns_of(given_up))
            taken = {EnvelopeId((a, spool_id), n) for a, spool_id, n in await cursor.fetchall()}
            old = [(index, row) for index, row in old if row.identity not in taken]
            if len(taken) < len(given_up):
                # Another transaction has taken some of them in the meantime.
                before = await _before(cursor, old)
    known = {index: before[row.identity] for index, row in old}
    differing = {
        index for index, row in old if known[index][1:] != (ledger_code(None), row.observations)
    }
    return {index: digest for index, (digest, *_) in known.items()}, differing


async def _before(
    cursor: AsyncCursor, claims: Sequence[tuple[int, LedgerRow]]
) -> dict[EnvelopeId, tuple[bytes, int, int]]:
    """Return digest, outcome and number of observations in the ledger for each of *claims*."""
    columns = columns_of([row for _, row in claims])
    await cursor.execute(QUERIES["outcomes_before"], columns[:3])
    found = await cursor.fetchall()
    return {EnvelopeId((a, s), n): (d, outcome, count) for a, s, n, d, outcome, count in found}


def columns_of(some: Sequence[LedgerRow]) -> list[list[Any]]:
    """Return *some* as lists, one for each column of the ledger."""
    return [
        [row.identity.spool[0] for row in some],
        [row.identity.spool[1] for row in some],
        [row.identity.sequence for row in some],
        [row.digest for row in some],
        [row.outcome for row in some],
        [row.observations for row in some],
    ]


async def quarantined_of(connection: AsyncConnection, agents: Iterable[str]) -> dict[str, int]:
    """Return the number of envelopes in quarantine for each of *agents* that has any."""
    cursor = await connection.execute(QUERIES["quarantined_of_agents"], [sorted(agents)])
    return dict(await cursor.fetchall())


async def mark_spools(
    connection: AsyncConnection, watermarks: Sequence[tuple[str, bytes, int]]
) -> None:
    """Write *watermarks*: agent, spool id, and the sequence through which all is settled."""
    if watermarks:
        columns = [list(column) for column in zip(*watermarks, strict=True)]
        await connection.execute(QUERIES["mark_spools"], columns)


async def read_spools(connection: AsyncConnection, spools: Sequence[Spool]) -> list[SpoolRanges]:
    """Return the settled sequences of each of *spools*."""
    if not spools:
        return []
    # The result holds the caller's objects, so that identities can share them.
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
    """Writes deliveries of one plan into quarantine."""

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
        """Write the deliveries *indexes*; return those that were not in quarantine before."""
        # One statement for all, because each statement costs a round trip.
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
        """Write deliveries that conflict with the ledger, up to the limit; return their fates."""
        fates: dict[int, Fate] = {}
        if not indexes:
            return fates
        opened = self._plan.opened
        kept = await quarantined_of(self._connection, {opened[i].agent for i in indexes})
        for index in indexes:
            agent = opened[index].agent
            if kept.get(agent, 0) >= self._limits.max_per_agent:
                # A forgery above the limit. The identity was settled by an envelope that opened:
                # if it had been given up, this delivery would have taken it.
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
        Write the deliveries *indexes*, which no key opens, each once and up to the agent's limit.

        They claim no identity: anyone who can publish for the agent may have made them.

        Returns:
            The fate of each delivery, and the identities that were settled before with the same
            bytes: those were opened earlier, with a key that has since been removed.
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
            assert one.identity is not None  # noqa: S101 - a sealed envelope has an outside
            key = (one.identity, one.digest)
            if key in settled:
                again[one.identity] = None
            if key in settled or key in lying:
                fates[index] = (Outcome.DUPLICATE, None)
            elif kept.get(one.agent, 0) >= self._limits.max_per_agent:
                # Nothing is lost: the agent gets no receipt and keeps the envelope.
                fates[index] = (Outcome.REFUSED, Reason.BAD_SEAL)
            else:
                kept[one.agent] = kept.get(one.agent, 0) + 1
                lying.add(key)
                fates[index] = (Outcome.QUARANTINED, QuarantineReason.BAD_SEAL)
                wanted.append(index)
        kept_by_another = set(wanted) - await self.keep(wanted)
        fates |= dict.fromkeys(kept_by_another, (Outcome.DUPLICATE, None))
        return fates, list(again)

    async def _find(
        self, query: str, opened: Mapping[int, Opened]
    ) -> set[tuple[EnvelopeId, bytes]]:
        """Return identity and digest of those of *opened* that the named *query* finds."""
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
