"""
Admission: which envelopes may be stored, and why the others may not. Pure.

A block is admitted whole or refused whole. An envelope with at least one admitted block is
accepted; one without is refused with the reason of its first block. What is asked of permissions
is asked for all envelopes at once, and `decide` does the rest for all blocks.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.admission.columns import Bools, Ints
from ingest.admission.decide import Blocks, Candidates, ClockRules, Given, Rows, decide
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
"""How far an agent's clock may be behind trust's when its lease is issued."""

_ALWAYS: Final = (0, MAX_TIME_MS + 1)
_NO_AGENT: Final = 255
"""Instead of a standing, where the topic names no agent."""


class Admission(msgspec.Struct, frozen=True, eq=False):
    """
    What was decided about the deliveries of a flush.

    Args:
        epoch: Under which permissions.

        expires_ms: When the first of the permissions used ends by itself: from then on it must be
            decided again.

        verdicts: Of each envelope.

        blocks: What became of their blocks.

        rows: What is to be stored.

        waiting: The envelopes, refused here, that are not to be refused for good: they met nothing
            but readings of other gateways that are not stored yet.
    """

    epoch: int
    expires_ms: int
    verdicts: list[Verdict]
    blocks: Blocks
    rows: Rows
    waiting: list[int]

    def meets(self, part: "Admission", envelopes: Ints) -> bool:
        """
        Tell whether *part*, about some *envelopes* of these, and others share a series.

        Whatever became of their blocks: one that is refused now may have stood in another's way.
        """
        is_other = np.ones(len(self.verdicts), dtype=np.bool_)
        is_other[envelopes] = False
        is_others = is_other[self.blocks.envelopes]
        others = self.blocks.series[is_others]
        mine = np.concatenate([self.blocks.series[~is_others], part.blocks.series])
        is_of_part = np.zeros(1 + int(max(mine.max(initial=0), others.max(initial=0))), np.bool_)
        is_of_part[mine] = True
        # What nothing permits has no series.
        is_of_part[0] = False
        return bool(np.any(is_of_part[others]))

    def amended(self, part: "Admission", envelopes: Ints) -> "Admission":
        """Return this with what was decided anew, in *part*, about some of its *envelopes*."""
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
    Decide about *opened*; reserve in *last* what was admitted.

    Args:
        opened: The deliveries of a flush.

        permissions: What may be stored, as known.

        last: When each series was last observed. What was reserved for the same deliveries
            before is given back first.

        clock: How far from its arrival an observation may have been measured.

        now_ms: The time, for permissions that end by themselves.
    """
    verdicts: list[Verdict] = [None if one.body is not None else _unopened(one) for one in opened]
    senders = _senders(opened, permissions)
    found, windows, ends_ms = _look_up(senders, verdicts, permissions, now_ms=now_ms)
    received = np.fromiter((o.delivery.received_ms for o in opened), np.int64, len(opened))
    owners = owners_of(opened)
    last.release(owners)
    given = Given(windows, received, owners, senders.agents, clock, now_ms)
    blocks, rows, expires_ms, waiting = decide(found, given, permissions=permissions, last=last)
    _conclude(verdicts, blocks)
    ends_ms = min(expires_ms, ends_ms)
    return Admission(permissions.epoch, ends_ms, verdicts, blocks, rows, waiting)


def owners_of(opened: Sequence[Opened]) -> Ints:
    """Return the hash of the identity and bytes of each of *opened*."""
    identities = np.fromiter(map(hash, [one.identity for one in opened]), np.int64, len(opened))
    digests = np.frombuffer(b"".join([one.digest for one in opened]), np.int64)
    return identities ^ digests[::2]


def _unopened(one: Opened) -> Verdict:
    """Return the verdict on a delivery without a body."""
    return QuarantineReason.BAD_SEAL if one.fault is Reason.BAD_SEAL else one.fault


class _Senders(msgspec.Struct, frozen=True, eq=False):
    """
    Who sent what has a body, and under which handle.

    Args:
        bodies: Of the envelopes that have one.

        places: Where these stand among all.

        agents: Of all envelopes, as words; 0 where the topic is none of ours.

        standings: Of all envelopes' agents.

        expiries: From when these may not send.

        handles: Of each body, by its number; `NONE` for one that is not its agent's.

        is_json: Of each body: whether it came in clear.
    """

    bodies: list[Body]
    places: Ints
    agents: Words
    standings: NDArray[np.uint8]
    expiries: Ints
    handles: Ints
    is_json: Bools


