"""
Both databases are dumped under load, lost, and restored into a new server, by the commands of the
documented page.
"""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import psycopg
import pytest

from simulators.stack.scrape import scrape
from simulators.stack.system import System, system
from simulators.stack.trust_shell import INVENTED_BIRTH, INVENTED_YES
from tests.fixtures.database import programs
from tests.fixtures.system import PURPOSE, Flow, begin
from tests.support.operator_shell import ROOT, Operator, commands

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

PAGE: Final = ROOT / "docs/howto/restore-a-backup.md"
_UNCOUNTED: Final = """
SELECT (SELECT count(*) FROM vv.observations) - (SELECT sum(observations) FROM vv.envelopes)
"""
_MAY_SEE_THE_VAULT: Final = "SELECT has_database_privilege('vv_ingest', 'vv_vault', 'CONNECT')"


@pytest.fixture
def whole() -> Iterator[System]:
    """A system for this test alone, because its server is going to be lost."""
    with system(programs=programs()) as made:
        begin(made)
        yield made


def _sections() -> tuple[str, list[str]]:
    """Return the page's commands that dump and those that restore, block by block."""
    dump, restore = (commands(PAGE, title) for title in ("Dump", "Restore"))
    assert len(dump) == 1
    assert len(restore) == 7
    return dump[0], restore


class Disaster:
    """
    A server with both databases that is lost and restored from dumps.

    Args:
        whole: The system, running.

        operator: Runs the commands of the page.
    """

    def __init__(self, whole: System, operator: Operator) -> None:
        self._whole = whole
        self._operator = operator
        server = whole.databases.server
        assert server is not None
        self._server = server
        with psycopg.connect(whole.databases.admin("telemetry")) as connection:
            self._is_timescale = bool(
                connection.execute(
                    "SELECT FROM pg_extension WHERE extname = 'timescaledb'"
                ).fetchall()
            )
        (
            self._stop, self._databases, self._with_timescale,
            self._migrate, self._newer, self._replay, self._start,
        ) = _sections()[1]  # fmt: skip

    def strike(self) -> None:
        """Stop ingest and trust as the page says, and lose the server with all its data."""
        self._server.kill()
        shutil.rmtree(self._server.data)
        self._operator.type(self._stop)
        for child in (self._whole.ingest, self._whole.trust):
            assert child is not None
            child.stop()

    def restore(self, *, enter_again: Flow) -> None:
        """Run the page's commands on a new and empty server."""
        self._server.start()
        for which in ("telemetry", "vault"):
            # The password of the new server, for the role that erases.
            self._whole.databases.admin_files(which)
        self._operator.type(self._restored())
        self._operator.type(self._migrate)
        enter_again.withdraw()
        self._operator.type(self._newer)
        self._operator.type(self._replay)
        self._whole.start_trust()

    def _restored(self) -> str:
        if not self._is_timescale:
            return self._databases
        *lines, _ = self._databases.splitlines()
        return "\n".join([*lines, self._with_timescale])

    def open(self) -> None:
        """Let ingest store again."""
        self._operator.type(self._start)
        self._whole.start_ingest()


def _finish(*flows: Flow) -> None:
    """Let every sensor send all its records, and wait until everything is settled."""
    for flow in flows:
        flow.finish()
    for flow in flows:
        flow.wait_for(partial(_is_settled, flow), "the spool was settled")


def _is_settled(flow: Flow) -> bool:
    return flow.spooled() == 0


def _has_last_lease(whole: System, flow: Flow) -> bool:
    """
    Tell whether trust knows that the gateway reads padded leases, and the gateway measures under
    one.
    """
    with psycopg.connect(whole.databases.admin("vault")) as connection:
        row = connection.execute(
            "SELECT lease_version FROM vault.agents WHERE agent = %s"
            " AND reads_padded_since IS NOT NULL AND applied >= wanted",
            [flow.gateway.agent],
        ).fetchone()
    said = scrape(flow.gateway.http_port)
    return (
        row is not None
        and said is not None
        and said.value("vitalveil_agent_lease_version") >= row[0]
    )


def _lease_anew(whole: System, flow: Flow) -> None:
    """
    Add three people to the gateway of *flow*, which issues three newer leases.

    These are more leases than trust issues by itself after the restore; otherwise the versions
    could be equal by chance.
    """
    with whole.trust_shell() as shell:
        for number in range(3):
            subject = shell.run("subject", "add", "--name", "Somebody Else", *INVENTED_BIRTH)[
                "subject"
            ]
            shell.run(
                "decision", "record", "--subject", subject, "--purpose", PURPOSE,
                "--agent", flow.gateway.agent, "--quantities", "heart_rate",
                "--binding", f"C0:FF:EE:00:00:0{number}", *INVENTED_YES,
            )  # fmt: skip


def test_what_a_restore_keeps_and_loses(
    whole: System, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """
    Only the data committed after the dump are lost; nothing is doubled.

    People who withdrew between the two dumps, and people whose later withdrawal was entered again,
    are not measured. A gateway that holds a newer lease than trust remembers continues to measure.
    """
    stays, leased, between, after = flows = [Flow(whole) for _ in range(4)]
    for flow in flows:
        request.addfinalizer(flow.stop_player)
        flow.begin()
    for flow in flows:
        flow.wait_for(partial(flow.has_stored, 20), "the first values were stored")
        # A lease that is newer than the dumps is lost, together with the data measured under it.
        flow.wait_for(partial(_has_last_lease, whole, flow), "its lease is the padded one")
    operator = Operator(whole, tmp_path)
    roles, telemetry, vault = _sections()[0].splitlines()
    operator.type(f"{roles}\n{telemetry}")
    between.withdraw()
    operator.type(vault)
    after.withdraw()
    _lease_anew(whole, leased)
    stays.wait_for_more(50, "more was stored after the dumps")
    disaster = Disaster(whole, operator)
    disaster.strike()
    handed_over = stays.handed_over
    disaster.restore(enter_again=after)
    dumped = {flow.subject: len(flow.stored()) for flow in flows}
    disaster.open()
    for flow in (stays, leased):
        wanted = dumped[flow.subject] + 50
        flow.wait_for(partial(flow.has_stored, wanted), "it is stored again", timeout_s=120)
    _finish(stays, leased)

    for flow in (stays, leased):
        stored, told, kept = flow.stored(), flow.told(), dumped[flow.subject]
        assert stored[:kept] == told[:kept]
        assert stored[kept:] == told[len(told) - len(stored) + kept :], "once, and in order"
    gone = stays.handed_over - len(stays.stored())
    assert 50 <= gone <= handed_over - dumped[stays.subject], "what came later is not lost"
    for flow in (between, after):
        assert len(flow.stored()) == dumped[flow.subject], "who withdrew is not measured"
    assert stays.query(_UNCOUNTED) == [(0,)]
    assert stays.query(_MAY_SEE_THE_VAULT) == [(False,)]
