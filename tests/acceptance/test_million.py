"""
A million people with three decisions each: operations that take no longer than with ten
people.
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import pytest

from ingest.admission.permissions import Permissions
from ingest.storage.database import connect
from ingest.storage.reader import read_changes
from tests.fixtures.vault import Office
from tests.support import crowd

PEOPLE = int(os.environ.get("VITALVEIL_TEST_PEOPLE", "1000000"))
ROUNDS = 50


def timed_ms(work: Callable[[], object]) -> float:
    """Return how many milliseconds *work* took."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def spread(took_ms: list[float]) -> dict[str, float]:
    """Return the median and the maximum of *took_ms*."""
    return {"p50": round(statistics.median(took_ms), 1), "max": round(max(took_ms), 1)}


@pytest.mark.long
@pytest.mark.database
@pytest.mark.timeout(7200)
async def test_a_million_people(office: Office) -> None:
    """
    With a million people a withdrawal takes 50 ms and a lease 100 ms, and ingest loads all
    permissions in 30 s.
    """
    office.load_policy()
    started = time.perf_counter()
    crowd.fill(
        office.vault.dsn(), office.telemetry.dsn(),
        keys_folder=office.settings.keys.folder, controller=office.settings.controller,
        people=PEOPLE, processes=2,
    )  # fmt: skip
    filled_s = time.perf_counter() - started
    some = [n * (PEOPLE // ROUNDS) for n in range(ROUNDS)]

    def renew(number: int) -> None:
        office.app.reconciler.reconcile([crowd.agent_of(number)], renew=True)

    def withdraw(number: int) -> None:
        office.withdraw(str(crowd.subject_of(number)))

    leases = [timed_ms(partial(renew, number)) for number in some]
    withdrawals = [timed_ms(partial(withdraw, number)) for number in some]
    permissions = Permissions()
    connection = await connect(office.telemetry.dsn("vv_ingest"), autocommit=False)
    started = time.perf_counter()
    try:
        permissions.apply(await read_changes(connection, since=None))
    finally:
        await connection.close()
    read_s = time.perf_counter() - started

    figures = {
        "people": PEOPLE,
        "filled_s": round(filled_s),
        "lease_ms": spread(leases),
        "withdraw_ms": spread(withdrawals),
        "permissions": len(permissions),
        "permissions_s": round(read_s, 1),
    }
    print(json.dumps(figures))  # noqa: T201 - the figures are what the test is for
    assert office.telemetry.fetch(
        "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NOT NULL"
    ) == [(ROUNDS,)]
    assert len(permissions) == PEOPLE
    assert statistics.median(leases) <= 100
    assert statistics.median(withdrawals) <= 50
    assert read_s <= 30
