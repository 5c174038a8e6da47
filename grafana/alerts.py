"""
Alerts as values: condition, severity, meaning and remedy.

Each has a world in which it fires and one in which it does not: promtool tests both. The runbook
of an alert is generated from the same value, so that every alert has one.
"""

import enum
from typing import Final

import msgspec

RUNBOOKS: Final = "docs/runbooks/"


class Severity(enum.StrEnum):
    """How urgent an alert is."""

    CRITICAL = "critical"
    """For the person on call, immediately: a promise is broken or about to be."""
    WARNING = "warning"
    """For an operator, on the same day."""


class World(msgspec.Struct, frozen=True):
    """
    Series by the minute in promtool's notation, and the minute at which the alert is
    evaluated.
    """

    series: dict[str, str]
    minutes: int
    labels: dict[str, str] = {}
    """Labels of the firing alert, besides its severity."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """
    An alert.

    Args:
        name: The name in Prometheus, and of the runbook's file.

        summary: One line for a telephone. Not a template, so that no label can leak into it.

        meaning: What has happened, for a reader who sees the alert for the first time.

        look: What to check: sentences, the most telling first.

        remedy: What to do about it, in steps.

        hold: How long the condition must hold before the alert fires.

        fires: A world in which it fires.

        quiet: A similar world in which it does not fire.
    """

    name: str
    expr: str
    severity: Severity
    summary: str
    meaning: str
    look: tuple[str, ...]
    remedy: tuple[str, ...]
    fires: World
    quiet: World
    hold: str = "0m"

    @property
    def runbook(self) -> str:
        """Where the runbook is."""
        return f"{RUNBOOKS}{self.name}.md"
