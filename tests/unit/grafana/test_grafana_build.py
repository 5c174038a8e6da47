"""The generated files equal those that the code generates."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grafana.build import BOARDS, ROOT, differing, files, main
from grafana.compile import to_json
from grafana.panels import PALETTE, Kind, Panel, Query, Sql
from grafana.rules import ALERTS

PANELS = [
    pytest.param(panel, id=f"{board.uid}/{panel.title}")
    for board in BOARDS
    for row in board.rows
    for panel in row.panels
]


def test_committed_files_are_what_the_code_says() -> None:
    """The committed files of Grafana and Prometheus equal the generated ones."""
    assert differing(ROOT, files()) == []


def test_check_tells_a_file_that_differs(tmp_path: Path) -> None:
    """A missing, a different and an additional file are each reported."""
    wanted = {Path("json/a.json"): "a", Path("json/b.json"): "b"}
    (tmp_path / "json").mkdir()
    (tmp_path / "json/a.json").write_text("other")
    (tmp_path / "json/old.json").write_text("left over")
    assert differing(tmp_path, wanted) == [
        Path("json/a.json"),
        Path("json/b.json"),
        Path("json/old.json"),
    ]


def test_check_writes_nothing_and_succeeds_when_nothing_differs() -> None:
    """The check writes nothing, and succeeds if nothing differs."""
    assert main(["--check"]) == 0


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_explains_itself(panel: Panel) -> None:
    """Every panel has a unit, a description, and a text for an empty result."""
    assert panel.unit
    assert panel.text.endswith(".")
    assert len(panel.text) > 20
    assert panel.empty
    assert 1 <= len(panel.queries) <= len(PALETTE)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_lines_of_a_panel_have_colours_of_their_own(board: Any) -> None:
    """Each line of a panel has a distinct colour, from a palette for colour-blind people."""
    made = msgspec.json.decode(to_json(board))
    for panel in made["panels"]:
        if panel["type"] != "timeseries":
            continue
        overrides = panel["fieldConfig"]["overrides"]
        colours = [o["properties"][0]["value"]["fixedColor"] for o in overrides]
        assert len(colours) == len(panel["targets"])
        assert len(set(colours)) == len(colours)
        assert set(colours) <= set(PALETTE)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_do_not_overlap(board: Any) -> None:
    """Panels do not overlap on the grid."""
    cells: set[tuple[int, int]] = set()
    for panel in msgspec.json.decode(to_json(board))["panels"]:
        at = panel["gridPos"]
        own = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not own & cells
        cells |= own


def test_no_board_has_a_filter() -> None:
    """No dashboard has a filter, because two filtered answers could differ by one person."""
    for board in BOARDS:
        assert not msgspec.json.decode(to_json(board)).get("templating", {}).get("list")


def test_sql_of_panels_reads_views_for_dashboards_alone() -> None:
    """The SQL of panels reads only views for dashboards, and no table, chunk or aggregate."""
    allowed = re.compile(r"vv\.(ops|cohorts?)_\w+")
    statements = [
        query.text
        for board in BOARDS
        for row in board.rows
        for panel in row.panels
        for query in panel.queries
        if isinstance(query, Sql)
    ]
    assert len(statements) > 10
    for text in statements:
        sources = re.findall(r"FROM (\S+)", text)
        assert sources
        assert all(map(allowed.fullmatch, sources)), text


def _enclosing(expr: str, metric: str) -> list[list[str]]:
    """Return the functions around each occurrence of *metric*, the innermost last."""
    found: list[list[str]] = []
    around: list[str] = []
    word = ""
    for token in re.findall(r"\w+|\S", re.sub(r" by \([^)]*\) ?", "", expr)):
        if token == metric:
            found.append([name for name in around if name.isalpha() or "_" in name])
        elif token == "(":
            around.append(word)
        elif token == ")":
            around.pop()
        word = token
    return found


_EXPRESSIONS = [
    pytest.param(query.expr, id=f"{board.uid}/{panel.title}/{number}")
    for board in BOARDS
    for row in board.rows
    for panel in row.panels
    for number, query in enumerate(panel.queries)
    if isinstance(query, Query)
]


@pytest.mark.parametrize("expr", _EXPRESSIONS)
def test_a_second_worker_is_no_second_line(expr: str) -> None:
    """With several worker processes a panel shows one figure, and counts each gateway once."""
    for metric in set(re.findall(r"vitalveil_\w+", expr)):
        for around in _enclosing(expr, metric):
            assert {"sum", "max", "min"} & set(around), (metric, around)
            # Each process hears every gateway; doubled observations do not change a quantile.
            if "_fleet_" in metric and "histogram_quantile" not in around:
                assert "max" in around, (metric, around)
    assert not re.match(r"\w+ by \([^)]*instance", expr)


@pytest.mark.parametrize(
    "expr",
    ["vitalveil_ingest_connected", "sum(vitalveil_ingest_fleet_agents)",
     "max(a) + vitalveil_ingest_connected", "sum by (instance) (vitalveil_ingest_connected)"],
)  # fmt: skip
def test_a_second_line_would_be_noticed(expr: str) -> None:
    """An expression with one line for each process, or a doubled sum, is detected."""
    with pytest.raises(AssertionError):
        test_a_second_worker_is_no_second_line(expr)


def test_a_panel_shows_either_prometheus_or_sql() -> None:
    """A panel has only one data source."""
    for board in BOARDS:
        for row in board.rows:
            for panel in row.panels:
                kinds = {type(query) for query in panel.queries}
                assert len(kinds) == 1
                assert panel.kind is not Kind.TABLE or kinds == {Sql}


def test_every_alert_has_a_runbook_and_names_nobody() -> None:
    """Every alert has a runbook, and its text is no template, so that no label gets into it."""
    names = [alert.name for alert in ALERTS]
    assert len(set(names)) == len(names)
    for alert in ALERTS:
        page = (ROOT / alert.runbook).read_text()
        assert alert.summary in page
        assert alert.look
        assert alert.remedy
        assert "{{" not in alert.summary
