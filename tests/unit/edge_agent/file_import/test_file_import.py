"""`vitalveil agent import`: a person's own history, from a file."""

import argparse
import asyncio
import json
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.cli import parser
from edge_agent.config import AgentSettings, SensorSettings, SpoolSettings
from edge_agent.file_import import cli
from edge_agent.lease.keys import read
from edge_agent.lease.leases import FileLeaseStore, Leases
from edge_agent.spool import lock
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from runtime.settings import BrokerSettings
from tests.fakes.edge_agent import HANDLE, OTHER_SENSOR, SENSOR, grant, lease, write_keys
from tests.fixtures.pki import Certificates
from wire import lease as wire_lease
from wire.envelope import decode_envelope
from wire.lease import Lease
from wire.policy import Rule
from wire.quantities import BY_NAME, Code
from wire.sealing import Opener

MINUTE_MS = 60_000
DAY_MS = 86_400_000
GLUCOSE = BY_NAME["glucose_interstitial"]


class ImportingGateway:
    """A gateway that does not run, with leases of the last days."""

    def __init__(self, folder: Path, *, max_bytes: int = 1 << 22) -> None:
        self.folder = folder
        self.now_ms = time.time_ns() // 1_000_000
        self.trust = Ed25519PrivateKey.generate()
        self.ingest = X25519PrivateKey.generate()
        certificates = Certificates(folder / "pki")
        self.settings = AgentSettings(
            agent="0" * 16,
            state_dir=folder / "state",
            broker=BrokerSettings(tls=certificates.client("0" * 16), port=1),
            keys=write_keys(folder, self.trust, self.ingest),
            sensors=SensorSettings(folder / "s.sock"),
            spool=SpoolSettings(max_bytes=max_bytes, min_free_bytes=0),
        )
        self.settings.state_dir.mkdir(mode=0o700)

    def hold(self, *leases: Lease) -> None:
        """Accept *leases*, the newest last."""
        held = read(self.settings.keys)
        store = Leases(
            agent=self.settings.agent,
            trust_key=held.trust,
            agent_key=held.lease,
            lease_store=FileLeaseStore(self.settings.state_dir),
        )
        for one in leases:
            store.offer(
                wire_lease.encode(one, trust_key=self.trust, agent_key=held.lease.public_key())
            )
        store.save()

    def hold_days(self, days: int, rule: Rule | None = None) -> None:
        """Hold one lease of *days* that is in force, for interstitial glucose of one person."""
        rule = rule or Rule(Code.GLUCOSE_INTERSTITIAL)
        self.hold(
            lease(
                grant(rules=[rule]),
                issued_at_ms=self.now_ms - days * DAY_MS,
                for_ms=(days + 1) * DAY_MS,
            )
        )

    def entries(self, *ages_ms: int, sgv: int = 100) -> Path:
        """Write Nightscout entries of these ages, and return their file."""
        path = self.folder / "entries.json"
        entries = [{"type": "sgv", "date": self.now_ms - age, "sgv": sgv} for age in ages_ms]
        path.write_text(json.dumps(entries))
        return path

    def run(self, path: Path, *more: str) -> int:
        """Run the command as a user types it."""
        return cli.import_file(parsed(str(path), *more), self.settings)

    def spooled(self) -> list[tuple[bytes, int, int, int]]:
        """Return handle, lease, time and value of each observation in the spool."""

        async def look() -> list[bytes]:
            spool = await SqliteSpool.open(
                self.settings.state_dir,
                Tags(read(self.settings.keys).lease),
                new_spool_id=b"s" * 16,
                bounds=SpoolLimits(1 << 22, min_free_bytes=0),
            )
            try:
                return [one.payload for one in await spool.peek(after=-1, limit=10_000)]
            finally:
                await spool.close()

        opener = Opener([self.ingest])
        return [
            (body.handle, body.lease, at, value)
            for payload in asyncio.run(look())
            for body in [opener.open(self.settings.agent, decode_envelope(payload))]
            for block in body.blocks
            for at, value in zip(block.times_ms(), block.unpacked_values(), strict=True)
        ]


