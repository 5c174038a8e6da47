"""Leases: what an agent may measure until when, compiled from the grants of its handles."""

import datetime as dt
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from trust.decisions.effective_grant import EffectiveGrant
from trust.domain.durations import whole_ms
from wire.lease import Binding, Grant, Lease
from wire.quantities import Code
from wire.sealing import DEFAULT_BUCKET_BYTES

_COUNTED_FROM: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_HIGHEST_BY_TIME: Final = 1 << 31
"""A version has 32 bits on the wire: a wrong clock must leave room for later versions."""

_MQTT_BYTES: Final = 48
"""Bytes of type and length (5), topic (28), packet id (2), properties (1), and a reserve."""
_AROUND_BYTES: Final = 144 + _MQTT_BYTES
"""Bytes of signature (64), HPKE (48), the MessagePack around them, and MQTT."""
_MULTIPLE_BYTES: Final = 1024
"""Leases are padded to a multiple of this: a lease for three people fits into one."""
_MOST_GRANT_BYTES: Final = 32 + 40 * len(Code)
"""Bytes of a handle with a rule for every existing quantity, without bindings."""


class Term(msgspec.Struct, frozen=True):
    """When a lease is issued, when it ends, and when the next one is due."""

    issued_at: dt.datetime
    not_after: dt.datetime
    due_at: dt.datetime | None
    """None if no later lease is due: this lease permits no measurement."""


def term(
    grants: Sequence[EffectiveGrant], *, now: dt.datetime, ttl: dt.timedelta, refresh_at: float
) -> Term:
    """
    Return the term of a lease that is issued *now*.

    The lease ends when the first of its grants ends, so that even an agent without a network stops
    in time. The next lease is due at the latest when a further grant begins.

    Args:
        grants: The grants of all handles of the agent.

        now: The time of issue.

        ttl: The longest duration of a lease.

        refresh_at: The fraction of the duration (0 to 1) after which the next lease is due.
    """
    # Times on the wire are milliseconds: agent and ingest must read the same instant.
    now = whole_ms(now)
    ends = [s.scope.valid_to for s in grants if s.is_valid(now) and s.scope.valid_to]
    begins = [s.scope.valid_from for s in grants if s.scope.valid_from > now]
    not_after = min([now + ttl, *ends])
    live = any(s.is_valid(now) for s in grants)
    due = [now + ttl * refresh_at, *ends] if live else []
    return Term(now, not_after, min([*due, *begins], default=None))


def version_by_time(now: dt.datetime) -> int:
    """
    Return a lease version above every version that a restored vault may have lost.

    The version is the number of seconds since 2020. Versions grow by one with each lease, and a
    gateway gets less than one lease a second. So the version is also above those issued after an
    earlier restore, from the same backup or from another.
    """
    return min((now - _COUNTED_FROM) // dt.timedelta(seconds=1), _HIGHEST_BY_TIME)


def compile_lease(
    agent: str, grants: Sequence[EffectiveGrant], *, version: int, in_term: Term
) -> Lease:
    """
    Return the lease of *agent*, with a grant for each handle that is valid at the time of issue.

    A sensor may serve one person for several purposes. A sensor that is bound to two people is
    left out for both, because it is not known which of them it measures.
    """
    valid = [s for s in grants if s.is_valid(in_term.issued_at) and s.rules()]
    shared = _shared(valid)
    return Lease(
        agent=agent,
        version=version,
        issued_at_ms=_ms(in_term.issued_at),
        not_after_ms=_ms(in_term.not_after),
        grants=[Grant(s.handle, sorted(set(s.bindings) - shared), s.rules()) for s in valid],
        # The largest bucket that any purpose asks for hides the most.
        bucket_bytes=max((s.purpose.bucket_bytes for s in valid), default=DEFAULT_BUCKET_BYTES),
    )


def packet_bytes(lease: Lease) -> int:
    """Return the largest size, in bytes, of the MQTT packet with the signed, sealed *lease*."""
    return len(msgspec.msgpack.encode(lease)) + _AROUND_BYTES


def sealed_packet_bytes(sealed_bytes: int) -> int:
    """Return the largest size of the MQTT packet with a sealed lease; both in bytes."""
    return sealed_bytes + _MQTT_BYTES


def multiple_bytes(lease: Lease, *, max_packet_bytes: int) -> int:
    """
    Return the multiple, in bytes, to which *lease* is padded for a gateway that reads padding.

    The multiple is 1 for a lease near the largest packet size, so padding never prevents a lease.
    """
    fits = packet_bytes(lease) + _MULTIPLE_BYTES <= max_packet_bytes
    return _MULTIPLE_BYTES if fits else 1


def most_packet_bytes(handles: int, sealed_bindings_bytes: int) -> int:
    """
    Return the largest size, in bytes, of the packet of a lease, without opening a handle.

    Args:
        handles: The number of handles that the lease may name.

        sealed_bindings_bytes: The size of all sealed bindings, which are JSON and so longer than
            the bindings on the wire.
    """
    return _AROUND_BYTES + handles * _MOST_GRANT_BYTES + sealed_bindings_bytes


def _shared(grants: Sequence[EffectiveGrant]) -> set[str]:
    """Return the sensors that are bound to more than one person, without users that differ."""
    wearers: dict[str, set[tuple[UUID, str]]] = {}
    for grant in grants:
        for binding in grant.bindings:
            wearers.setdefault(Binding.parse(binding).address, set()).add((grant.subject, binding))
    return {
        binding
        for bound in wearers.values()
        for subject, binding in bound
        if any(who != subject and is_same_sensor(binding, other) for who, other in bound)
    }


def is_same_sensor(one: str, other: str) -> bool:
    """Tell whether measurements of the bindings *one* and *other* cannot be told apart."""
    a, b = Binding.parse(one), Binding.parse(other)
    return a.address == b.address and (a.user == b.user or None in (a.user, b.user))


def _ms(at: dt.datetime) -> int:
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)
