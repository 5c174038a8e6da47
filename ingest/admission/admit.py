"""
Admission: which envelopes may be stored, and why the others may not. Pure.

A block is admitted or refused as a whole. An envelope with at least one admitted block is
accepted; an envelope without one is refused with the reason of its first block. Permissions are
looked up for all envelopes at once; `decide` then decides about all blocks at once. The index
spaces are those of `ingest.admission`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.admission.columns import Bools, Ints
from ingest.admission.decide import Blocks, Candidates, ClockRules, FlushContext, Rows, decide
from ingest.admission.last_readings import Reservation
from ingest.admission.pair_index import NONE, Words
from ingest.admission.permissions import (
    FOR_EVER_MS,
    JSON,
    NO_RULE,
    REVOKED,
    UNKNOWN,
    Permissions,
    agent_words,
    handle_words,
)
from ingest.values.delivery import Opened
from ingest.values.outcome import QuarantineReason, Reason, Verdict
from wire.envelope import MAX_TIME_MS, Body

_LEASE_CLOCK_TOLERANCE_MS: Final = 60_000
"""How far an agent's clock may be behind that of trust when its lease is issued."""

_ALWAYS: Final = (0, MAX_TIME_MS + 1)
_NO_AGENT: Final = 255
"""Stands for the standing of an envelope whose topic names no agent."""


class Admission(msgspec.Struct, frozen=True, eq=False):
    """
    The decisions about the deliveries of a flush.

    Args:
        epoch: Epoch of the permissions that the decisions rely on.

        expires_ms: When the first of these permissions ends by itself, ms since 1970. From then
            on the decisions must be made again.

        verdicts: One for each envelope.

        blocks: The decision about each block.

        rows: The observations to store.

        waiting: Indexes of the envelopes that are refused here only because of readings of other
            gateways whose storage is still pending. They must be decided again, not refused.
    """

    epoch: int
    expires_ms: int
    verdicts: list[Verdict]
    blocks: Blocks
    rows: Rows
    waiting: list[int]

    def shares_series(self, part: "Admission", envelopes: Ints) -> bool:
        """
        Tell whether the *envelopes* share a series with the other envelopes of this admission.

        Refused blocks count as well: a block that is refused now may have excluded another one.

        Args:
            part: The new decisions about *envelopes* alone.

            envelopes: Envelope indexes in this admission, in the order of *part*.
        """
        is_other = np.ones(len(self.verdicts), dtype=np.bool_)
        is_other[envelopes] = False
        is_others = is_other[self.blocks.envelopes]
        others = self.blocks.series[is_others]
        mine = np.concatenate([self.blocks.series[~is_others], part.blocks.series])
        is_of_part = np.zeros(1 + int(max(mine.max(initial=0), others.max(initial=0))), np.bool_)
        is_of_part[mine] = True
        # Series 0 stands for blocks that no rule permits.
        is_of_part[0] = False
        return bool(np.any(is_of_part[others]))

    def amended(self, part: "Admission", envelopes: Ints) -> "Admission":
        """
        Return this admission with the decisions about *envelopes* replaced by those of *part*.

        Args:
            part: The new decisions about *envelopes* alone.

            envelopes: Envelope indexes in this admission, in the order of *part*.
        """
        others = np.ones(len(self.verdicts), dtype=np.bool_)
        others[envelopes] = False
        verdicts = list(self.verdicts)
        for index, verdict in zip(envelopes.tolist(), part.verdicts, strict=True):
            verdicts[index] = verdict
        return Admission(
            part.epoch,
            min(self.expires_ms, part.expires_ms),
            verdicts,
            self.blocks.of(others).joined(part.blocks, envelopes=envelopes),
            self.rows.of(others).joined(part.rows, envelopes=envelopes),
            envelopes[part.waiting].tolist(),
        )


def admit(
    opened: Sequence[Opened],
    *,
    permissions: Permissions,
    last: Reservation,
    clock: ClockRules,
    now_ms: int,
) -> Admission:
    """
    Decide about *opened*, and reserve the intervals of the admitted observations in *last*.

    Args:
        opened: The deliveries of a flush; their positions are the envelope indexes.

        permissions: The permissions that this process knows.

        last: The last readings of each series. An earlier reservation for the same deliveries is
            released first.

        clock: How far from its arrival an observation may have been measured.

        now_ms: The current time, ms since 1970: permissions may have ended.
    """
    verdicts: list[Verdict] = [None if one.body is not None else _unopened(one) for one in opened]
    senders = _senders(opened, permissions)
    found, windows, ends_ms = _look_up(senders, verdicts, permissions, now_ms=now_ms)
    received = np.fromiter((o.delivery.received_ms for o in opened), np.int64, len(opened))
    owners = owners_of(opened)
    last.release(owners)
    context = FlushContext(windows, received, owners, senders.agents, clock, now_ms)
    blocks, rows, expires_ms, waiting = decide(found, context, permissions=permissions, last=last)
    _conclude(verdicts, blocks)
    ends_ms = min(expires_ms, ends_ms)
    return Admission(permissions.epoch, ends_ms, verdicts, blocks, rows, waiting)


def owners_of(opened: Sequence[Opened]) -> Ints:
    """Return the owner of each envelope, shape (envelopes,): a hash of its identity and bytes."""
    identities = np.fromiter(map(hash, [one.identity for one in opened]), np.int64, len(opened))
    digests = np.frombuffer(b"".join([one.digest for one in opened]), np.int64)
    return identities ^ digests[::2]


def _unopened(one: Opened) -> Verdict:
    """Return the verdict on *one*, a delivery without a body."""
    return QuarantineReason.BAD_SEAL if one.fault is Reason.BAD_SEAL else one.fault


