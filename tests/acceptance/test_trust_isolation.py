"""Faulty gateways in a fleet: all other gateways get every lease on time, whatever the fault."""

import time
from pathlib import Path
from typing import Final

import msgspec
import pytest

from runtime.settings import BrokerSettings
from simulators.stack.broker import Mosquitto
from simulators.stack.scrape import scrape
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office
from tests.support import poisons
from tests.support.poisons import POISONS, set_aside, want
from tests.support.publishing import daemon
from trust.composition import App

pytestmark = [
    pytest.mark.database,
    pytest.mark.broker,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

GATEWAYS: Final = 50
TTL_S: Final = 12.0
REFRESH_AT: Final = 0.25
SMALL: Final = 4096
AT_THE_START: Final = (
    "a decision that is no document",
    "a policy that is no document",
    "a time that cannot be read",
    "a key that is missing",
)
MEANWHILE: Final = (
    "a person's key that does not open",
    "a policy of a later release",
    "a version that telemetry does not take",
    "another lease key",
    "a lease that is too large",
)
"""
Together with a lease key of low order, which is present from the start, these are ten
faults.
"""
_LATE: Final = """
SELECT agent FROM vault.agents
WHERE agent = ANY(%s) AND (lease_not_after < clock_timestamp() + interval '4 s'
    OR published_version < lease_version AND due_at < clock_timestamp())
"""


class Fleet:
    """Fifty gateways with one person each; ten of the gateways get a fault during the test."""

    def __init__(self, office: Office) -> None:
        self.office = office
        office.load_policy()
        self.people: dict[str, str] = {}
        for _ in range(GATEWAYS - 1):
            agent, _ = office.enrol()
            self._measure(agent)
        agents = list(self.people)
        count = len(AT_THE_START) + len(MEANWHILE)
        self.at_fault, self.sound = agents[:count], agents[count:]
        self.without_key = poisons.enrol_with(office, bytes(32))
        with poisons.unchecked():
            self._measure(self.without_key)

    def _measure(self, agent: str) -> None:
        self.people[agent] = self.office.add_subject()
        self.office.accept(self.people[agent], agent)

    def plant(self, name: str) -> str:
        """Plant a fault at the next gateway; return the gateway's id."""
        agent = self.at_fault[(*AT_THE_START, *MEANWHILE).index(name)]
        POISONS[name][0](self.office, agent, self.people[agent])
        want(self.office, agent)
        return agent

    def versions(self) -> dict[str, int]:
        """Return the version of the lease that the broker has of each gateway without a fault."""
        rows = self.office.vault.fetch(
            "SELECT agent, published_version FROM vault.agents WHERE agent = ANY(%s)", self.sound
        )
        return {str(agent): int(str(version)) for agent, version in rows}

    def watch(self, *, renewals: int) -> None:
        """
        Wait until each gateway without a fault has got *renewals* more leases, and check that none
        was late.
        """
        before = self.versions()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            late = self.office.vault.fetch(_LATE, self.sound)
            assert late == [], f"{len(late)} leases end, or are not at the broker"
            now = self.versions()
            if all(now[agent] >= version + renewals for agent, version in before.items()):
                return
            time.sleep(0.1)  # the lease is published by another process
        raise AssertionError("leases are not renewed")


@pytest.fixture
def trust_broker(broker: Mosquitto, certificates: Certificates) -> BrokerSettings:
    """Return the settings with which trust connects to the broker."""
    return broker_settings(broker, certificates, "trust")


@pytest.fixture
def fleet(office: Office) -> Fleet:
    """A fleet with short leases of limited size."""
    lease = msgspec.structs.replace(
        office.settings.lease, ttl_s=TTL_S, refresh_at=REFRESH_AT, max_packet_bytes=SMALL
    )
    office.settings = msgspec.structs.replace(office.settings, lease=lease)
    office.app.close()
    office.app = App(office.settings)
    return Fleet(office)


def test_ten_gateways_at_fault_cost_the_other_forty_nothing(
    fleet: Fleet, trust_broker: BrokerSettings
) -> None:
    """
    Ten faulty gateways do not delay the other forty, at the start, while running and after a
    restart; each fault is named and counted.
    """
    office = fleet.office
    assert len(fleet.sound) == 40
    expected = {fleet.without_key: {"lease_key"}}
    for name in AT_THE_START:
        expected[fleet.plant(name)] = {POISONS[name][1].value}
    want(office, *fleet.sound)
    lease = {"ttl_s": TTL_S, "refresh_at": REFRESH_AT, "max_packet_bytes": SMALL}

    with daemon(office, trust_broker, **lease):
        _wait_until_sound(fleet)
        fleet.watch(renewals=2)
        for name in MEANWHILE:
            expected[fleet.plant(name)] = {POISONS[name][1].value}
            fleet.watch(renewals=1)
    with daemon(office, trust_broker, **lease) as port:
        _wait_until_sound(fleet)
        fleet.watch(renewals=2)
        metrics = scrape(port)

    assert set_aside(office) == expected
    listed = office.run("unit", "list")["rows"]
    assert {row["stands_in"] for row in listed} == expected.keys()
    assert all(row["remedy"] for row in listed)
    log = (office.folder / "trust.log").read_text()
    assert "unit_failed" in log
    assert not any(agent in log or agent in str(metrics) for agent in fleet.people)
    assert metrics is not None
    counted = metrics.by("vitalveil_trust_set_aside_units", "cause")
    assert counted.keys() == {cause for causes in expected.values() for cause in causes}
    assert sum(counted.values()) == len(expected)


def _wait_until_sound(fleet: Fleet) -> None:
    """Wait for the first round, which issues the leases that ran out before the daemon started."""
    deadline = time.monotonic() + 20
    while fleet.office.vault.fetch(_LATE, fleet.sound):
        assert time.monotonic() < deadline, "the first round does not end"
        time.sleep(0.05)  # the lease is published by another process


def test_a_lease_that_the_broker_does_not_take_keeps_no_other_waiting(
    office: Office, certificates: Certificates, run_folder: Path
) -> None:
    """
    A lease that the broker rejects, for its size or by an access rule, delays no other
    lease.
    """
    office.load_policy()
    sound = [office.enrol()[0] for _ in range(5)]
    large, refused = office.enrol()[0], office.enrol()[0]
    folder = run_folder / f"small-broker-{large}"
    folder.mkdir()
    broker = Mosquitto(
        folder=folder,
        pki=certificates.folder,
        more_acl=f"user trust\ntopic deny vv1/lease/{refused}\n",
        max_packet_bytes=SMALL,
    )
    broker.start()
    for agent in (*sound, large, refused):
        office.accept(office.add_subject(), agent)
    POISONS["a lease that is too large"][0](office, large, "")
    try:
        with daemon(office, broker_settings(broker, certificates, "trust")):
            for turn in range(3):
                want(office, large, *sound)
                deadline = time.monotonic() + 30
                while office.vault.fetch(
                    "SELECT FROM vault.agents WHERE agent = ANY(%s)"
                    " AND (applied < wanted OR published_version < lease_version)", sound,
                ):  # fmt: skip
                    assert time.monotonic() < deadline, f"turn {turn}: others wait"
                    time.sleep(0.05)  # the lease is published by another process
            deadline = time.monotonic() + 30
            while set_aside(office) != {large: {"lease_too_large"}, refused: {"broker_refused"}}:
                assert time.monotonic() < deadline, set_aside(office).values()
                time.sleep(0.05)  # another process sets the leases aside
    finally:
        broker.kill()
