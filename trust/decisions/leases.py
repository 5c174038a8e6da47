"""Leases: what an agent may measure until when, compiled from what its handles stand for."""

import datetime as dt
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from trust.decisions.effective_grant import EffectiveGrant
from trust.domain.durations import whole_ms
from wire.lease import Grant, Lease
from wire.quantities import Code
from wire.sealing import DEFAULT_BUCKET_BYTES

_COUNTED_FROM: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_HIGHEST_BY_TIME: Final = 1 << 31
"""The wire has 32 bits for a version: a clock that is far off must leave room for all to come."""

_MQTT_BYTES: Final = 48
"""Type and length (5), topic (28), packet id (2), properties (1), and some to spare."""
_AROUND_BYTES: Final = 144 + _MQTT_BYTES
"""Signature (64), HPKE (48), the MessagePack around them, and MQTT."""
_MULTIPLE_BYTES: Final = 1024
"""What a lease is padded to, for a gateway that reads such: three people at once have room."""
_MOST_GRANT_BYTES: Final = 32 + 40 * len(Code)
"""A handle and a rule for each quantity there is, without bindings."""


class Term(msgspec.Struct, frozen=True):
    """When a lease is issued, when it ends, and when the next one is due."""

    issued_at: dt.datetime
    not_after: dt.datetime
    due_at: dt.datetime | None
    """None when nothing will change by itself: the lease lets nothing be measured."""


def term(
    grants: Sequence[EffectiveGrant], *, now: dt.datetime, ttl: dt.timedelta, refresh_at: float
) -> Term:
    """
    Return the term of a lease that is issued *now*.

    It ends where the first of its grants does, so that even an agent without a network stops in
    time; and the next one is due where a grant begins.

    Args:
        grants: Of all handles of the agent.

        now: The time of issue.

        ttl: The longest that a lease lasts.

        refresh_at: The fraction of its life after which the next one is due.
    """
    # The wire has milliseconds: agent and ingest are to read one and the same instant.
    now = whole_ms(now)
    ends = [s.scope.valid_to for s in grants if s.is_valid(now) and s.scope.valid_to]
    begins = [s.scope.valid_from for s in grants if s.scope.valid_from > now]
    not_after = min([now + ttl, *ends])
    live = any(s.is_valid(now) for s in grants)
    due = [now + ttl * refresh_at, *ends] if live else []
    return Term(now, not_after, min([*due, *begins], default=None))


def version_by_time(now: dt.datetime) -> int:
    """
    Return a version above every one that a restored vault may have forgotten.

    Seconds since 2020. Versions grow by one with each lease, and no gateway gets one each second;
    so it is also above those that came after an earlier restore, from the same backup or not.
    """
    return min((now - _COUNTED_FROM) // dt.timedelta(seconds=1), _HIGHEST_BY_TIME)


def compile_lease(
    agent: str, grants: Sequence[EffectiveGrant], *, version: int, in_term: Term
) -> Lease:
    """
    Return the lease of *agent*: a grant for each handle that is valid when issued.

    A sensor may serve one person for several purposes. One that is bound to two people is bound
    to neither: whom it measures is not known.
    """
    valid = [s for s in grants if s.is_valid(in_term.issued_at) and s.rules()]
    shared = _shared(valid)
    return Lease(
        agent=agent,
        version=version,
        issued_at_ms=_ms(in_term.issued_at),
        not_after_ms=_ms(in_term.not_after),
        grants=[Grant(s.handle, sorted(set(s.bindings) - shared), s.rules()) for s in valid],
        # The largest that any purpose asks for hides the most.
        bucket_bytes=max((s.purpose.bucket_bytes for s in valid), default=DEFAULT_BUCKET_BYTES),
    )


def packet_bytes(lease: Lease) -> int:
    """Return how long the MQTT packet that carries *lease* is at most, signed and sealed."""
    return len(msgspec.msgpack.encode(lease)) + _AROUND_BYTES


def sealed_packet_bytes(sealed_bytes: int) -> int:
    """Return how long the MQTT packet is at most that carries so many bytes of a sealed lease."""
    return sealed_bytes + _MQTT_BYTES


def multiple_bytes(lease: Lease, *, max_packet_bytes: int) -> int:
    """
    Return the multiple that *lease* is padded to, for a gateway that reads padded leases.

    One that is near the largest packet is not padded: no lease is lost for its padding.
    """
    fits = packet_bytes(lease) + _MULTIPLE_BYTES <= max_packet_bytes
    return _MULTIPLE_BYTES if fits else 1


def most_packet_bytes(handles: int, sealed_bindings_bytes: int) -> int:
    """
    Return how long the packet of a lease is at most, without opening a handle.

    Args:
        handles: How many the lease may name.

        sealed_bindings_bytes: Of all of them; JSON is longer than what the wire has.
    """
    return _AROUND_BYTES + handles * _MOST_GRANT_BYTES + sealed_bindings_bytes


def _shared(grants: Sequence[EffectiveGrant]) -> set[str]:
    """Return the sensors that are bound to more than one person."""
    wearers: dict[str, set[UUID]] = {}
    for grant in grants:
        for binding in grant.bindings:
            wearers.setdefault(binding, set()).add(grant.subject)
    return {binding for binding, people in wearers.items() if len(people) > 1}


def _ms(at: dt.datetime) -> int:
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)
