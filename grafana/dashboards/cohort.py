"""Cohort: figures over at least 11 people, published once, in fixed partitions."""

from typing import Final

from grafana.panels import Board, Kind, Panel, Row, Sql


def _lines(view: str, quantity: str, column: str, name: str) -> Sql:
    return Sql(
        f'SELECT bucket AS time, {column} AS "{name}" FROM vv.{view}'  # noqa: S608 - constants
        f" WHERE quantity = '{quantity}' AND $__timeFilter(bucket) ORDER BY bucket"
    )


def _figures(view: str, quantity: str, *, what: str, unit: str, of: str) -> Panel:
    return Panel(
        title=f"{what}, {of}",
        text=f"{what} of all people measured in that {of.split()[-1]}: the mean of their means, "
        "each with the same weight, and one standard deviation between people above and below. "
        "Published once and never changed; no point where fewer than 11 people were measured.",
        unit=unit,
        width=12,
        queries=(
            _lines(view, quantity, "mean", "mean"),
            _lines(view, quantity, "mean + spread", "mean + spread"),
            _lines(view, quantity, "mean - spread", "mean - spread"),
        ),
        empty="fewer than 11 people, or not published yet",
    )


def _subjects(view: str, *, of: str) -> Panel:
    return Panel(
        title=f"People in the figures, {of}",
        text="Rounded down to a multiple of 11, so that nobody is seen to come or go.",
        unit="short",
        width=12,
        queries=(
            _lines(view, "heart_rate", "subjects", "heart rate"),
            _lines(view, "glucose_interstitial", "subjects", "glucose, interstitial"),
            _lines(view, "glucose_capillary", "subjects", "glucose, capillary"),
        ),
        empty="fewer than 11 people, or not published yet",
    )


_HOURS: Final = Row(
    "By the hour",
    (
        _figures("cohorts_hourly", "heart_rate", what="Heart rate", unit="/min", of="by hour"),
        _figures(
            "cohorts_hourly",
            "glucose_interstitial",
            what="Glucose, interstitial",
            unit="mmol/L",
            of="by hour",
        ),
        _subjects("cohorts_hourly", of="by hour"),
        Panel(
            title="Series, by purpose and quantity",
            text="How much there is to make figures of; 11 series or more, rounded down to a "
            "multiple of 11.",
            unit="short",
            kind=Kind.TABLE,
            width=12,
            queries=(
                Sql("SELECT purpose, quantity, series FROM vv.ops_series ORDER BY series DESC"),
            ),
            empty="no purpose has 11 series of a quantity",
        ),
    ),
)

_DAYS: Final = Row(
    "By the day",
    (
        _figures("cohorts_daily", "heart_rate", what="Heart rate", unit="/min", of="by day"),
        _figures(
            "cohorts_daily",
            "glucose_interstitial",
            what="Glucose, interstitial",
            unit="mmol/L",
            of="by day",
        ),
        _subjects("cohorts_daily", of="by day"),
        Panel(
            title="Published through",
            text="Up to when figures are final. Hours are published two hours after they end, "
            "days a day after.",
            unit="short",
            kind=Kind.TABLE,
            width=12,
            queries=(Sql("SELECT width, through, figures FROM vv.ops_cohorts ORDER BY width"),),
            empty="nothing was published yet",
        ),
    ),
)

BOARD: Final = Board(
    uid="vitalveil-cohort",
    title="VitalVeil / Cohort",
    text="Figures over at least 11 people, in fixed partitions. There are no filters: two answers "
    "that differ by a filter would differ by a person.",
    rows=(_HOURS, _DAYS),
    since="now-7d",
    refresh="5m",
)
