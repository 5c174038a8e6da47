"""Effective grants of handles, for tests."""

import datetime as dt
from collections.abc import Iterable
from uuid import UUID

from trust.decisions.decisions import Scope
from trust.decisions.effective_grant import EffectiveGrant
from trust.domain.pseudonyms import Pseudonym
from trust.domain.purposes import Allowed, Article6, Article9, Purpose, Retention
from wire.policy import Aggregate

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)

PURPOSE = Purpose(
    name="home-monitoring",
    version=1,
    art6=Article6.CONSENT,
    art9=Article9.EXPLICIT_CONSENT,
    quantities={
        "heart_rate": Allowed(1, 1000, 1, Aggregate.FIRST),
        "glucose_interstitial": Allowed(10, 300_000, 60_000, Aggregate.LAST),
    },
    retention=Retention(30, 365),
    bucket_bytes=256,
)


def stand(
    number: int,
    *,
    quantities: Iterable[str] = ("heart_rate", "glucose_interstitial"),
    begins: dt.datetime = T0,
    ends: dt.datetime | None = None,
) -> EffectiveGrant:
    """Return the effective grant of a numbered handle."""
    return EffectiveGrant(
        handle=bytes([number]) * 16,
        subject=UUID(int=number),
        pseudonym=Pseudonym(bytes([0xF0 | number]) * 16),
        purpose=PURPOSE,
        bindings=[f"C0:FF:EE:00:01:{number:02X}", f"C0:FF:EE:00:00:{number:02X}"],
        scope=Scope(frozenset(quantities), begins, ends),
    )
