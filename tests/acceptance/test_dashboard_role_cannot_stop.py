"""
A person with a dashboard's role can stop neither readings nor a withdrawal nor an erasure.

Sessions of `vv_grafana` and `vv_reader` hold locks and snapshots and use resources as far as their
rights allow (`tests/support/databases/attackers.py`), while the whole system works.
"""

import contextlib
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from runtime import files
from simulators.stack.system import System
from simulators.stack.trust_shell import TrustCommandFailed
from tests.fixtures.database import Database
from tests.fixtures.system import PURPOSE, Flow, Scene
from tests.fixtures.vault import settings_of
from tests.support.databases.attackers import BURNING, HOLDING, Attack, Attackers
from trust.metrics import Metrics
from trust.telemetry.session_limits import SessionLimits

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

_ROLES: Final = ("vv_grafana", "vv_reader")
_PASSWORD: Final = "of a dashboard alone"
_MOST_S: Final = 10.0
_FLUSHES: Final = 60
_TRIES: Final = 3
_TURNS: Final = 5
_EFFECT: Final = """
SELECT extract(epoch FROM max(recorded_at) FILTER (WHERE state = 'closed')) - %(asked)s,
    extract(epoch FROM max(recorded_at) FILTER (WHERE state = 'withdrawn'))
        - extract(epoch FROM max(recorded_at) FILTER (WHERE state = 'closed'))
FROM vv.permission_periods WHERE agent = %(agent)s
"""


def _dsn(system: System) -> list[str]:
    """Let the roles of people and dashboards log in, and return their connection strings."""
    admin = system.databases.admin("telemetry")
    with psycopg.connect(admin, autocommit=True) as connection:
        for role in _ROLES:
            connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{_PASSWORD}'".encode())
    return [make_conninfo(admin, user=role, password=_PASSWORD) for role in _ROLES]


@contextlib.contextmanager
def _leaving(scene: Scene) -> Iterator[Flow]:
    """Add a measured subject who will withdraw later."""
    flow = Flow(scene.system)
    try:
        flow.begin()
        flow.wait_for(lambda: len(flow.stored()) > 5, "the first values were stored")
        yield flow
    finally:
        flow.stop_player()
        if flow.gateway.child is not None:
            flow.gateway.child.kill()
            flow.gateway.child = None


def _withdraw(flow: Flow) -> tuple[float, float]:
    """
    Withdraw the consent; return the seconds until nothing is admitted, and from there until all
    work is done.
    """
    with flow.system.trust_shell() as shell:
        shell.run("subject", "list")
        asked = time.time()
        shell.run("decision", "withdraw", "--subject", flow.subject, "--purpose", PURPOSE)
    admin = flow.system.databases.admin("telemetry")
    with psycopg.connect(admin, autocommit=True) as connection:
        wanted = {"asked": asked, "agent": flow.gateway.agent}
        row = connection.execute(_EFFECT.encode(), wanted).fetchone()
    assert row is not None
    return float(row[0]), float(row[1])


