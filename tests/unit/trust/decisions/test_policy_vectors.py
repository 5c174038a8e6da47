"""Test vectors of policies: text, measured values, emitted values, and refused values."""

import numpy as np
import pytest

from ingest.admission.columns import unpack
from ingest.admission.conform import conforms
from tests.support.benches.pipeline import START_MS, Bench
from tests.unit.trust.decisions.effective_grants import T0, stand
from trust.decisions.effective_grant import EffectiveGrant
from trust.decisions.leases import compile_lease, term
from trust.decisions.permissions import compile_permissions
from trust.domain import policy_file
from wire.envelope import pack_block
from wire.quantities import BY_NAME

Run = list[tuple[int, int]]
_POLICY = """\
purpose: golden@1
art6: 6.1.a
art9: 9.2.a
quantities:
  {quantity}: {{{policy}}}
retention: {{raw: 1d, aggregates: 1d}}
"""
VECTORS = [
    pytest.param(
        "heart_rate",
        "round: 1, min_interval: 1s, time_rounding: 1ms, aggregate: first",
        [(0, 70.4), (400, 72.0), (1000, 73.0), (2500, 75.6)],
        [(0, 70), (1000, 73), (2500, 76)],
        [[(0, 70), (400, 72)]],
        id="the first of each second",
    ),
    pytest.param(
        "heart_rate",
        "round: 5, min_interval: 1min, time_rounding: 1min, aggregate: mean",
        [(0, 70.0), (20_000, 74.0), (40_000, 78.0), (60_000, 81.0)],
        [(0, 75), (60_000, 80)],
        [[(0, 74)], [(1000, 75)], [(0, 75), (30_000, 75)]],
        id="the mean of each minute, to fives",
    ),
    pytest.param(
        "glucose_interstitial",
        "round: 0.1, min_interval: 5min, time_rounding: 1min, aggregate: last",
        [(10_000, 5.44), (200_000, 6.27), (300_000, 6.15)],
        [(180_000, 630), (300_000, 620)],
        [[(180_000, 627)], [(200_000, 630)], [(180_000, 630), (240_000, 630)]],
        id="the last of five minutes, to tenths",
    ),
    pytest.param(
        "spo2",
        "round: 1, min_interval: 10s, time_rounding: 1s, aggregate: min",
        [(1500, 97.0), (4200, 93.4), (9900, 95.0)],
        [(1000, 930)],
        [[(1000, 934)], [(1500, 930)], [(1000, 930), (9000, 950)]],
        id="the least of ten seconds, to ones",
    ),
]


def standing_of(quantity: str, policy: str) -> EffectiveGrant:
    """Return the effective grant of a handle under a policy with one quantity."""
    of = stand(1, quantities=[quantity])
    purpose = policy_file.parse(_POLICY.format(quantity=quantity, policy=policy))
    return EffectiveGrant(of.handle, of.subject, of.pseudonym, purpose, of.bindings, of.scope)


def takes(standing: EffectiveGrant, run: Run) -> bool:
    """Tell whether ingest accepts *run* under the permission."""
    (permission,) = compile_permissions([standing])
    times, values = [START_MS + ms for ms, _ in run], [value for _, value in run]
    found = conforms(
        unpack([pack_block(permission.quantity, times, values)]),
        step=np.array([permission.step]),
        interval_ms=np.array([permission.interval_ms]),
        time_step_ms=np.array([permission.time_step_ms]),
    )
    return bool(found[0])


@pytest.mark.parametrize(("quantity", "policy", "measured", "leaves", "finer"), VECTORS)
def test_edge_and_ingest_read_a_policy_alike(
    quantity: str, policy: str, measured: list[tuple[int, float]], leaves: Run, finer: list[Run]
) -> None:
    """The edge agent emits the expected values, ingest accepts these, and refuses finer ones."""
    standing = standing_of(quantity, policy)
    in_term = term([standing], now=T0, ttl=(T0.replace(year=2027) - T0), refresh_at=0.5)
    bench = Bench(compile_lease("0" * 16, [standing], version=1, in_term=in_term))
    bench.clock.pass_s(3600.0)
    for ms, value in measured:
        bench.say(
            value,
            sensor=standing.bindings[0],
            quantity=BY_NAME[quantity].code,
            at_ms=START_MS + ms,
        )
    bench.take_all()

    assert [(at_ms - START_MS, value) for _, _, at_ms, value in bench.out()] == leaves
    assert takes(standing, leaves)
    assert [takes(standing, run) for run in finer] == [False] * len(finer)
