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

from ingest.decide import Blocks, Candidates, ClockRules, Given, Rows, decide
from ingest.delivery import Opened
from ingest.outcome import QuarantineReason, Reason, Verdict
from ingest.pairs import NONE, Ints
from ingest.permissions import (
    JSON,
    NO_RULE,
    UNKNOWN,
    LastReadings,
    Permissions,
    agent_words,
    handle_words,
)
from wire.envelope import MAX_TIME_MS, Body

_LEASE_CLOCK_TOLERANCE_MS: Final = 60_000
"""How far an agent's clock may be behind trust's when its lease is issued."""

_ALWAYS: Final = (0, MAX_TIME_MS + 1)


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
    """

    epoch: int
    expires_ms: int
    verdicts: list[Verdict]
    blocks: Blocks
    rows: Rows


def admit(
    opened: Sequence[Opened],
    *,
    permissions: Permissions,
    last: LastReadings,
    clock: ClockRules,
    now_ms: int,
) -> Admission:
    """
    Decide about *opened*; note in *last* what was admitted.

    Args:
        opened: The deliveries of a flush.

        permissions: What may be stored, as known.

        last: When each series was last observed. Deciding twice about the same deliveries
            decides the same.

        clock: How far from its arrival an observation may have been measured.

        now_ms: The time, for permissions that end by themselves.
    """
    verdicts: list[Verdict] = [_unopened(one) for one in opened]
    found, windows = _look_up(opened, verdicts, permissions)
    received = np.fromiter((o.delivery.received_ms for o in opened), np.int64, len(opened))
    given = Given(windows, received, clock, now_ms)
    blocks, rows, expires_ms = decide(found, given, permissions=permissions, last=last)
    _conclude(verdicts, blocks)
    return Admission(permissions.epoch, expires_ms, verdicts, blocks, rows)


def _unopened(one: Opened) -> Verdict:
    """Return the verdict on a delivery without a body of a known topic; None for one with."""
    if one.body is not None:
        return None
    return QuarantineReason.BAD_SEAL if one.fault is Reason.BAD_SEAL else one.fault


def _look_up(
    opened: Sequence[Opened], verdicts: list[Verdict], permissions: Permissions
) -> tuple[Candidates, Ints]:
    """
    Return every block with its rule, and each envelope's window of measuring.

    Notes in *verdicts* what can be told without looking at observations.
    """
    senders = [index for index, one in enumerate(opened) if one.agent]
    agents = np.zeros(len(opened), dtype=np.uint64)
    agents[senders] = agent_words([one.agent for one in opened if one.agent])
    standings = permissions.standings(agents)
    bodies = [one.body for one in opened if one.body is not None]
    with_body = np.fromiter((o.body is not None for o in opened), np.bool_, len(opened))
    owners = agents[with_body]
    handles = permissions.handles(handle_words([body.handle for body in bodies]), owners)
    is_json = np.fromiter((o.is_json for o in opened), np.bool_, len(opened))[with_body]
    codes = np.zeros(len(opened), dtype=np.int64)
    codes[with_body] = np.where(
        is_json & (standings[with_body] != JSON),
        Reason.MALFORMED.code,
        np.where(handles == NONE, Reason.UNKNOWN_HANDLE.code, 0),
    )
    is_stranger = standings == UNKNOWN
    is_stranger[[index for index, one in enumerate(opened) if not one.agent]] = False
    codes[is_stranger] = Reason.UNKNOWN_AGENT.code
    for index in np.flatnonzero(codes).tolist():
        verdicts[index] = Reason.of(int(codes[index]))

    leases = np.fromiter((body.lease for body in bodies), np.uint64, len(bodies))
    windows = np.zeros((len(opened), 2), dtype=np.int64)
    windows[with_body] = permissions.windows(owners, leases)
    windows[:, 0] -= _LEASE_CLOCK_TOLERANCE_MS
    unleased = np.flatnonzero(with_body)[is_json & (leases == 0)]
    windows[unleased] = _ALWAYS
    windows[codes != 0] = _ALWAYS
    return _candidates(bodies, np.flatnonzero(with_body), handles, codes, permissions), windows


def _candidates(
    bodies: Sequence[Body],
    envelopes: Ints,
    handles: Ints,
    codes: Ints,
    permissions: Permissions,
) -> Candidates:
    """Return the blocks of *bodies*, each with its rule, or with why it has none."""
    counts = np.fromiter((len(body.blocks) for body in bodies), np.int64, len(bodies))
    blocks = [block for body in bodies for block in body.blocks]
    quantities = np.fromiter((block.quantity for block in blocks), np.uint64, len(blocks))
    rules = permissions.rows(np.repeat(handles, counts), quantities)
    envelope_of = np.repeat(envelopes, counts)
    code_of = codes[envelope_of]
    rules[code_of != 0] = NO_RULE
    code_of[(code_of == 0) & (rules == NO_RULE)] = Reason.NOT_PERMITTED.code
    return Candidates(blocks, envelope_of, rules, code_of)


def _conclude(verdicts: list[Verdict], blocks: Blocks) -> None:
    """Refuse each envelope of which no block was admitted, with the reason of its first block."""
    admitted = np.bincount(blocks.envelopes, weights=blocks.codes == 0, minlength=len(verdicts))
    refused = {i for i, verdict in enumerate(verdicts) if verdict is None and not admitted[i]}
    for position in np.argsort(blocks.arrivals).tolist() if refused else ():
        index = int(blocks.envelopes[position])
        if index in refused:
            refused.remove(index)
            verdicts[index] = Reason.of(int(blocks.codes[position]))
