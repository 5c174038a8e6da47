"""Who holds what: the vault no identity in clear, the telemetry database none at all."""

import time
from pathlib import Path

import psycopg
import pytest

from tests.fix_vault import Office

pytestmark = pytest.mark.database

NAME = "Zuzanna Kanarienvogel"
ADDRESS = "DE:AD:BE:EF:CA:FE"


def test_no_identity_lies_in_clear(office: Office) -> None:
    """Neither name nor sensor address is in any file of either database, nor in a log."""
    office.load_policy()
    subject = office.add_subject(NAME)
    agent, _ = office.enrol()
    office.accept(subject, agent, binding=ADDRESS)
    office.withdraw(subject)
    # A plain canary beside them, or the scan could be looking at nothing.
    office.vault.execute("CREATE TABLE public.canary AS SELECT 'canary-in-clear' AS text")
    with psycopg.connect(office.vault.server.dsn(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")

    files = [path for path in office.vault.server.folder.rglob("*") if path.is_file()]
    found = {
        needle: [path for path in files if contains(path, needle)]
        for needle in (NAME, ADDRESS, "canary-in-clear")
    }

    assert found[NAME] == []
    assert found[ADDRESS] == []
    assert found["canary-in-clear"] != []


def contains(path: Path, needle: str) -> bool:
    """Tell whether the bytes of *needle* are in a file, whatever their case."""
    try:
        return needle.encode().lower() in path.read_bytes().lower()
    except FileNotFoundError:
        return False


def test_telemetry_knows_no_subject(office: Office) -> None:
    """No row of the telemetry database holds a subject's id; pseudonyms differ from handles."""
    office.load_policy()
    subject = office.add_subject(NAME)
    agent, _ = office.enrol()
    handle = office.accept(subject, agent, binding=ADDRESS)["handle"]

    everything = "".join(
        str(row[0])
        for table in ("agents", "leases", "series", "permissions")
        for row in office.telemetry.fetch(f"SELECT t::text FROM vv.{table} t")  # noqa: S608
    )

    for identity in (NAME, ADDRESS, subject, subject.replace("-", "")):
        assert identity.lower() not in everything.lower()
    assert handle in everything
    pseudonyms = office.telemetry.fetch("SELECT encode(pseudonym, 'hex') FROM vv.series")
    assert handle not in {row[0] for row in pseudonyms}


def test_telemetry_role_may_not_enter_the_vault(office: Office) -> None:
    """The roles of the data plane cannot even connect to the vault database."""
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(office.vault.dsn("vv_ingest"), connect_timeout=5)


@pytest.mark.slow
def test_a_thousand_enrolments(office: Office) -> None:
    """Enrolling a thousand gateways with a person each takes minutes at most, not hours."""
    office.load_policy()
    started = time.monotonic()
    for _ in range(1000):
        subject = office.add_subject()
        agent, _ = office.enrol()
        office.accept(subject, agent)
    took_s = time.monotonic() - started

    assert office.telemetry.fetch("SELECT count(*) FROM vv.permissions") == [(4000,)]
    assert took_s < 120
