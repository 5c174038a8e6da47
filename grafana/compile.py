"""Converts boards to Grafana dashboards. Imports grafana-foundation-sdk."""

import json
from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models import dashboard as dm

from grafana.panels import (
    BLUE,
    ORANGE,
    PALETTE,
    POSTGRES,
    PROMETHEUS,
    RED,
    Board,
    Kind,
    Panel,
    Query,
    Row,
    Sql,
)

_Panel = bargauge.Panel | stat.Panel | table.Panel | timeseries.Panel
_ROW_HEIGHT: Final = 1
_WIDTH: Final = 24


class _SqlQuery(Dataquery):
    """A query of the PostgreSQL data source, for which the library has no builder."""

    def __init__(self, text: str, *, ref: str, is_lines: bool) -> None:
        self._text = text
        self._ref = ref
        self._format = "time_series" if is_lines else "table"

    def to_json(self) -> dict[str, object]:
        """Return the JSON that Grafana stores."""
        return {
            "refId": self._ref,
            "datasource": {"type": "grafana-postgresql-datasource", "uid": POSTGRES},
            "editorMode": "code",
            "rawQuery": True,
            "format": self._format,
            "rawSql": self._text,
        }


class _SqlBuilder(Builder[Dataquery]):
    def __init__(self, query: _SqlQuery) -> None:
        self._query = query

    def build(self) -> Dataquery:
        """Return the query."""
        return self._query


def to_json(board: Board) -> str:
    """Return the dashboard of *board* as Grafana reads it; equal boards give equal text."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.text)
        .tags(["vitalveil"])
        .readonly()
        .time(board.since, "now")
        .refresh(board.refresh)
        .timezone("browser")
        .tooltip(dm.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("VitalVeil")
            .type(dm.DashboardLinkType.DASHBOARDS)
            .tags(["vitalveil"])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    number, y = 1, 0
    for row in board.rows:
        made = made.with_row(dashboard.Row(row.title).id(number).grid_pos(_at(0, y, _WIDTH, 1)))
        number, y = _add_panels(made, row, number=number + 1, y=y + _ROW_HEIGHT)
    plain: dict[str, Any] = json.loads(JSONEncoder().encode(made.build()))
    # Grafana numbers versions; a version of ours would be a change at each start.
    plain.pop("version", None)
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _add_panels(made: dashboard.Dashboard, row: Row, *, number: int, y: int) -> tuple[int, int]:
    x = height = 0
    for panel in row.panels:
        if x + panel.width > _WIDTH:
            x, y, height = 0, y + height, 0
        made.with_panel(_panel(panel).id(number).grid_pos(_at(x, y, panel.width, panel.height)))
        x, height, number = x + panel.width, max(height, panel.height), number + 1
    return number, y + height


def _at(x: int, y: int, width: int, height: int) -> dm.GridPos:
    return dm.GridPos(h=height, w=width, x=x, y=y)


def _panel(panel: Panel) -> _Panel:
    is_sql = isinstance(panel.queries[0], Sql)
    kind, uid = (
        ("grafana-postgresql-datasource", POSTGRES) if is_sql else ("prometheus", PROMETHEUS)
    )
    made = (
        _bare(panel)
        .title(panel.title)
        .description(panel.text)
        .datasource(dm.DataSourceRef(type_val=kind, uid=uid))
        .targets([_target(q, panel, number) for number, q in enumerate(panel.queries)])
        .unit(panel.unit)
        .no_value(panel.empty)
        .thresholds(_thresholds(panel))
    )
    if panel.decimals is not None:
        made = made.decimals(panel.decimals)
    if panel.words:
        made = made.mappings([_mapping(panel.words)])
    return made


def _bare(panel: Panel) -> _Panel:
    last = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    if panel.kind is Kind.STAT:
        return (
            stat.Panel()
            .reduce_options(last)
            .graph_mode(models.BigValueGraphMode.AREA)
            .color_mode(models.BigValueColorMode.VALUE)
            .color_scheme(dashboard.FieldColor().mode(dm.FieldColorModeId.THRESHOLDS))
        )
    if panel.kind is Kind.BARS:
        return (
            bargauge.Panel()
            # A SQL statement returns a row for each bar, an expression of Prometheus a series for
            # each.
            .reduce_options(last.values(isinstance(panel.queries[0], Sql)))
            .orientation(models.VizOrientation.HORIZONTAL)
            .display_mode(models.BarGaugeDisplayMode.BASIC)
            .min(0)
            .color_scheme(_fixed(BLUE))
        )
    if panel.kind is Kind.TABLE:
        return table.Panel()
    return _lines(panel)


def _lines(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(models.LegendDisplayMode.LIST)
            .placement(models.LegendPlacement.BOTTOM)
        )
        .tooltip(common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI))
        .line_width(2)
        .fill_opacity(60 if panel.is_stacked else 8)
        .show_points(models.VisibilityMode.NEVER)
        .axis_soft_min(0)
        .color_scheme(_fixed(BLUE))
    )
    if panel.is_stacked:
        made = made.stacking(common.StackingConfig().mode(models.StackingMode.NORMAL).group("A"))
    for number in range(len(panel.queries)):
        colour = {"mode": "fixed", "fixedColor": PALETTE[number % len(PALETTE)]}
        made = made.override_by_query(
            _ref(number), [dm.DynamicConfigValue(id_val="color", value=colour)]
        )
    return made


def _fixed(colour: str) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(dm.FieldColorModeId.FIXED).fixed_color(colour)


def _target(query: Query | Sql, panel: Panel, number: int) -> Builder[Dataquery]:
    if isinstance(query, Sql):
        is_lines = panel.kind is Kind.LINES
        return _SqlBuilder(_SqlQuery(query.text, ref=_ref(number), is_lines=is_lines))
    made = prometheus.Dataquery().expr(query.expr).ref_id(_ref(number))
    if query.legend:
        made = made.legend_format(query.legend)
    return made.range() if panel.kind is Kind.LINES else made.instant()


def _ref(number: int) -> str:
    return chr(ord("A") + number)


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [(panel.warn_at, ORANGE), (panel.bad_at, RED)]
    set_steps = sorted((at, colour) for at, colour in steps if at is not None)
    made = [dm.Threshold(value=None, color=BLUE)]
    made += [dm.Threshold(value=at, color=colour) for at, colour in set_steps]
    return dashboard.ThresholdsConfig().mode(dm.ThresholdsMode.ABSOLUTE).steps(made)


def _mapping(words: Sequence[tuple[str, str, str]]) -> dm.ValueMap:
    return dm.ValueMap(
        options={
            value: dm.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, text, colour) in enumerate(words)
        }
    )
