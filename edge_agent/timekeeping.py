"""
Whether our time of day can be believed. A Pi has no clock that survives a power cut.

A lease says when it was issued, so a time of day before that is behind for sure: nothing can be
dated by it, and the end of the lease cannot be known. Stamping with the monotonic clock and
correcting afterwards is for the radio, whose notifications carry no time of their own.
"""

from typing import Final

from wire.lease import Lease

TOLERANCE_MS: Final = 60_000
"""How far trust's clock may be ahead of ours; ingest allows for as much."""


def may_measure(lease: Lease | None, *, now_ms: int) -> bool:
    """Tell whether *lease* is in force at *now_ms*, or was then, and was issued by then."""
    return (
        lease is not None
        and lease.issued_at_ms - TOLERANCE_MS <= now_ms
        and lease.is_in_force(now_ms=now_ms)
    )
