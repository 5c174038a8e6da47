"""
Alerts as values: when, how bad, what it means, what to do.

Each carries a world in which it fires and one in which it does not: these become promtool's tests.
The runbook of each is written from the same value, so that no alert is without one.
"""

import enum
from typing import Final

import msgspec

RUNBOOKS: Final = "docs/runbooks/"


class Severity(enum.StrEnum):
    """Who is told."""

    CRITICAL = "critical"
    """Somebody, now: a promise is broken or about to be."""
    WARNING = "warning"
    """Somebody, today."""


class World(msgspec.Struct, frozen=True):
    """Series by the minute, in promtool's notation, and after how many minutes to look."""

    series: dict[str, str]
    minutes: int
    labels: dict[str, str] = {}
    """Labels that the firing alert bears, beside its severity."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """
    One alert.

    Args:
        name: As Prometheus knows it; the runbook's file bears it too.

        summary: One line for a telephone. No template: nothing of a label may leak into it.

        meaning: What is the matter, for whoever sees it the first time.

        look: What to look at first: sentences, the first the most telling.

        mend: What to do.

        hold: How long it must be so.

        fires: A world in which it fires.

        quiet: A world close to it in which it does not.
    """

    name: str
    expr: str
    severity: Severity
    summary: str
    meaning: str
    look: tuple[str, ...]
    mend: tuple[str, ...]
    fires: World
    quiet: World
    hold: str = "0m"

    @property
    def runbook(self) -> str:
        """Where its runbook is."""
        return f"{RUNBOOKS}{self.name}.md"
