"""
Ending connections of revoked gateways is a job: each is handled alone, and failures are named and
tried again.
"""

import asyncio
from pathlib import Path

import msgspec
import pytest

from runtime.settings import BrokerSettings
from simulators.stack.broker import Mosquitto
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office, measured
from tests.support.poisons import set_aside
from tests.support.publishing import daemon
from trust.composition import now
from trust.config import CertificateSettings
from trust.domain.pki import Holder, common_name
from trust.domain.units import Cause
from trust.enrolment.cutoff import CUTOFF, Cutoff
from trust.errors import BrokerUnavailable
from trust.maintenance.jobs import Jobs

pytestmark = pytest.mark.database


class PlainDoor:
    """A simulated broker that reads each list at once, unless the test says otherwise."""

    def __init__(self) -> None:
        self.reads_lists = True
        self.is_away = False
        self.stuck: dict[str, Exception] = {}
        self.ended: list[str] = []

    async def lets_in(self, holder: Holder) -> bool:
        if self.is_away:
            raise BrokerUnavailable("ConnectionRefusedError")
        return not self.reads_lists

    async def take_over(self, agent: str, holder: Holder) -> None:
        assert common_name(holder.certificate) == agent
        if self.is_away:
            raise BrokerUnavailable("ConnectionRefusedError")
        if agent in self.stuck:
            raise self.stuck[agent]
        self.ended.append(agent)


@pytest.fixture
def door() -> PlainDoor:
    """A broker that reads each list."""
    return PlainDoor()


@pytest.fixture
def listed(tmp_path: Path) -> CertificateSettings:
    """A revocation list that the broker reads, and a command that makes it reload."""
    return CertificateSettings(crl_file=tmp_path / "crl.pem", reload_command=["true"])


@pytest.fixture
def site(office: Office) -> Office:
    """Trust with three revoked gateways whose connections are not ended yet."""
    for agent, _ in [office.enrol() for _ in range(3)]:
        office.run("pki", "revoke", agent, "--yes")
    return office


def cutoff(office: Office, listed: CertificateSettings, door: PlainDoor | None) -> Cutoff:
    """Return the job as the daemon has it."""
    app = office.app
    return Cutoff(app.vault, app.enrolment, app.authority, listed, door=door, clock=now)


def do(office: Office, work: Cutoff) -> bool:
    """Run the job as the daemon does."""
    return Jobs(office.app.vault, count=lambda failures: None).do(CUTOFF, work.again)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param(
            BrokerUnavailable("its ACL keeps a gateway off"), Cause.NOT_CUT, id="refused"
        ),
        pytest.param(LookupError("nobody foresaw it"), Cause.UNFORESEEN, id="unforeseen"),
    ],
)
def test_a_gateway_that_cannot_be_cut_off_keeps_no_other_connected(
    site: Office,
    listed: CertificateSettings,
    door: PlainDoor,
    error: Exception,
    cause: Cause,
) -> None:
    """
    The failing first of three gateways is named and tried again; the connections of the others are
    ended.
    """
    work = cutoff(site, listed, door)
    first, *others = work.pending()
    door.stuck[first] = error

    assert not do(site, work)

    assert door.ended == others
    assert work.pending() == [first]
    rows = site.vault.fetch("SELECT work, stands_in, kind, unit, cause FROM vault.set_aside")
    assert rows == [("job", CUTOFF, "gateway", first, cause)]
    door.stuck.clear()
    assert do(site, work)
    assert (work.pending(), set_aside(site)) == ([], {})


@pytest.mark.parametrize(
    ("changes", "has_door", "cause"),
    [
        pytest.param({"crl_file": None}, True, Cause.NOT_SET, id="no list"),
        pytest.param({}, False, Cause.NOT_SET, id="no broker"),
        pytest.param({"reload_command": ["false"]}, True, Cause.COMMAND, id="a hook that fails"),
        pytest.param({"crl_file": Path("/proc/none/crl.pem")}, True, Cause.FILE, id="no folder"),
    ],
)
def test_what_keeps_everybody_connected_is_named(
    site: Office,
    listed: CertificateSettings,
    door: PlainDoor,
    changes: dict[str, object],
    has_door: bool,
    cause: Cause,
) -> None:
    """
    A failure that affects all gateways sets the job aside, with a cause that an operator can
    repair.
    """
    chosen = msgspec.structs.replace(listed, **changes)
    work = cutoff(site, chosen, door if has_door else None)
    assert not do(site, work)
    assert set_aside(site) == {CUTOFF: {cause}}
    assert len(work.pending()) == 3


def test_a_list_that_is_not_read_is_named(
    site: Office,
    listed: CertificateSettings,
    door: PlainDoor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    A reload command that succeeds without effect is noticed, because the probe certificate is
    still accepted.
    """
    monkeypatch.setattr("trust.enrolment.cutoff._PATIENCE_S", 0.0)
    door.reads_lists = False
    work = cutoff(site, listed, door)
    assert not do(site, work)
    assert (set_aside(site), door.ended) == ({CUTOFF: {Cause.LIST_UNREAD}}, [])
    door.reads_lists = True
    assert do(site, work)
    assert (set_aside(site), len(door.ended)) == ({}, 3)


def test_a_broker_that_is_away_is_no_gateways_fault(
    site: Office,
    listed: CertificateSettings,
    door: PlainDoor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unreachable broker sets nothing aside; the command reports it and does not fail."""
    monkeypatch.setattr("trust.enrolment.cutoff._PATIENCE_S", 0.0)
    door.is_away = True
    work = cutoff(site, listed, door)
    assert not do(site, work)
    assert set_aside(site) == {}
    assert "once it reaches the broker" in work.run().problem


def test_who_has_nobody_to_cut_off_writes_no_list(
    office: Office, listed: CertificateSettings, door: PlainDoor
) -> None:
    """
    Without revoked gateways no list is written; otherwise the broker would reload it every half
    minute.
    """
    measured(office)
    assert do(office, cutoff(office, listed, door))
    assert listed.crl_file is not None
    assert not listed.crl_file.exists()


def test_whoever_is_pending_is_said_to_be(site: Office) -> None:
    """
    Every gateway whose connection is not ended is reported as pending, however many
    there are.
    """
    site.vault.execute(
        "INSERT INTO vault.agents (agent, format, revoked_at)"
        " SELECT lpad(n::text, 16, '0'), 'json', now() FROM generate_series(1, 150) n"
    )
    agent, _ = site.enrol()
    assert site.run("pki", "revoke", agent, "--yes")["connected"] == "pending"


@pytest.mark.broker
def test_the_daemon_does_it_as_a_job(
    office: Office, broker: Mosquitto, certificates: Certificates
) -> None:
    """A failure of the job is in `unit list`, with the remedy."""
    agent, _ = office.enrol()
    office.run("pki", "revoke", agent, "--yes")
    settings: BrokerSettings = broker_settings(broker, certificates, "trust")

    async def named() -> None:
        while set_aside(office) != {CUTOFF: {Cause.NOT_SET}}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    with daemon(office, settings):
        asyncio.run(asyncio.wait_for(named(), 30))
    (row,) = office.run("unit", "list")["rows"]
    assert "certificates.crl_file" in str(row)
