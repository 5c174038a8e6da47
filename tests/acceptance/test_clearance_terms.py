"""A clearance of a restored database holds for the start and the state that it was given for."""

import pytest

from tests.fixtures.vault import Office
from tests.support.ward import may_store

# Every file of a server is searched, while at most three other test files run.
pytestmark = [pytest.mark.database, pytest.mark.slow, pytest.mark.timeout(500)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            "UPDATE vv.permission_gate SET cleared_at = cleared_at + interval '1 year'",
            id="the clock was ahead",
        ),
        pytest.param(
            "UPDATE vv.permission_gate SET cleared_at = cleared_at - interval '1 microsecond'",
            id="the clock was behind",
        ),
        pytest.param(
            "CREATE TEMPORARY TABLE g AS SELECT * FROM vv.permission_gate;"
            " TRUNCATE vv.permission_gate; INSERT INTO vv.permission_gate SELECT * FROM g",
            id="the gate was restored into",
        ),
        pytest.param("TRUNCATE vv.erasures", id="the list of erasures was restored into"),
        pytest.param(
            "ALTER TABLE vv.erasures RENAME TO before;"
            " CREATE TABLE vv.erasures (LIKE vv.before INCLUDING ALL);"
            " ALTER TABLE vv.erasures OWNER TO vv_owner;"
            " GRANT SELECT, INSERT ON vv.erasures TO vv_trust",
            id="the list of erasures was dropped and restored",
        ),
    ],
)
def test_a_clearance_holds_for_what_it_was_given_for(office: Office, change: str) -> None:
    """
    A clearance holds only if server start, files and tables are equal; both an earlier and a later
    time are rejected.
    """
    office.run("erase", "replay")
    assert may_store(office.telemetry)

    office.telemetry.execute(change)

    assert not may_store(office.telemetry)
    office.app.reconciler.check()
    assert may_store(office.telemetry)
