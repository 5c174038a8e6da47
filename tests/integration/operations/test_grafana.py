"""A real Grafana, if it is installed, accepts the provisioning and answers every panel."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
from psycopg.conninfo import conninfo_to_dict

from grafana.build import BOARDS, ROOT
from grafana.panels import POSTGRES, PROMETHEUS
from tests.fixtures.grafana import Grafana, program
from tests.fixtures.observed import GRAFANA_PASSWORD, Observed

pytestmark = [
    pytest.mark.database,
    pytest.mark.broker,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(program() is None, reason="neither grafana nor grafana-server is here"),
]
_MADE: Final = {
    board.uid: msgspec.json.decode((ROOT / f"grafana/json/{board.uid}.json").read_bytes())
    for board in BOARDS
}
_TARGETS: Final = [
    pytest.param(panel, target, id=f"{uid}/{panel['title']}/{target['refId']}")
    for uid, made in _MADE.items()
    for panel in made["panels"]
    for target in panel.get("targets", [])
]


@pytest.fixture(scope="module")
def grafana(observed: Observed) -> Iterator[Grafana]:
    """A server connected to a system under load."""
    whole = observed.staying.system
    database = conninfo_to_dict(whole.databases.admin("telemetry"))
    folder = whole.folder / "grafana"
    folder.mkdir()
    server = Grafana(
        folder,
        database=str(database["dbname"]),
        password=GRAFANA_PASSWORD,
        environ={
            "VITALVEIL_PROMETHEUS_URL": f"http://127.0.0.1:{observed.prometheus.port}",
            "VITALVEIL_ALERTMANAGER_URL": "http://127.0.0.1:9",
            "VITALVEIL_DATABASE_HOST": f"127.0.0.1:{database['port']}",
            "VITALVEIL_DATABASE_SSLMODE": "disable",
        },
    )
    yield server
    server.stop()


def test_datasources_are_provisioned(grafana: Grafana) -> None:
    """Both data sources are provisioned read-only, and answer their health checks."""
    found = {one["uid"]: one for one in grafana.ask("/api/datasources").json()}
    assert {PROMETHEUS, POSTGRES} <= set(found)
    assert all(one["readOnly"] for one in found.values())
    for uid in (PROMETHEUS, POSTGRES):
        health = grafana.ask(f"/api/datasources/uid/{uid}/health")
        assert health.status == 200, health.body


@pytest.mark.parametrize("uid", _MADE)
def test_dashboards_are_provisioned(grafana: Grafana, uid: str) -> None:
    """Each dashboard is provisioned with title, folder and panels, and cannot be saved."""
    observed = grafana.ask(f"/api/dashboards/uid/{uid}").json()
    assert observed["meta"]["provisioned"] is True
    assert observed["meta"]["folderTitle"] == "VitalVeil"
    assert observed["dashboard"]["title"] == _MADE[uid]["title"]
    titles = [panel["title"] for panel in observed["dashboard"]["panels"]]
    assert titles == [panel["title"] for panel in _MADE[uid]["panels"]]
    page = grafana.ask(f"/d/{uid}")
    assert page.status == 200
    assert re.search(rb"grafanaBootData|<title>", page.body)


@pytest.mark.parametrize(("panel", "target"), _TARGETS)
def test_every_panel_has_an_answer(grafana: Grafana, panel: Any, target: Any) -> None:
    """The query of every panel returns frames through Grafana."""
    answer = grafana.query({"datasource": panel["datasource"], **target})
    assert answer.status == 200, answer.body
    result = answer.json()["results"][target["refId"]]
    assert "error" not in result, result
    assert isinstance(result["frames"], list)


def test_a_viewer_sees_no_person(grafana: Grafana) -> None:
    """A viewer, who can send any SQL, sees no person: the database refuses it."""
    grafana.add_viewer("viewer")
    for statement in (
        "SELECT * FROM vv.observations",
        "SELECT * FROM vv.series",
        "TABLE vv.permissions",
        "SELECT * FROM vv.aggregates_1m",
        "COPY vv.observations TO STDOUT",
    ):
        asked = {
            "refId": "A",
            "datasource": {"uid": POSTGRES, "type": "grafana-postgresql-datasource"},
            "rawQuery": True,
            "rawSql": statement,
            "format": "table",
        }
        result = grafana.query(asked, user="viewer").json()["results"]["A"]
        assert result["error"], statement
        assert all(not frame["data"]["values"] for frame in result.get("frames", []))


def test_nobody_sees_anything_unasked(grafana: Grafana) -> None:
    """Without a login there is no dashboard, no data source and no query."""
    for path in ("/api/dashboards/uid/vitalveil-privacy", "/api/datasources"):
        assert grafana.ask(path, user=None).status in (401, 403)
