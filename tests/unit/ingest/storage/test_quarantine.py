"""The quarantine holds only ciphertext."""

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.storage.quarantine import QuarantineLimits, rows, sealer_to, unseal
from ingest.values.outcome import QuarantineReason
from tests.fakes.ingest import NOW_MS, block, opened
from tests.unit.ingest.admission.test_plan import plan_of

KEY = X25519PrivateKey.generate()


def test_only_what_came_in_clear_is_sealed() -> None:
    """A sealed envelope is kept unchanged; a JSON envelope is sealed to ingest's own key."""
    sealed, clear = opened(block(70)), opened(block(71), sequence=2, is_json=True)
    sealed.delivery.payload, clear.delivery.payload = b"sealed", b'{"clear": 1}'
    kept = list(
        rows(
            plan_of(sealed, clear, is_poison=True),
            [0, 1],
            reason=QuarantineReason.CONFLICT,
            seal=sealer_to(KEY.public_key()),
            keep_days=2.0,
        )
    )
    assert [row.reason for row in kept] == [QuarantineReason.CONFLICT] * 2
    assert kept[0].payload == b"sealed"
    assert b"clear" not in kept[1].payload
    assert unseal(kept[1].payload, KEY) == b'{"clear": 1}'
    assert kept[0].received_at.timestamp() == NOW_MS / 1000
    assert (kept[0].expires_at - kept[0].received_at).days == 2
    with pytest.raises(InvalidTag):
        unseal(kept[1].payload, X25519PrivateKey.generate())


def test_verdict_is_the_reason_unless_there_is_another() -> None:
    """
    The reason is the verdict, unless there is a more specific one; without a reason nothing is
    kept.
    """
    poisoned = plan_of(opened(block(70)), is_poison=True)
    seal = sealer_to(KEY.public_key())
    (kept,) = rows(poisoned, [0], seal=seal, keep_days=1.0)
    assert kept.reason is QuarantineReason.POISON
    assert not list(rows(plan_of(opened(block(70))), [0], seal=seal, keep_days=1.0))


@pytest.mark.parametrize(("cap", "days"), [(-1, 1.0), (1, 0.0)])
def test_limits_must_make_sense(cap: int, days: float) -> None:
    """Limits with which nothing would be kept are refused."""
    with pytest.raises(ValueError, match="max_per_agent"):
        QuarantineLimits(cap, days)
