"""What the doctor makes of facts that cannot be planted in a server of a test."""

import datetime as dt
from typing import Any

import pytest

from tests.fix_pki import Certificates
from vitalveil.doctor import database, files, process
from vitalveil.doctor.finding import Finding, Level

_SOUND: dict[str, Any] = {
    "version": 170000,
    "offset": 0.01,
    "schema": True,
    "applied": None,
    "timescale": "2.29.2",
    "license": "timescale",
    "settings": {
        "synchronous_commit": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "password_encryption": "scram-sha-256",
    },
    "encrypted": True,
    "local": False,
    "roles": ["vv_grafana", "vv_ingest", "vv_owner", "vv_reader", "vv_trust"],
    "public_create": False,
    "unique_index": 0,
    "long_transactions": 0,
    **dict.fromkeys(key for key, *_ in database._GRANTS),
}


def _ill(found: list[Finding]) -> dict[str, Level]:
    return {one.code: one.level for one in found if one.level is not Level.SOUND}


@pytest.mark.parametrize(
    ("facts", "code", "level"),
    [
        pytest.param({"offset": -3.0}, "database-clock", Level.WRONG, id="clocks differ"),
        pytest.param({"version": 140000}, "database-version", Level.WRONG, id="old server"),
        pytest.param({"timescale": "2.24.0"}, "timescale", Level.WRONG, id="old extension"),
        pytest.param({"timescale": "2.25.2"}, "timescale", Level.NOTE, id="not the pinned one"),
        pytest.param({"license": "apache"}, "timescale-licence", Level.NOTE, id="licence"),
        pytest.param({"encrypted": False}, "database-tls", Level.WRONG, id="no TLS"),
        pytest.param({"roles": ["vv_owner"]}, "database-roles", Level.WRONG, id="no roles"),
        pytest.param({"schema": False}, "database-schema", Level.WRONG, id="no schema"),
        pytest.param({"long_transactions": 1}, "database-transaction", Level.NOTE, id="idle"),
        pytest.param({"applied": {1: "x"}}, "database-migrations", Level.WRONG, id="behind"),
    ],
)
def test_facts_are_judged(facts: dict[str, Any], code: str, level: Level) -> None:
    """Each fact alone, on a database that is sound otherwise."""
    assert code not in _ill(list(database.judge(_SOUND))) or code == "database-migrations"
    assert _ill(list(database.judge({**_SOUND, **facts})))[code] is level


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        pytest.param(
            {
                "vitalveil_ingest_permissions_gate_epoch": 4,
                "vitalveil_ingest_permissions_epoch": 3,
            },
            "permissions-feed",
            id="behind",
        ),
        pytest.param({"vitalveil_ingest_quarantine_envelopes": 1}, "quarantine", id="quarantine"),
        pytest.param({"vitalveil_trust_tampered_agents": 1}, "vault-tampered", id="tampered"),
        pytest.param({"vitalveil_trust_overdue_leases": 2}, "leases-late", id="leases"),
    ],
)
def test_metrics_are_judged(samples: dict[str, float], code: str) -> None:
    """What a process says of itself is read, not only that it answers."""
    assert code in _ill(list(process.judge(samples)))
    assert _ill(list(process.judge(dict.fromkeys(samples, 0)))) == {}


@pytest.mark.parametrize(
    ("days", "level"),
    [
        pytest.param(-2, Level.WRONG, id="not valid yet"),
        pytest.param(0, Level.NOTE, id="ends soon"),
        pytest.param(2, Level.WRONG, id="has ended"),
    ],
)
def test_certificates_are_judged_by_the_clock(
    certificates: Certificates, days: int, level: Level
) -> None:
    """Before it begins, near its end, after it."""
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    found = files.tls("ingest", certificates.client("ingest"), common_name="ingest", now=now)
    assert _ill(list(found))["ingest-certificate"] is level
