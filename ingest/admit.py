"""
Admission: which envelopes may be stored, and why the others may not. Pure.

A block is admitted whole or refused whole. An envelope with at least one admitted block is
accepted; one without is refused with the reason of its first block. The look-ups here are
Python, one per block; `decide` does the rest for all blocks at once.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ingest.decide import Blocks, Candidates, ClockRules, Given, Rows, decide
from ingest.delivery import Opened
from ingest.outcome import QuarantineReason, Reason, Verdict
from ingest.permissions import NO_RULE, LastReadings, Permissions
from wire.envelope import MAX_TIME_MS, Body

_LEASE_CLOCK_TOLERANCE_MS: Final = 60_000
"""How far an agent's clock may be behind trust's when its lease is issued."""

_ALWAYS: Final = (0, MAX_TIME_MS + 1)
_NEVER: Final = (0, 0)


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
    found = Candidates()
    windows = np.zeros((len(opened), 2), dtype=np.int64)
    verdicts: list[Verdict] = []
    for index, one in enumerate(opened):
        verdict, window = _look_up(index, one, permissions, found)
        verdicts.append(verdict)
        windows[index] = window
    received = np.fromiter((o.delivery.received_ms for o in opened), np.int64, len(opened))
    given = Given(windows, received, clock, now_ms)
    blocks, rows, expires_ms = decide(found, given, permissions=permissions, last=last)
    _conclude(verdicts, blocks)
    return Admission(permissions.epoch, expires_ms, verdicts, blocks, rows)


def _look_up(
    index: int, one: Opened, permissions: Permissions, found: Candidates
) -> tuple[Verdict, tuple[int, int]]:
    """Return a verdict where there is one without looking at observations; find the rules."""
    agent = permissions.agent(one.agent) if one.agent else None
    if one.agent and agent is None:
        if one.body is not None:
            found.add(index, one.body, Reason.UNKNOWN_AGENT)
        return Reason.UNKNOWN_AGENT, _ALWAYS
    if one.fault is Reason.BAD_SEAL:
        return QuarantineReason.BAD_SEAL, _ALWAYS
    body = one.body
    if body is None or agent is None:
        return one.fault or Reason.MALFORMED, _ALWAYS
    if one.is_json and agent.format != "json":
        found.add(index, body, Reason.MALFORMED)
        return Reason.MALFORMED, _ALWAYS
    handle = permissions.handle(body.handle)
    if handle is None or handle.agent != one.agent:
        found.add(index, body, Reason.UNKNOWN_HANDLE)
        return Reason.UNKNOWN_HANDLE, _ALWAYS
    window = _lease_window(one, body, permissions)
    for block in body.blocks:
        rule = handle.rows.get(block.quantity, NO_RULE)
        found.blocks.append(block)
        found.envelopes.append(index)
        found.rules.append(rule)
        found.codes.append(0 if rule != NO_RULE else Reason.NOT_PERMITTED.code)
    return None, window


def _lease_window(one: Opened, body: Body, permissions: Permissions) -> tuple[int, int]:
    """Return from when until when measuring was allowed; an empty window without a lease."""
    if one.is_json and body.lease == 0:
        return _ALWAYS
    lease = permissions.lease(one.agent, body.lease)
    if lease is None:
        return _NEVER
    return lease.issued_at_ms - _LEASE_CLOCK_TOLERANCE_MS, lease.not_after_ms


def _conclude(verdicts: list[Verdict], blocks: Blocks) -> None:
    """Refuse each envelope of which no block was admitted, with the reason of its first block."""
    admitted = np.bincount(blocks.envelopes, weights=blocks.codes == 0, minlength=len(verdicts))
    refused = {i for i, verdict in enumerate(verdicts) if verdict is None and not admitted[i]}
    for position in np.argsort(blocks.arrivals).tolist() if refused else ():
        index = int(blocks.envelopes[position])
        if index in refused:
            refused.remove(index)
            verdicts[index] = Reason.of(int(blocks.codes[position]))
