"""Permissions: one row for each handle and quantity, with the rules of the lease."""

from tests.unit.trust.decisions.effective_grants import HOUR, T0, stand
from trust.decisions.leases import compile_lease, term
from trust.decisions.permissions import Permission, compile_permissions
from trust.domain.pseudonyms import Pseudonym


def test_compile_golden_value() -> None:
    """A row has what ingest checks, and neither subject nor sensor."""
    standing = stand(1, quantities=["glucose_interstitial"], ends=T0 + HOUR)
    assert compile_permissions([standing]) == [
        Permission(
            handle=b"\x01" * 16,
            quantity=4,
            pseudonym=Pseudonym(b"\xf1" * 16),
            purpose="home-monitoring",
            valid_from=T0,
            valid_to=T0 + HOUR,
            step=10,
            interval_ms=300_000,
            time_step_ms=60_000,
        )
    ]


def test_lease_and_permissions_agree() -> None:
    """Lease and permissions have equal rules, to the last integer."""
    standings = [stand(1), stand(2, quantities=["heart_rate"])]
    in_term = term(standings, now=T0, ttl=HOUR, refresh_at=0.5)
    lease = compile_lease("0123456789abcdef", standings, version=1, in_term=in_term)

    measured = {
        (g.handle, r.quantity, r.step, r.interval_ms, r.time_step_ms)
        for g in lease.grants
        for r in g.rules
    }
    stored = {
        (p.handle, p.quantity, p.step, p.interval_ms, p.time_step_ms)
        for p in compile_permissions(standings)
    }
    assert measured == stored != set()


def test_nothing_shows_itself() -> None:
    """The repr of a permission shows neither handle, pseudonym nor subject."""
    for value in (stand(1), *compile_permissions([stand(1)])):
        assert "…" in repr(value)
        assert "\\x01" not in repr(value)