@pytest.mark.timed
@pytest.mark.timeout(300)
def test_what_is_held_stops_nothing(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Readings flow and a withdrawal takes effect at once; an erasure succeeds or names the
    obstacle.
    """
    staying = scene.flow()
    with _leaving(scene) as withdrawn, _leaving(scene) as erased:
        attackers = Attackers(_dsn(scene.system), HOLDING, at_once=4)
        with attackers.at_work():
            staying.wait_for_more(50, "readings flow")
            effective_s, ordered_s = _withdraw(withdrawn)
            stored = len(withdrawn.stored())
            with scene.system.trust_shell() as shell:
                try:
                    shell.run("erase", erased.subject, "--scope", "all", "--yes")
                    is_erased, reason = True, "erased"
                except TrustCommandFailed as refused:
                    is_erased, reason = False, str(refused)
            staying.wait_for_more(50, "readings flow still")
            staying.wait_for(
                lambda: len(attackers.lasted) == len(HOLDING), "all was tried", timeout_s=120
            )
        assert len(withdrawn.stored()) == stored
        if is_erased:
            assert erased.stored() == []
        else:
            assert len(reason.split()) > 5
    with capsys.disabled():
        sys.stdout.write(
            f"\nwithdrawn after {effective_s:.3f} s, in order {ordered_s:.3f} s later; {reason}\n"
        )
    assert {n: s for n, s in attackers.lasted.items() if s > _MOST_S} == {}
    assert len(HOLDING) > 20
    assert effective_s + ordered_s <= 0.2
    staying.end()


@pytest.mark.timed
@pytest.mark.timeout(300)
def test_what_burns_is_ended(scene: Scene) -> None:
    """
    A statement that wastes processor time or disk space is ended within 10 seconds, and readings
    arrive.
    """
    staying = scene.flow()
    attackers = Attackers(_dsn(scene.system), BURNING, at_once=2)
    with attackers.at_work():
        staying.wait_for(
            lambda: len(attackers.lasted) == len(BURNING), "all was tried", timeout_s=120
        )
        staying.wait_for_more(20, "readings flow")
    assert {n: s for n, s in attackers.lasted.items() if s > _MOST_S} == {}
    staying.end()


# The cost of such sessions


def _attack(dsn: Sequence[str], attacks: Sequence[Attack], begun: Event, over: Event) -> None:
    with Attackers(dsn, attacks, at_once=3).at_work():
        time.sleep(1.0)
        begun.set()
        over.wait()


def _flush_all(database: Database) -> float:
    """
    Return the seconds that a series of flushes takes, as ingest does them: the least of a few
    tries.
    """
    return min(_flush_some(database) for _ in range(_TRIES))


def _flush_some(database: Database) -> float:
    with psycopg.connect(database.dsn("vv_ingest"), autocommit=True) as connection:
        began = time.monotonic()
        for _ in range(_FLUSHES):
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute("SELECT vv.hold_permissions()")
                with cursor.copy("COPY vv.observations FROM STDIN") as copy:
                    for n in range(300):
                        copy.write_row(("2026-05-04 09:00Z", n, 70.0, 0))
        return time.monotonic() - began


def _cost(database: Database, attacks: Sequence[Attack], folder: Path) -> float:
    """
    Return how much longer flushes take under attack than without: the median over all turns, minus
    1.
    """
    password_file = folder / "trust.password"
    files.write(password_file, database.server.password.encode())
    password_file.chmod(0o600)
    database.execute("SELECT vv.ensure_partitions('2026-05-04', '2026-05-04')")
    dsn = [database.dsn(role) for role in _ROLES]
    ratios = []
    spawning = multiprocessing.get_context("spawn")
    with SessionLimits(settings_of(database, password_file), Metrics()).running():
        _flush_all(database)
        for _ in range(_TURNS):
            before = _flush_all(database)
            begun, over = spawning.Event(), spawning.Event()
            # In its own process, because this process measures.
            process = spawning.Process(target=_attack, args=(dsn, attacks, begun, over))
            process.start()
            begun.wait()
            attacked = _flush_all(database)
            over.set()
            process.join(60)
            ratios.append(2 * attacked / (before + _flush_all(database)))
    return statistics.median(ratios) - 1


@pytest.mark.long
@pytest.mark.timeout(600)
def test_what_holding_costs(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sessions that hold locks and snapshots slow flushes down by less than a tenth."""
    cost = _cost(database, [a for a in HOLDING if "BEGIN" in "".join(a.statements)], tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\nholding costs {cost:.1%}\n")
    assert cost < 0.1


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_burning_costs(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Six sessions that waste resources do not stop flushes; the test prints how much they slow them
    down.
    """
    cost = _cost(database, BURNING, tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\nburning costs {cost:.1%}\n")