def _senders(opened: Sequence[Opened], permissions: Permissions) -> _Senders:
    has_agent = np.fromiter((bool(one.agent) for one in opened), np.bool_, len(opened))
    agents = np.zeros(len(opened), dtype=np.uint64)
    agents[has_agent] = agent_words([one.agent for one in opened if one.agent])
    places = [index for index, one in enumerate(opened) if one.body is not None]
    bodies = [one.body for one in opened if one.body is not None]
    where = np.array(places, dtype=np.int64)
    return _Senders(
        bodies,
        where,
        agents,
        np.where(has_agent, permissions.standings(agents), _NO_AGENT),
        permissions.expiries(agents),
        permissions.handles(handle_words([body.handle for body in bodies]), agents[where]),
        np.fromiter((opened[index].is_json for index in places), np.bool_, len(places)),
    )


def _look_up(
    senders: _Senders, verdicts: list[Verdict], permissions: Permissions, *, now_ms: int
) -> tuple[Candidates, Ints, int]:
    """
    Return every block with its rule, each envelope's window of measuring, and from when the first
    of those agents that may send may not.

    Notes in *verdicts* what can be told without looking at observations.
    """
    codes = _codes(senders, now_ms=now_ms)
    for index in np.flatnonzero(codes).tolist():
        verdicts[index] = Reason.of(int(codes[index]))
    windows = _lease_windows(senders, permissions)
    windows[codes != 0] = _ALWAYS
    may_send = senders.places[codes[senders.places] == 0]
    ends_ms = int(senders.expiries[may_send].min(initial=FOR_EVER_MS))
    return _candidates(senders, codes, permissions), windows, ends_ms


def _codes(senders: _Senders, *, now_ms: int) -> Ints:
    """Return for each envelope the code of why nothing in it may be stored; 0 for none."""
    codes = np.zeros(len(senders.agents), dtype=np.int64)
    codes[senders.places[senders.handles == NONE]] = Reason.UNKNOWN_HANDLE.code
    is_uninvited = senders.is_json & (senders.standings[senders.places] != JSON)
    codes[senders.places[is_uninvited]] = Reason.MALFORMED.code
    has_agent = senders.standings != _NO_AGENT
    codes[has_agent & (senders.expiries <= now_ms)] = Reason.AGENT_EXPIRED.code
    codes[senders.standings == UNKNOWN] = Reason.UNKNOWN_AGENT.code
    codes[senders.standings == REVOKED] = Reason.AGENT_REVOKED.code
    return codes


def _lease_windows(senders: _Senders, permissions: Permissions) -> Ints:
    """Return from when until when each envelope's lease allowed measuring; never without one."""
    versions = np.fromiter((b.lease for b in senders.bodies), np.uint64, len(senders.bodies))
    windows = np.zeros((len(senders.agents), 2), dtype=np.int64)
    windows[senders.places] = permissions.windows(senders.agents[senders.places], versions)
    windows[:, 0] -= _LEASE_CLOCK_TOLERANCE_MS
    windows[senders.places[senders.is_json & (versions == 0)]] = _ALWAYS
    return windows


def _candidates(senders: _Senders, codes: Ints, permissions: Permissions) -> Candidates:
    """Return the blocks of all bodies, each with its rule, or with why it has none."""
    bodies = senders.bodies
    counts = np.fromiter((len(body.blocks) for body in bodies), np.int64, len(bodies))
    blocks = [block for body in bodies for block in body.blocks]
    quantities = np.fromiter((block.quantity for block in blocks), np.uint64, len(blocks))
    rules = permissions.rows(np.repeat(senders.handles, counts), quantities)
    envelope_of = np.repeat(senders.places, counts)
    code_of = codes[envelope_of]
    rules[code_of != 0] = NO_RULE
    code_of[(code_of == 0) & (rules == NO_RULE)] = Reason.NOT_PERMITTED.code
    return Candidates(blocks, envelope_of, quantities.astype(np.int64), rules, code_of)


def _conclude(verdicts: list[Verdict], blocks: Blocks) -> None:
    """Refuse each envelope of which no block was admitted, with the reason of its first block."""
    admitted = np.bincount(blocks.envelopes, weights=blocks.codes == 0, minlength=len(verdicts))
    refused = {i for i in np.flatnonzero(admitted == 0).tolist() if verdicts[i] is None}
    for position in np.argsort(blocks.arrivals).tolist() if refused else ():
        index = int(blocks.envelopes[position])
        if index in refused:
            refused.remove(index)
            verdicts[index] = Reason.of(int(blocks.codes[position]))
