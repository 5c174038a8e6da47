"""
Replanning: what is decided anew about a flush because permissions changed under it. Pure.

A change concerns few gateways, and a flush may have envelopes of thousands: only those concerned
are decided anew, or an hour of many withdrawals would have each flush decided twice.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from ingest.admission.admit import Admission
from ingest.admission.permissions import Changes
from ingest.admission.plan import Plan, make_plan, takes_identity
from ingest.values.delivery import Opened

_FEW: Final = 4
"""Beyond one in so many it costs less to decide about all of them at once."""


def replan(
    plan: Plan,
    changes: Changes,
    *,
    admit: Callable[[Sequence[Opened]], Admission],
    now_ms: int,
) -> Plan:
    """
    Return *plan* as it is now.

    Args:
        plan: As it was decided.

        changes: All since the epoch of *plan*.

        admit: Decides about deliveries with *changes* known.

        now_ms: The time: a permission may have ended by itself.
    """
    is_poison = plan.verdicts != plan.admission.verdicts
    gateways = changes.concerns()
    concerned = [i for i, one in enumerate(plan.opened) if one.agent in gateways]
    if (
        is_poison
        or changes.is_complete
        or changes.may_concern_all
        or now_ms >= plan.admission.expires_ms
        or len(concerned) * _FEW > len(plan.opened)
    ):
        return make_plan(admit(plan.opened), plan.opened, is_poison=is_poison)
    part = admit([plan.opened[i] for i in concerned])
    envelopes = np.array(concerned, dtype=np.int64)
    if plan.admission.meets(part, envelopes):
        # Of a person at two gateways: which of their readings an interval keeps, both decide.
        return make_plan(admit(plan.opened), plan.opened)
    return _on(plan, plan.admission.amended(part, envelopes))


def _on(plan: Plan, admission: Admission) -> Plan:
    """Return *plan* on what was decided in *admission* about the same deliveries."""
    if list(map(takes_identity, admission.verdicts)) != list(map(takes_identity, plan.verdicts)):
        # Other deliveries claim an identity now, or are the first to do so.
        return make_plan(admission, plan.opened)
    return msgspec.structs.replace(plan, admission=admission, verdicts=admission.verdicts)
