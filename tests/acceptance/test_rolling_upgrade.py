"""
Programs one version apart run side by side, in every combination that occurs during an upgrade.

The earlier version is the code of version 0.1.0 from this repository's history. Where that history
is missing, as in a shallow clone, only `tests/unit/wire/test_golden.py` tests it.
"""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest

from simulators.stack.scrape import scrape
from simulators.stack.system import LocalAgent, System, system
from tests.fixtures.database import programs
from tests.fixtures.system import Flow, prepare

pytestmark = [
    pytest.mark.broker,
    pytest.mark.database,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

_ROOT: Final = Path(__file__).parents[2]
_VERSION_0_1_0: Final = "b274b094afb6b10d715b97ec8c09821f9014052a"


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of version 0.1.0."""
    found = subprocess.run(
        ["git", "archive", "--format=tar", _VERSION_0_1_0],
        cwd=_ROOT,
        capture_output=True,
        check=False,
    )
    if found.returncode:
        pytest.skip("the history of version 0.1.0 is not here: only its golden messages are read")
    folder = tmp_path_factory.mktemp("version-0.1.0")
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class Site:
    """A system whose programs are replaced by those of another version while readings flow."""

    def __init__(self, whole: System, old: Path) -> None:
        self.system = whole
        self._old = old

    def use(self, program: str, *, is_old: bool) -> None:
        """Use the old or today's version of *program* from its next start on."""
        if is_old:
            self.system.code[program] = self._old
        else:
            self.system.code.pop(program, None)

    def exchange_trust(self, *, is_old: bool) -> None:
        """Stop trust's daemon, and start the other version."""
        assert self.system.trust is not None
        self.system.trust.stop()
        self.use("trust", is_old=is_old)
        self.system.start_trust()

    def exchange_ingest(self, *, is_old: bool) -> None:
        """Stop ingest, and start the other version."""
        assert self.system.ingest is not None
        self.system.ingest.stop()
        self.use("ingest", is_old=is_old)
        self.system.start_ingest()

    def exchange_agent(self, flow: Flow, *, is_old: bool) -> None:
        """Stop the agent of *flow*, and start the other version on its spool."""
        assert flow.gateway.child is not None
        flow.gateway.child.stop()
        self.use("agent", is_old=is_old)
        self.system.start_agent(flow.gateway)

    def has_key(self, gateway: LocalAgent) -> bool:
        """Tell whether trust has written the gateway's lease key for ingest."""
        admin = self.system.databases.admin("telemetry")
        with psycopg.connect(admin, autocommit=True) as connection:
            query = "SELECT lease_key IS NOT NULL FROM vv.agents WHERE agent = %s"
            return connection.execute(query, [gateway.agent]).fetchone() == (True,)

    def is_padded(self, gateway: LocalAgent) -> bool:
        """Tell whether trust seals padded leases for the gateway, and the broker has one."""
        admin = self.system.databases.admin("vault")
        with psycopg.connect(admin, autocommit=True) as connection:
            query = """SELECT reads_padded_since IS NOT NULL AND applied = wanted
                AND published_version = lease_version FROM vault.agents WHERE agent = %s"""
            return connection.execute(query, [gateway.agent]).fetchone() == (True,)

    def unpad(self, flow: Flow) -> None:
        """Give the gateway of *flow* leases that version 0.1.0 can read."""
        with self.system.trust_shell() as shell:
            shell.run("lease", "unpad", "--agent", flow.gateway.agent)
        admin = self.system.databases.admin("vault")
        query = "SELECT applied = wanted AND published_version = lease_version FROM vault.agents"
        with psycopg.connect(admin, autocommit=True) as connection:
            flow.wait_for(
                lambda: set(connection.execute(query).fetchall()) == {(True,)},
                "leases without padding are published",
            )

    def forget_keys(self) -> None:
        """Remove all lease keys, as after an enrolment by a trust that did not write them yet."""
        admin = self.system.databases.admin("telemetry")
        with psycopg.connect(admin) as connection:
            epoch = connection.execute("SELECT vv.change_permissions()").fetchone()
            connection.execute("UPDATE vv.agents SET lease_key = NULL, changed_epoch = %s", epoch)


@pytest.fixture
def site(old_code: Path) -> Iterator[Site]:
    """A site of version 0.1.0 with today's schema, which is the beginning of an upgrade."""
    with system(programs=programs()) as whole:
        prepare(whole)
        found = Site(whole, old_code)
        for program in ("trust", "ingest", "agent"):
            found.use(program, is_old=True)
        whole.start_trust()
        whole.start_ingest()
        yield found


def _goes_on(flow: Flow, what: str) -> None:
    """Wait until more values are stored and all sent envelopes are settled."""
    flow.wait_for_more(40, f"rows are stored: {what}")
    flow.wait_for(lambda: flow.spooled() < 20, f"receipts are believed: {what}")


def _refused_as_old(flow: Flow) -> float:
    metrics = scrape(flow.gateway.http_port)
    name = "vitalveil_agent_refused_receipts_total"
    return 0.0 if metrics is None else metrics.value(name, reason="old_form")


def test_every_mix_of_an_upgrade_and_of_the_way_back(site: Site) -> None:
    """
    In every combination of an upgrade and of the way back, each reading is stored once,
    in order.
    """
    first, stays = Flow(site.system), Flow(site.system)
    site.forget_keys()
    for flow in (first, stays):
        flow.begin()
        _goes_on(flow, "all of version 0.1.0, on today's schema")
    assert not site.has_key(first.gateway)

    site.exchange_trust(is_old=False)
    first.wait_for(lambda: site.has_key(first.gateway), "trust writes the keys of all gateways")
    for flow in (first, stays):
        _goes_on(flow, "today's trust")

    # Outside of the documented order: a gateway is upgraded before ingest. It keeps all data, and
    # logs why.
    site.exchange_agent(first, is_old=False)
    first.wait_for_more(40, "an ingest of before stores what today's agent sends")
    first.wait_for(lambda: site.is_padded(first.gateway), "its leases are padded")
    assert not site.is_padded(stays.gateway)
    first.wait_for(lambda: _refused_as_old(first) > 0, "the agent says that it is not told")
    before = first.spooled()
    first.wait_for_more(40, "and goes on")
    assert first.spooled() > before
    _goes_on(stays, "while its own agent is of version 0.1.0")

    site.exchange_ingest(is_old=False)
    _goes_on(first, "all of today: its backlog is settled by one proven receipt")
    _goes_on(stays, "today's ingest tells an agent of version 0.1.0 as that reads it")

    site.exchange_agent(stays, is_old=False)
    _goes_on(stays, "its receipts are of the other form now")

    # The way back, in the opposite order.
    for flow in (first, stays):
        site.unpad(flow)
        site.exchange_agent(flow, is_old=True)
        _goes_on(flow, "back to an agent of version 0.1.0")
    site.exchange_ingest(is_old=True)
    site.exchange_trust(is_old=True)
    for flow in (first, stays):
        _goes_on(flow, "back to version 0.1.0 altogether")
        flow.end()
