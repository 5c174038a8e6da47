"""
Every panel of every dashboard, queried from a real Prometheus and a real database under a known
load.

The queries come from the committed JSON, because Grafana reads that.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest

from grafana.build import BOARDS, ROOT
from tests.fixtures.observed import PER_SECOND, Observed

pytestmark = [
    pytest.mark.database,
    pytest.mark.broker,
    pytest.mark.slow,
    # The first test waits for a whole system to have data.
    pytest.mark.timeout(600),
]
_MACROS: Final = {"$__rate_interval": "10s", "$__range": "1m"}


def _targets(kind: str) -> list[Any]:
    """Return the queries of panels to one kind of data source, one parameter each."""
    found = []
    for board in BOARDS:
        made = msgspec.json.decode((ROOT / f"grafana/json/{board.uid}.json").read_bytes())
        for panel in made["panels"]:
            for target in panel.get("targets", []):
                text = target.get("expr" if kind == "prometheus" else "rawSql")
                if text is not None:
                    name = f"{board.uid}/{panel['title']}/{target['refId']}"
                    found.append(pytest.param(text, target, id=name))
    return found


def _expr(text: str) -> str:
    for macro, value in _MACROS.items():
        text = text.replace(macro, value)
    return text


def _sql(text: str) -> str:
    return re.sub(
        r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '7 days' AND now()", text
    )


@pytest.mark.parametrize(("text", "target"), _targets("prometheus"))
def test_every_expression_returns_series(observed: Observed, text: str, target: Any) -> None:
    """Each expression parses, its metrics exist, and its series have the labels of its legend."""
    # Panels that hide zeros show something in this system.
    found = observed.prometheus.query(_expr(text.removesuffix(" > 0")))
    assert found, text
    for label in re.findall(r"{{(\w+)}}", target.get("legendFormat", "")):
        assert all(label in series["metric"] for series in found)


@pytest.mark.parametrize(("text", "target"), _targets("postgres"))
def test_every_statement_runs_as_grafana_runs_it(
    observed: Observed, text: str, target: Any
) -> None:
    """The role of dashboards may run each statement, and time series have a column of time."""
    if target["format"] == "time_series":
        assert " AS time," in text
    observed.as_grafana(_sql(text))


def _near(expected: float, share: float) -> Callable[[float], bool]:
    return lambda value: abs(value - expected) <= share * expected


_EXPECTED: Final[list[tuple[str, str, str, Callable[[float], bool]]]] = [
    ("vitalveil-pipeline", "Connected", "A", lambda v: v == 1),
    ("vitalveil-pipeline", "Stored", "A", _near(PER_SECOND, 0.3)),
    ("vitalveil-pipeline", "Measured to queryable, p99", "A", lambda v: 0 < v < 5),
    ("vitalveil-pipeline", "Unaccounted for", "A", lambda v: v == 0),
    ("vitalveil-pipeline", "Observations stored, by quantity", "A", _near(PER_SECOND, 0.3)),
    ("vitalveil-pipeline", "Envelopes, by outcome", "A", lambda v: v > 1),
    ("vitalveil-pipeline", "Envelopes, by outcome", "D", lambda v: v == 0),
    ("vitalveil-fleet", "On-line", "A", lambda v: v == 2),
    ("vitalveil-fleet", "Off-line", "A", lambda v: v == 0),
    ("vitalveil-fleet", "Measuring", "A", lambda v: v == 1),
    ("vitalveil-fleet", "Given up, last hour", "A", lambda v: v == 0),
    ("vitalveil-privacy", "People", "A", lambda v: v == 2),
    ("vitalveil-privacy", "Measured at a gateway", "A", lambda v: v == 1),
    ("vitalveil-privacy", "Epoch: known, and true", "A", lambda v: v >= 3),
    ("vitalveil-privacy", "Decided and not yet in force, oldest", "A", lambda v: v == 0),
    (
        "vitalveil-privacy",
        "From a lease's issue to a gateway obeying it",
        "B",
        lambda v: 0 < v < 5,
    ),
    ("vitalveil-privacy", "Leases late", "A", lambda v: v == 0),
    ("vitalveil-privacy", "Gateways in the vault", "A", lambda v: v == 2),
    ("vitalveil-database", "Of its capacity", "A", lambda v: 1e-5 < v < 1e-2),
    ("vitalveil-database", "Clock, against the database's", "A", lambda v: abs(v) < 1),
]


@pytest.mark.parametrize(
    ("uid", "title", "ref", "is_right"),
    _EXPECTED,
    ids=[f"{u}/{t}/{r}" for u, t, r, _ in _EXPECTED],
)
def test_what_a_panel_shows_is_right(
    observed: Observed, uid: str, title: str, ref: str, is_right: Callable[[float], bool]
) -> None:
    """
    Panels show the right values for a known load: 50 observations a second of one person, and one
    withdrawal.
    """
    made = msgspec.json.decode((ROOT / f"grafana/json/{uid}.json").read_bytes())
    panel = next(panel for panel in made["panels"] if panel["title"] == title)
    expr = next(_expr(t["expr"]) for t in panel["targets"] if t["refId"] == ref)

    def values() -> list[float]:
        return [float(series["value"][1]) for series in observed.prometheus.query(expr)]

    observed.staying.wait_for(
        lambda: bool(found := values()) and all(map(is_right, found)), f"{title} is right"
    )


def test_statements_tell_nothing_of_few(observed: Observed) -> None:
    """Statements about few people or gateways return 0 and no hour."""
    assert observed.as_grafana("SELECT in_force, withdrawn FROM vv.ops_permissions") == [(0, 0)]
    assert observed.staying.query("SELECT count(*) FROM vv.envelopes") != [(0,)]
    assert observed.as_grafana("SELECT * FROM vv.ops_envelopes_hourly") == []


def test_gateways_are_seen_in_sums(observed: Observed) -> None:
    """The sums over gateways equal the counts of the gateways, which are never scraped."""
    value = observed.prometheus.value
    settled = value('sum(vitalveil_ingest_fleet_observations_total{step="settled"})') or 0
    stored = value('sum(vitalveil_ingest_observations_total{outcome="stored"})') or 0
    assert 0 < settled <= stored
    kept = value('sum(vitalveil_ingest_fleet_measurements_total{outcome="kept"})') or 0
    assert kept >= settled


def test_no_series_bears_a_name(observed: Observed) -> None:
    """Every label value is from a closed set: no agent, handle, address or person."""
    agents = {flow.gateway.agent for flow in (observed.staying, observed.leaving)}
    forbidden = agents | {flow.subject for flow in (observed.staying, observed.leaving)}
    forbidden |= {flow.sensor.address for flow in (observed.staying, observed.leaving)}
    series = observed.prometheus.query('{__name__=~"vitalveil_.+"}')
    assert len(series) > 300
    for one in series:
        for label, value in one["metric"].items():
            assert value not in forbidden
            if label not in ("__name__", "le", "instance"):
                assert re.fullmatch(r"[a-z][a-z0-9_\-]*", value), (label, value)