class _Senders(msgspec.Struct, frozen=True, eq=False):
    """
    The sender and the handle of each envelope.

    Args:
        bodies: The bodies.

        envelopes: (bodies,) Envelope index of each body.

        agents: (envelopes,) Agent ids as words; 0 if the topic is not one of VitalVeil's.

        standings: (envelopes,) Standing of the agent; `_NO_AGENT` if the topic names none.

        expiries: (envelopes,) From when the agent may not send, ms since 1970.

        handles: (bodies,) Number of the handle; `NONE` if it does not belong to the agent.

        is_json: (bodies,) Whether the envelope came as JSON, in clear text.
    """

    bodies: list[Body]
    envelopes: Ints
    agents: Words
    standings: NDArray[np.uint8]
    expiries: Ints
    handles: Ints
    is_json: Bools


def _senders(opened: Sequence[Opened], permissions: Permissions) -> _Senders:
    has_agent = np.fromiter((bool(one.agent) for one in opened), np.bool_, len(opened))
    agents = np.zeros(len(opened), dtype=np.uint64)
    agents[has_agent] = agent_words([one.agent for one in opened if one.agent])
    indexes = [index for index, one in enumerate(opened) if one.body is not None]
    bodies = [one.body for one in opened if one.body is not None]
    envelopes = np.array(indexes, dtype=np.int64)
    standings, expiries = permissions.standings(agents)
    return _Senders(
        bodies,
        envelopes,
        agents,
        np.where(has_agent, standings, _NO_AGENT),
        expiries,
        permissions.handles(handle_words([body.handle for body in bodies]), agents[envelopes]),
        np.fromiter((opened[index].is_json for index in indexes), np.bool_, len(indexes)),
    )


def _look_up(
    senders: _Senders, verdicts: list[Verdict], permissions: Permissions, *, now_ms: int
) -> tuple[Candidates, Ints, int]:
    """
    Look up the permissions of all envelopes; write into *verdicts* what needs no observations.

    Returns:
        All blocks with their rules; (envelopes, 2) the begin and end of measuring that the lease
        allowed, ms since 1970; and when the first certificate of the accepted agents ends.
    """
    codes = _codes(senders, now_ms=now_ms)
    for index in np.flatnonzero(codes).tolist():
        verdicts[index] = Reason.of(int(codes[index]))
    windows = _lease_windows(senders, permissions)
    windows[codes != 0] = _ALWAYS
    may_send = senders.envelopes[codes[senders.envelopes] == 0]
    ends_ms = int(senders.expiries[may_send].min(initial=FOR_EVER_MS))
    return _candidates(senders, codes, permissions), windows, ends_ms


def _codes(senders: _Senders, *, now_ms: int) -> Ints:
    """Return (envelopes,) the code of the reason that refuses the whole envelope; 0 for none."""
    codes = np.zeros(len(senders.agents), dtype=np.int64)
    codes[senders.envelopes[senders.handles == NONE]] = Reason.UNKNOWN_HANDLE.code
    is_uninvited = senders.is_json & (senders.standings[senders.envelopes] != JSON)
    codes[senders.envelopes[is_uninvited]] = Reason.MALFORMED.code
    has_agent = senders.standings != _NO_AGENT
    codes[has_agent & (senders.expiries <= now_ms)] = Reason.AGENT_EXPIRED.code
    codes[senders.standings == UNKNOWN] = Reason.UNKNOWN_AGENT.code
    codes[senders.standings == REVOKED] = Reason.AGENT_REVOKED.code
    return codes


def _lease_windows(senders: _Senders, permissions: Permissions) -> Ints:
    """
    Return (envelopes, 2): begin and end of measuring that the lease allowed, ms since 1970.

    Without a known lease the window is empty. JSON without a lease version may be measured at any
    time.
    """
    versions = np.fromiter((b.lease for b in senders.bodies), np.uint64, len(senders.bodies))
    windows = np.zeros((len(senders.agents), 2), dtype=np.int64)
    windows[senders.envelopes] = permissions.windows(senders.agents[senders.envelopes], versions)
    windows[:, 0] -= _LEASE_CLOCK_TOLERANCE_MS
    windows[senders.envelopes[senders.is_json & (versions == 0)]] = _ALWAYS
    return windows


def _candidates(senders: _Senders, codes: Ints, permissions: Permissions) -> Candidates:
    """Return the blocks of all bodies, each with its rule or with the reason that refuses it."""
    bodies = senders.bodies
    counts = np.fromiter((len(body.blocks) for body in bodies), np.int64, len(bodies))
    blocks = [block for body in bodies for block in body.blocks]
    quantities = np.fromiter((block.quantity for block in blocks), np.uint64, len(blocks))
    rules = permissions.rule_numbers(np.repeat(senders.handles, counts), quantities)
    envelopes = np.repeat(senders.envelopes, counts)
    block_codes = codes[envelopes]
    rules[block_codes != 0] = NO_RULE
    block_codes[(block_codes == 0) & (rules == NO_RULE)] = Reason.NOT_PERMITTED.code
    return Candidates(blocks, envelopes, quantities.astype(np.int64), rules, block_codes)


def _conclude(verdicts: list[Verdict], blocks: Blocks) -> None:
    """Refuse each envelope without an admitted block, with the reason of its first block."""
    admitted = np.bincount(blocks.envelopes, weights=blocks.codes == 0, minlength=len(verdicts))
    refused = {i for i in np.flatnonzero(admitted == 0).tolist() if verdicts[i] is None}
    for block in np.argsort(blocks.arrivals).tolist() if refused else ():
        index = int(blocks.envelopes[block])
        if index in refused:
            refused.remove(index)
            verdicts[index] = Reason.of(int(blocks.codes[block]))
