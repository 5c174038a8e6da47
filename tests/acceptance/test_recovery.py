"""
The server is recovered to a moment before an erasure, under load, by the commands of the
documented page.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from simulators.stack.postgres import Postgres
from simulators.stack.scrape import is_ready
from simulators.stack.system import System, system
from tests.fixtures.database import programs
from tests.fixtures.system import Flow, begin
from tests.support.databases import servers
from tests.support.databases.losses import MOMENT, PAGE, Losses, stop_programs
from tests.support.operator_shell import Operator, after_a_restore, commands

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

_WAITS: Final = "not_cleared"
_UNCOUNTED: Final = """
SELECT (SELECT count(*) FROM vv.observations) - (SELECT sum(observations) FROM vv.envelopes)
"""


@pytest.fixture
def whole() -> Iterator[System]:
    """A system for this test alone, because its server is set back in time."""
    with system(programs=programs()) as made:
        begin(made)
        yield made


def _serve(server: Postgres, what: str) -> None:
    """Do to *server* what the systemctl command of the page would do."""
    if what in ("stop", "restart"):
        server.stop()
    if what in ("start", "restart"):
        server.start()


class Recovery:
    """
    A system whose server keeps an archive and is recovered to a moment.

    Args:
        whole: The system, running.

        folder: The folder in which the operator's commands run.
    """

    def __init__(self, whole: System, folder: Path) -> None:
        self._whole = whole
        server = whole.databases.server
        assert server is not None
        self._server = server
        self._before = server.folder / "before"
        self.operator = Operator(
            whole,
            folder,
            services={"postgresql": partial(_serve, server)},
            places={
                "/var/backups/postgresql": str(servers.own(server.folder / "backups", server)),
                "/var/lib/postgresql/17/main": str(server.data),
                "/var/lib/postgresql/17/before": str(self._before),
            },
        )
        self._stop, self._back, _, self._clean = commands(PAGE, "Go back to a moment")

    def keep_archive(self) -> None:
        """Follow the page's steps that set the archive up."""
        for block in commands(PAGE, "Keep an archive"):
            self.operator.type_at_the_server(block)

    def remember_moment(self) -> None:
        """Remember this moment as the recovery target."""
        now = servers.ask(self._server, "SELECT clock_timestamp()::text")
        self.operator.places[MOMENT] = str(now)

    def go_back(self, losses_of: Flow) -> Losses:
        """Lose the server, recover it, and start ingest too early: ingest waits."""
        servers.archived(self._server)
        self.operator.type(self._stop)
        stop_programs(self._whole)
        losses = Losses(self._whole, agent=losses_of.gateway.agent)
        self._server.kill()
        self.operator.type_at_the_server(self._back)
        log = self._whole.ingest_log
        told_before = log.read_text().count(_WAITS)
        self._whole.start_ingest(wait=False)
        losses_of.wait_for(lambda: log.read_text().count(_WAITS) > told_before, "ingest waits")
        return losses

    def bring_up(self, *, enter_again: Flow) -> None:
        """Follow steps 3 to 6 of the other page."""
        enter_again.withdraw()
        for block in after_a_restore():
            self.operator.type(block)
        self._whole.start_trust()

    def clean_up(self) -> None:
        """Follow the last step of the page."""
        self.operator.type_at_the_server(self._clean)
        assert not self._before.exists()


def test_recovered_to_a_moment_before_an_erasure(
    whole: System, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """
    People erased since the target are erased again before ingest stores, and people who withdrew
    are not measured.

    Data committed since the target are lost once, and the page's query counts them; nothing is
    doubled.
    """
    recovery = Recovery(whole, tmp_path)
    recovery.keep_archive()
    stays, withdrawn, erased = flows = [Flow(whole) for _ in range(3)]
    for flow in flows:
        request.addfinalizer(flow.stop_player)
        flow.begin()
    for flow in flows:
        flow.wait_for(partial(flow.has_stored, 20), "the first values were stored")
    recovery.remember_moment()
    withdrawn.withdraw()
    with whole.trust_shell() as shell:
        shell.run("erase", erased.subject, "--scope", "all", "--yes")
    assert erased.stored() == []
    stays.wait_for_more(50, "more was stored after the moment")

    losses = recovery.go_back(losses_of=stays)

    kept = {flow.subject: len(flow.stored()) for flow in flows}
    assert kept[erased.subject] >= 20, "it went back, or nothing is proved"
    assert not is_ready(whole.ingest_port)
    recovery.bring_up(enter_again=withdrawn)
    assert erased.stored() == [], "before ingest is let in"
    assert whole.ingest is not None
    whole.ingest.wait_until(lambda: is_ready(whole.ingest_port))
    with whole.trust_shell() as shell:
        assert shell.run("erase", "verify", "1")["residue"] == 0
    stays.wait_for_more(50, "it is stored again")
    stays.finish()
    stays.wait_for(lambda: stays.spooled() == 0, "the spool was settled")

    stored, told, before = stays.stored(), stays.told(), kept[stays.subject]
    assert stored[:before] == told[:before]
    assert stored[before:] == told[len(told) - len(stored) + before :], "once, and in order"
    assert len(told) - len(stored) >= 50, "what came later is lost"
    assert len(withdrawn.stored()) == kept[withdrawn.subject], "who withdrew is not measured"
    assert stays.query(_UNCOUNTED) == [(-kept[erased.subject],)], "the ledger keeps its count"
    assert losses.told(recovery.operator) == losses.count() > 0
    recovery.clean_up()
