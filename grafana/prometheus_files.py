"""Converts alerts to rules of Prometheus, to promtool tests of the rules, and to runbooks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import yaml

from grafana.alerts import Alert, World

HEAD: Final = "# Written by `python -m grafana.build`; edit grafana/rules/ instead.\n"


def rules(groups: Mapping[str, Sequence[Alert]]) -> str:
    """Return the rules file."""
    return HEAD + _yaml(
        {
            "groups": [
                {"name": name, "rules": [_rule(alert) for alert in alerts]}
                for name, alerts in groups.items()
            ]
        }
    )


def tests(alerts: Iterable[Alert], *, rules_file: str) -> str:
    """
    Return promtool's tests: each alert in a world in which it fires and one in which
    it does not.
    """
    return HEAD + _yaml(
        {
            "rule_files": [rules_file],
            "evaluation_interval": "1m",
            "tests": [
                _test(alert, world, is_firing=is_firing)
                for alert in alerts
                for world, is_firing in ((alert.fires, True), (alert.quiet, False))
            ],
        }
    )


def runbook(alert: Alert) -> str:
    """Return the runbook of *alert*, for the person on call."""
    return "\n".join(
        (
            "<!-- Written by `python -m grafana.build`; edit grafana/rules/ instead. -->",
            f"# {alert.name}",
            "",
            f"*{alert.summary}*",
            "",
            f"Severity: {alert.severity}. Fires after: {alert.hold}.",
            "",
            "```promql",
            alert.expr,
            "```",
            "",
            "## What it means",
            "",
            alert.meaning,
            "",
            "## What to check first",
            "",
            *(f"{number}. {text}" for number, text in enumerate(alert.look, start=1)),
            "",
            "## What to do",
            "",
            *(f"- {text}" for text in alert.remedy),
            "",
        )
    )


def index(groups: Mapping[str, Sequence[Alert]]) -> str:
    """Return the list of all runbooks."""
    lines = [
        "<!-- Written by `python -m grafana.build`; edit grafana/rules/ instead. -->",
        "# Runbooks",
        "",
        "One page for each alert of `grafana/prometheus/vitalveil.rules.yml`.",
        "",
        "| alert | severity | what |",
        "|---|---|---|",
    ]
    for alerts in groups.values():
        lines += [f"| [{a.name}]({a.name}.md) | {a.severity} | {a.summary} |" for a in alerts]
    return "\n".join(lines) + "\n"


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.hold,
        "labels": {"severity": alert.severity.value},
        "annotations": _annotations(alert),
    }


def _annotations(alert: Alert) -> dict[str, str]:
    return {"summary": alert.summary, "runbook": alert.runbook}


def _test(alert: Alert, world: World, *, is_firing: bool) -> dict[str, Any]:
    expected = {
        "exp_labels": {"severity": alert.severity.value, **world.labels},
        "exp_annotations": _annotations(alert),
    }
    return {
        "interval": "1m",
        "input_series": [{"series": s, "values": v} for s, v in world.series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{world.minutes}m",
                "alertname": alert.name,
                "exp_alerts": [expected] if is_firing else [],
            }
        ],
    }


def _yaml(document: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, width=96, allow_unicode=True)
    return text
