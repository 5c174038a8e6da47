"""The Cohort dashboard: figures of at least 11 people, published once, in fixed partitions."""

from typing import Final

from grafana.panels import Board, Kind, Panel, Row, Sql

_EMPTY: Final = "fewer than 11 people, or not published yet"


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
        "Published once and never changed; no point where fewer than 11 people were measured, or "
        "where one of them makes it another figure. The fewer people, the coarser the steps.",
        unit=unit,
        width=12,
        queries=(
            _lines(view, quantity, "mean", "mean"),
            _lines(view, quantity, "mean + spread", "mean + spread"),
            _lines(view, quantity, "mean - spread", "mean - spread"),
        ),
        empty=_EMPTY,
    )


def _subjects(view: str, *, of: str) -> Panel:
    return Panel(
        title=f"People in the figures, {of}",
        text="A lower bound: 11, 33, 110, 330, 1,100 and so on, so that single people are "
        "not seen to come or go.",
        unit="short",
        width=12,
        queries=(
            _lines(view, "heart_rate", "subjects", "heart rate"),
            _lines(view, "glucose_interstitial", "subjects", "glucose, interstitial"),
            _lines(view, "glucose_capillary", "subjects", "glucose, capillary"),
        ),
        empty=_EMPTY,
    )


def _share(quantity: str, level: int, band: str, name: str) -> Sql:
    return Sql(
        f'SELECT bucket AS time, share AS "{name}" FROM vv.cohort_shares_daily'  # noqa: S608
        f" WHERE quantity = '{quantity}' AND level = {level} AND band = '{band}'"
        " AND $__timeFilter(bucket) ORDER BY bucket"
    )


def _ranges(quantity: str, *, what: str, low: str, high: str, within: str) -> Panel:
    return Panel(
        title=f"{what}, by day",
        text=f"Of the time of people measured that day, how much they spent {within}, below and "
        "above: the mean of their shares, each with the same weight, in steps of 10 %, or of "
        "5 % for 110 people or more. Below and above are told only where at least 11 people "
        "spent time in each, and a share only if it is the same without any one of them.",
        unit="percentunit",
        width=12,
        is_stacked=True,
        queries=(
            _share(quantity, 4, "in range", "in range"),
            _share(quantity, 3, high, high),
            _share(quantity, 3, low, low),
        ),
        empty=_EMPTY,
    )


def _distribution(quantity: str, *, what: str) -> Panel:
    of = f"FROM vv.cohort_shares_daily WHERE quantity = '{quantity}'"
    return Panel(
        title=f"{what}, last day in view",
        text="How people's time is spread over the values: the mean of their shares, each with "
        "the same weight, in steps of 10 %, or of 5 % for 110 people or more. As fine as every "
        "band has at least 11 people with time in it, and no person with more than 85 % of it; "
        "without bands whose share one person makes another.",
        unit="percentunit",
        kind=Kind.BARS,
        width=12,
        queries=(
            Sql(
                f"SELECT band, share {of} AND (bucket, level) = (SELECT bucket, min(level) {of}"
                " AND $__timeFilter(bucket) GROUP BY bucket ORDER BY bucket DESC LIMIT 1)"
                " ORDER BY place"
            ),
        ),
        empty=_EMPTY,
    )


_RANGES: Final = Row(
    "Time in range, and distributions",
    (
        _ranges(
            "glucose_interstitial",
            what="Glucose: time in range",
            low="below 3.9",
            high="above 10.0",
            within="between 3.9 and 10.0 mmol/L",
        ),
        _distribution("glucose_interstitial", what="Glucose, mmol/L"),
        _ranges(
            "heart_rate",
            what="Heart rate: time in range",
            low="below 60",
            high="100 or more",
            within="between 60 and 99 a minute",
        ),
        _distribution("heart_rate", what="Heart rate, a minute"),
    ),
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
            text="The number of series that figures are made of: 11 or more, rounded down to a"
            " multiple of 11.",
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
            text="The time up to which figures are final. Hours are published two hours after "
            "their end, days and shares a day after.",
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
    rows=(_RANGES, _HOURS, _DAYS),
    since="now-7d",
    refresh="5m",
)
