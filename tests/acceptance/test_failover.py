"""
The server is lost under load and a standby is promoted, by the commands of the
documented page.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from simulators.stack.child import free_port
from simulators.stack.postgres import Postgres
from simulators.stack.system import System, system
from tests.fixtures.database import programs
from tests.fixtures.system import Flow, prepare
from tests.support.databases import servers
from tests.support.databases.losses import MOMENT, PAGE, Losses, stop_programs
from tests.support.operator_shell import Operator, after_a_restore, commands

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]


class Pair:
    """
    A system on two servers, the second of which follows the first.

    Args:
        whole: The system, prepared and not started.

        folder: The folder in which the operator's commands run.
    """

    def __init__(self, whole: System, folder: Path) -> None:
        self.whole = whole
        first = whole.databases.server
        assert first is not None
        self.first = first
        self.standby = Postgres(
            servers.own(whole.folder / "standby", first),
            programs=first.programs, port=free_port(), password=first.password,
        )  # fmt: skip
        self.operator = Operator(
            whole, folder,
            services={"postgresql@17-standby": lambda what: self.standby.start()},
            places={"/var/lib/postgresql/17/standby": str(self.standby.data)},
        )  # fmt: skip
        self._make, self._synchronous = commands(PAGE, "Keep a standby")
        (self._promote,) = commands(PAGE, "Fail over")

    def follow(self, *, is_synchronous: bool) -> None:
        """Create the standby, and configure both servers in ingest and trust."""
        self.operator.type_at_the_server(self._make)
        if is_synchronous:
            self.operator.type_at_the_server(self._synchronous)
        one = f"host=127.0.0.1 port={self.first.port}"
        both = (
            f"host=127.0.0.1,127.0.0.1 port={self.first.port},{self.standby.port}"
            " target_session_attrs=read-write"
        )
        for name in ("trust.toml", "ingest.toml"):
            path = self.whole.folder / name
            text = path.read_text()
            assert one in text
            path.write_text(text.replace(one, both))

    def begin_flows(self, request: pytest.FixtureRequest) -> tuple[Flow, Flow]:
        """Start everything, and return two flows whose values are being stored."""
        self.whole.start_trust()
        self.whole.start_ingest()
        flows = Flow(self.whole), Flow(self.whole)
        for flow in flows:
            request.addfinalizer(flow.stop_player)
            flow.begin()
        for flow in flows:
            flow.wait_for(partial(flow.has_stored, 20), "the first values were stored")
        return flows

    def stop_following(self) -> None:
        """Stop replication to the standby; its state is that of this moment."""
        servers.caught_up(self.first)
        servers.alter(self.standby, primary_conninfo="")
        # What arrives until the receiver has ended is of the standby, too.
        servers.until(self.standby, "SELECT count(*) = 0 FROM pg_stat_wal_receiver")
        servers.until(self.standby, "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()")
        moment = servers.ask(self.standby, "SELECT pg_last_xact_replay_timestamp()::text")
        self.operator.places[MOMENT] = str(moment)

    def bring_up(self) -> None:
        """Follow the page's steps for an asynchronous standby."""
        for block in after_a_restore():
            self.operator.type(block)
        self.whole.start_trust()
        self.whole.start_ingest()

    def fail_over(self) -> None:
        """Lose the first server, and promote the standby."""
        self.first.kill()
        self.whole.databases.server = self.standby
        self.operator.type_at_the_server(self._promote)
        servers.wait_until_writable(self.standby)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two servers; the test starts the second one."""
    with system(programs=programs()) as whole:
        prepare(whole)
        made = Pair(whole, tmp_path)
        yield made
        made.standby.stop()


def test_nothing_is_lost_with_a_synchronous_standby(
    pair: Pair, request: pytest.FixtureRequest
) -> None:
    """
    With a synchronous standby every record is stored once, although the first server dies during a
    flush.
    """
    pair.follow(is_synchronous=True)
    stays, withdrawn = pair.begin_flows(request)
    withdrawn.withdraw()
    kept = len(withdrawn.stored())

    pair.fail_over()

    stays.wait_for_more(50, "it is stored on the other server")
    assert len(withdrawn.stored()) == kept
    stays.end()


def test_what_an_asynchronous_standby_had_not_received_is_lost(
    pair: Pair, request: pytest.FixtureRequest
) -> None:
    """
    Only the data that an asynchronous standby had not received are lost, and a lost withdrawal is
    entered again.
    """
    pair.follow(is_synchronous=False)
    stays, withdrawn = pair.begin_flows(request)
    pair.stop_following()
    withdrawn.withdraw()
    stays.wait_for_more(50, "it is stored without a standby")
    stop_programs(pair.whole)
    losses = Losses(pair.whole, agent=stays.gateway.agent)

    pair.fail_over()
    assert stays.query("SELECT vv.is_cleared()") == [(False,)], "trust has not looked at it"
    kept = len(stays.stored())
    withdrawn.withdraw()
    pair.bring_up()

    stays.wait_for_more(50, "it is stored on the other server")
    stays.finish()
    stays.wait_for(lambda: stays.spooled() == 0, "the spool was settled")
    stored, told = stays.stored(), stays.told()
    assert stored[:kept] == told[:kept]
    assert stored[kept:] == told[len(told) - len(stored) + kept :], "once, and in order"
    assert len(told) - len(stored) >= 50, "what it had not received is lost"
    assert losses.told(pair.operator) == losses.count() > 0
