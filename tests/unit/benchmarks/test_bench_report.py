"""The report of a run, with names that other programs read."""

import pytest

from benchmarks.report import TARGETS, Findings, Target
from benchmarks.rounds import RATE, Sample, Table, figure

CONTENDERS = ("limit_30", "limit_300", "bare_30", "ceiling_1", "paho", "gmqtt", "telegraf")


def ours(cost_us: float) -> Sample:
    """Return the figures of one round of VitalVeil's path."""
    return {
        RATE: 8.0,
        "cpu_us_per_message": cost_us,
        "disk_bytes_per_reading": 59.0,
        "ledger_bytes_per_reading": 7.0,
        "log_bytes_per_reading": 37.0,
        "peak_rss_mb": 100.0 + cost_us,
    }


def findings() -> Findings:
    """Return the findings of a run of three rounds."""
    samples = {name: {n: {RATE: 10.0} for n in range(3)} for name in CONTENDERS}
    for readings, cost_us in ((1, 10.1), (30, 13.0), (300, 40.0)):
        samples[f"ours_{readings}"] = {n: ours(cost_us) for n in range(3)}
    found = Findings()
    found.note_throughput(Table(samples))
    return found


def test_every_ratio_has_its_name_and_its_rounds() -> None:
    """Each figure is the median of its rounds, which are under the same name in `rounds`."""
    content = findings().as_dict()
    assert set(content["ratios"]) == {
        "limit_30", "limit_300", "bare_copy_30", "broker_ceiling_1", "paho_psycopg",
        "gmqtt_asyncpg", "telegraf",
    }  # fmt: skip
    assert content["ratios"]["limit_30"] == 0.8
    assert content["rounds"]["ratios"]["limit_30"] == [0.8] * 3
    assert content["peak_rss_mb"] == 140.0


def test_cost_is_told_by_message_and_by_reading() -> None:
    """Costs of 10.1, 13 and 40 µs give 10 µs a message and 100 ns a reading."""
    content = findings().as_dict()
    assert content["cpu_us_per_message"] == pytest.approx(10.0)
    assert content["cpu_ns_per_reading"] == pytest.approx(100.0)


def test_contender_that_was_not_there_has_no_ratio() -> None:
    """Without telegraf in PATH the report has no ratio to it."""
    found = Findings()
    some = {name: {0: ours(10.0)} for name in ("ours_30", "limit_30", "ours_1")}
    found.note_throughput(Table(some))
    assert set(found.as_dict()["ratios"]) == {"limit_30"}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.text))
def test_target_knows_better_from_worse(target: Target) -> None:
    """A ceiling is reached below its bound, and any other target above."""
    step = -1 if target.is_ceiling else 1
    assert target.holds(target.bound)
    assert target.holds(target.bound + step)
    assert not target.holds(target.bound - step)


def test_path_that_leads_nowhere_has_no_figure() -> None:
    """A scenario that was not run leaves no figure, and no error."""
    found = findings()
    found.put(figure([3.0]), "latency_ms", "p99")
    assert found.get(("latency_ms", "p99")) == 3.0
    assert found.get(("latency_ms", "p50")) is None
