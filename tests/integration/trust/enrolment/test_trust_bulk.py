"""Many gateways enrolled by one command: each is complete, distinct, and known everywhere."""

import stat
from pathlib import Path

import pytest
from cryptography import x509

from tests.fixtures.vault import Office, Refusal

pytestmark = pytest.mark.database

_FILES = {"agent.crt", "agent.key", "ca.crt", "ingest.pub", "lease.key", "trust.pub"}
_COUNT = 260
"""More agents than one transaction enrols."""


def enrol(office: Office, out: Path, *more: str, count: int = 3) -> dict[str, object]:
    """Enrol this many agents."""
    return office.run(
        "agent", "enrol", "--ingest-key", str(office.ingest_key), "--out", str(out),
        "--count", str(count), *more,
    )  # fmt: skip


def test_each_has_a_bundle_and_is_known(office: Office, tmp_path: Path) -> None:
    """Folders, vault and telemetry database have the same agents, and each can get a lease."""
    out = tmp_path / "bundles"

    assert enrol(office, out, count=_COUNT)["agents"] == _COUNT

    agents = {folder.name for folder in out.iterdir()}
    assert len(agents) == _COUNT
    for where, query in (
        (office.vault, "SELECT agent FROM vault.agents WHERE applied = wanted"),
        (office.vault, "SELECT agent FROM vault.certificates"),
        (office.telemetry, "SELECT agent FROM vv.agents"),
    ):
        assert {str(name) for (name,) in where.fetch(query)} == agents
    office.load_policy()
    agent = sorted(agents)[-1]
    office.accept(office.add_subject(), agent)
    assert len(office.lease(agent, out / agent).grants) == 1


def test_bundles_are_as_those_made_one_by_one(office: Office, tmp_path: Path) -> None:
    """Bundles have the same files, permissions and certificates as those of single enrolments."""
    _, one = office.enrol()
    enrol(office, tmp_path / "bundles")
    folders = sorted((tmp_path / "bundles").iterdir())
    ca = x509.load_pem_x509_certificate((one / "ca.crt").read_bytes())

    for folder in folders:
        assert {path.name for path in folder.iterdir()} == _FILES
        for path in folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(
                (one / path.name).stat().st_mode
            )
        certificate = x509.load_pem_x509_certificate((folder / "agent.crt").read_bytes())
        certificate.verify_directly_issued_by(ca)
        assert certificate.subject.rfc4514_string() == f"CN={folder.name}"
    for name in ("agent.key", "lease.key"):
        assert len({(folder / name).read_bytes() for folder in folders}) == len(folders)
    for name in ("ca.crt", "trust.pub", "ingest.pub"):
        assert {(folder / name).read_bytes() for folder in folders} == {(one / name).read_bytes()}


def test_without_our_software_there_is_no_lease_key(office: Office, tmp_path: Path) -> None:
    """Devices that send JSON are enrolled without a lease key."""
    enrol(office, tmp_path / "bundles", "--format", "json")
    names = {path.name for path in (tmp_path / "bundles").rglob("*") if path.is_file()}
    assert names == _FILES - {"lease.key"}
    assert office.telemetry.fetch("SELECT DISTINCT format FROM vv.agents") == [("json",)]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["--count", "0"], "from 1 to", id="none"),
        pytest.param(["--count", "100001"], "from 1 to", id="too many"),
    ],
)
def test_a_count_is_within_bounds(office: Office, argv: list[str], message: str) -> None:
    """An implausible count is refused, and no agent is enrolled."""
    with pytest.raises(Refusal, match=message):
        office.enrol(*argv)
    with pytest.raises(Refusal, match="give --out"):
        office.run("agent", "enrol", "--count", "5")
    assert office.vault.fetch("SELECT count(*) FROM vault.agents") == [(0,)]
