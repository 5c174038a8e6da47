"""
Replanning: decide again about a flush whose permissions have changed since it was planned. Pure.

A change concerns few gateways, and a flush may hold envelopes of thousands. Only the envelopes of
the gateways concerned are decided again; otherwise an hour of many withdrawals would have every
flush decided twice.
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
"""If more than one envelope in this many is concerned, deciding about all of them costs less."""


def replan(
    plan: Plan,
    changes: Changes,
    *,
    admit: Callable[[Sequence[Opened]], Admission],
    now_ms: int,
) -> Plan:
    """
    Return the plan for the same deliveries under the changed permissions.

    Args:
        plan: The plan under the old permissions.

        changes: All changes since the epoch of *plan*.

        admit: Decides about deliveries under the changed permissions.

        now_ms: The current time, ms since 1970: a permission may have ended.
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
    if plan.admission.shares_series(part, envelopes):
        # A person with two gateways: which reading an interval keeps depends on both gateways.
        return make_plan(admit(plan.opened), plan.opened)
    return _with_admission(plan, plan.admission.amended(part, envelopes))


def _with_admission(plan: Plan, admission: Admission) -> Plan:
    """Return *plan* with the decisions of *admission* about the same deliveries."""
    if list(map(takes_identity, admission.verdicts)) != list(map(takes_identity, plan.verdicts)):
        # Other deliveries now claim an identity, or are now the first to claim it.
        return make_plan(admission, plan.opened)
    return msgspec.structs.replace(plan, admission=admission, verdicts=admission.verdicts)