def parsed(*words: str) -> argparse.Namespace:
    """Return the arguments of the command in *words*."""
    more = [] if "--sensor" in words else ["--sensor", SENSOR]
    return parser().parse_args(["import", *words, *more])


@pytest.fixture
def gateway(tmp_path: Path) -> ImportingGateway:
    """Return a gateway without a lease."""
    return ImportingGateway(tmp_path)


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """Return the report that was printed."""
    report: dict[str, object] = json.loads(capsys.readouterr().out)
    return report


def test_history_under_a_lease_is_sealed(
    gateway: ImportingGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Readings in the term of a lease go into the spool, under its version and handle."""
    gateway.hold_days(3)
    path = gateway.entries(2 * DAY_MS, 2 * DAY_MS - 5 * MINUTE_MS)

    assert gateway.run(path, "--json") == 0
    assert told(capsys) == {
        "format": "nightscout", "readings": 2, "observations": 2, "envelopes": 1, "merged": 0,
        "refused": {},
    }  # fmt: skip
    assert gateway.spooled() == [
        (HANDLE, 1, gateway.now_ms - 2 * DAY_MS, 555),
        (HANDLE, 1, gateway.now_ms - 2 * DAY_MS + 5 * MINUTE_MS, 555),
    ]


def test_reading_is_sealed_under_the_lease_of_its_time(gateway: ImportingGateway) -> None:
    """Each lease covers its own term; between two there is none."""
    rules = [Rule(Code.GLUCOSE_INTERSTITIAL)]
    day = gateway.now_ms - 5 * DAY_MS
    gateway.hold(
        lease(grant(rules=rules), version=1, issued_at_ms=day, for_ms=DAY_MS),
        lease(grant(rules=rules), version=2, issued_at_ms=day + 4 * DAY_MS, for_ms=2 * DAY_MS),
    )
    path = gateway.entries(4 * DAY_MS + 60 * MINUTE_MS, 3 * DAY_MS, 60 * MINUTE_MS)

    assert gateway.run(path) == 0
    assert [version for _, version, _, _ in gateway.spooled()] == [1, 2]


@pytest.mark.parametrize(
    ("age_ms", "sgv", "sensor", "reason"),
    [
        pytest.param(4 * DAY_MS, 100, SENSOR, "no_lease", id="before the consent"),
        pytest.param(40 * DAY_MS, 100, SENSOR, "too_old", id="older than ingest takes"),
        pytest.param(-10 * MINUTE_MS, 100, SENSOR, "undated", id="in the future"),
        pytest.param(DAY_MS, 401, SENSOR, "saturated", id="beyond the range"),
        pytest.param(DAY_MS, 5, SENSOR, "sensor_fault", id="an error code"),
        pytest.param(DAY_MS, 700, SENSOR, "implausible", id="refused by the reader"),
        pytest.param(DAY_MS, 100, OTHER_SENSOR, "unknown_sensor", id="a sensor of no one"),
    ],
)
def test_what_is_not_covered_is_counted_and_nothing_is_sealed(
    gateway: ImportingGateway,
    capsys: pytest.CaptureFixture[str],
    age_ms: int,
    sgv: int,
    sensor: str,
    reason: str,
) -> None:
    """A refused reading has a reason before any envelope is made; with none left, exit is 1."""
    gateway.hold_days(3)
    path = gateway.entries(age_ms, sgv=sgv)

    assert gateway.run(path, "--sensor", sensor, "--json") == 1
    report = told(capsys)
    assert report["refused"] == {reason: 1}
    assert (report["readings"], report["observations"], report["envelopes"]) == (1, 0, 0)
    assert gateway.spooled() == []


def test_quantity_that_is_not_granted_is_refused(
    gateway: ImportingGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file may hold more than the person agreed to."""
    gateway.hold_days(3, Rule(Code.HEART_RATE))

    assert gateway.run(gateway.entries(DAY_MS), "--json") == 1
    assert told(capsys)["refused"] == {"not_allowed": 1}


def test_policy_makes_the_history_coarser(
    gateway: ImportingGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """One reading of an interval goes out, rounded as a sensor's."""
    hour_ms = 60 * MINUTE_MS
    gateway.hold_days(
        3, Rule(Code.GLUCOSE_INTERSTITIAL, step=50, interval_ms=hour_ms, time_step_ms=hour_ms)
    )
    start = gateway.now_ms - gateway.now_ms % hour_ms - DAY_MS
    ages = [gateway.now_ms - start - n * 5 * MINUTE_MS for n in range(12)]

    assert gateway.run(gateway.entries(*ages), "--json") == 0
    assert told(capsys)["merged"] == 11
    assert gateway.spooled() == [(HANDLE, 1, start, 550)]


def test_second_import_of_a_file_seals_nothing(
    gateway: ImportingGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was imported is known by its intervals, also in another file."""
    gateway.hold_days(3)
    path = gateway.entries(DAY_MS, DAY_MS - 5 * MINUTE_MS)
    gateway.run(path, "--json")
    told(capsys)

    assert gateway.run(path, "--json") == 1
    report = told(capsys)
    assert report["envelopes"] == 0
    assert len(gateway.spooled()) == 2


def test_dry_run_only_counts(
    gateway: ImportingGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """The counts are those of the import, and the spool stays empty."""
    gateway.hold_days(3)

    assert gateway.run(gateway.entries(DAY_MS, 9 * DAY_MS), "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 readings of format nightscout",
        "1 observations would be sealed",
        "1 refused: no_lease",
    ]
    assert gateway.spooled() == []


def test_agent_that_runs_is_not_disturbed(
    gateway: ImportingGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two processes never write one spool."""
    gateway.hold_days(3)
    with lock.hold(gateway.settings.state_dir):
        assert gateway.run(gateway.entries(DAY_MS)) == 1

    assert "Stop it, import the file" in capsys.readouterr().err


def test_gateway_without_a_lease_imports_nothing(
    gateway: ImportingGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a decision nothing is read into the spool."""
    assert gateway.run(gateway.entries(DAY_MS)) == 1
    assert "holds no lease" in capsys.readouterr().err


def test_lease_that_ended_covers_nothing(
    gateway: ImportingGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gateway that was withdrawn from, or cut off, may not seal what it could have measured."""
    gateway.hold(
        lease(
            grant(rules=[Rule(Code.GLUCOSE_INTERSTITIAL)]),
            issued_at_ms=gateway.now_ms - 3 * DAY_MS,
            for_ms=2 * DAY_MS,
        )
    )

    assert gateway.run(gateway.entries(2 * DAY_MS), "--json") == 1
    assert told(capsys)["refused"] == {"no_lease": 1}


def test_local_times_need_a_zone(
    gateway: ImportingGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replay may keep local times; a history that is stored may not."""
    gateway.hold_days(3)
    path = gateway.folder / "libre.csv"
    at = time.strftime("%Y-%m-%d %H:%M", time.gmtime(gateway.now_ms / 1000 - 86_400))
    path.write_text(
        "x\nDevice Timestamp,Record Type,Historic Glucose mg/dL,Scan Glucose mg/dL,Notes\n"
        f"{at},0,100,,\n"
    )

    assert gateway.run(path) == 1
    assert "--zone Europe/Paris" in capsys.readouterr().err
    assert gateway.run(path, "--zone", "UTC") == 0


@pytest.mark.parametrize("content", ["when,what\n1,2\n", "[", "1\n2\n3\n", ""])
def test_file_that_is_refused_changes_nothing(
    gateway: ImportingGateway, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    """The reason is said, and no value of the file is."""
    gateway.hold_days(3)
    path = gateway.folder / "a.csv"
    path.write_text(content)

    assert gateway.run(path) == 1
    assert "vitalveil simulate replay --list" in capsys.readouterr().err
    assert gateway.spooled() == []


def test_import_does_not_evict_what_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A history larger than the room of the spool is refused, and leaves everything as it was."""
    gateway = ImportingGateway(tmp_path, max_bytes=4_000)
    gateway.hold_days(20)
    assert gateway.run(gateway.entries(10 * DAY_MS)) == 0
    before = gateway.spooled()

    assert gateway.run(gateway.entries(*(DAY_MS - n * 1000 for n in range(5_000)))) == 1
    assert "has no room" in capsys.readouterr().err
    assert gateway.spooled() == before
