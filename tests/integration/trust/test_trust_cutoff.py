"""Cutting revoked gateways off is a job: done for each alone, named when it fails, tried again."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from runtime.settings import BrokerSettings
from simulators.stack.broker import Mosquitto
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office, measured
from tests.integration.trust.test_trust_publishing import daemon
from tests.support.poisons import set_aside
from trust.composition import now
from trust.config import CertificateSettings
from trust.domain.pki import Holder, common_name
from trust.domain.units import Cause
from trust.enrolment.cutoff import CUTOFF, Cutoff
from trust.errors import BrokerUnavailable
from trust.maintenance.jobs import Jobs

pytestmark = pytest.mark.database


class PlainDoor:
    """A broker's door without a broker: reads each list at once, unless it is told not to."""

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
    """A door that does what it is asked."""
    return PlainDoor()


@pytest.fixture
def listed(tmp_path: Path) -> CertificateSettings:
    """A list that the door reads, and a command that has it read."""
    return CertificateSettings(crl_file=tmp_path / "crl.pem", reload_command=["true"])


@pytest.fixture
def site(office: Office) -> Office:
    """Trust with three revoked gateways that nobody has cut off."""
    for agent, _ in [office.enrol() for _ in range(3)]:
        office.run("pki", "revoke", agent, "--yes")
    return office


def cutoff(office: Office, listed: CertificateSettings, door: PlainDoor | None) -> Cutoff:
    """Return what the daemon has."""
    app = office.app
    return Cutoff(app.vault, app.enrolment, app.authority, listed, door=door, clock=now)


def do(office: Office, work: Cutoff) -> bool:
    """Do the job as the daemon does."""
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
    """The first of three is named with its cause and tried again; the others are cut off."""
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
    """The job is set aside with what the operator can do something about."""
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
    """A hook that succeeds and does nothing is no hook: who is on the list still gets in."""
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
    """Nothing is noted, and it is to be tried again; a command says so and does not fail."""
    monkeypatch.setattr("trust.enrolment.cutoff._PATIENCE_S", 0.0)
    door.is_away = True
    work = cutoff(site, listed, door)
    assert not do(site, work)
    assert set_aside(site) == {}
    assert "once it reaches the broker" in work.run().problem


def test_who_has_nobody_to_cut_off_writes_no_list(
    office: Office, listed: CertificateSettings, door: PlainDoor
) -> None:
    """Each half minute would be a new list, and a broker that reads it."""
    measured(office)
    assert do(office, cutoff(office, listed, door))
    assert listed.crl_file is not None
    assert not listed.crl_file.exists()


def test_whoever_is_pending_is_said_to_be(site: Office) -> None:
    """However many are, none of them is told to be connected no more."""
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
    """What keeps it from cutting off is in `unit list`, with what to do."""
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
