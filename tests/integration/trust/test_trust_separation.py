"""
Separation of data: the vault holds no identity in clear, and the telemetry database none
at all.
"""

import contextlib
import time
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.vault import Office

pytestmark = pytest.mark.database

NAME = "Zuzanna Kanarienvogel"
ADDRESS = "DE:AD:BE:EF:CA:FE"


def test_no_identity_lies_in_clear(office: Office) -> None:
    """Neither a name nor a sensor address is in any file of either database, or in a log."""
    office.load_policy()
    subject = office.add_subject(NAME)
    agent, _ = office.enrol()
    office.accept(subject, agent, binding=ADDRESS)
    office.withdraw(subject)
    # A canary in clear text, to prove that the scan finds something.
    office.vault.execute("CREATE TABLE public.canary AS SELECT 'canary-in-clear' AS text")
    with psycopg.connect(office.vault.server.dsn(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")

    assert found_in_files(office, NAME, ADDRESS, "canary-in-clear") == {"canary-in-clear"}


def found_in_files(office: Office, *needles: str) -> set[str]:
    """Return the *needles* that are in a file of the server, in any case."""
    found: set[str] = set()
    for path in files(office):
        with contextlib.suppress(FileNotFoundError):
            content = path.read_bytes().lower()
            found |= {needle for needle in needles if needle.encode().lower() in content}
    return found


def files(office: Office) -> list[Path]:
    """
    Return the files of both databases and those that the server's databases share: logs,
    catalogues.
    """
    names = [office.vault.name, office.telemetry.name]
    query = "SELECT oid::text FROM pg_database WHERE datname = ANY(%s)"
    own = {str(oid) for (oid,) in office.vault.fetch(query, names)}
    # Without the databases of earlier tests, which are gigabytes at the end of a run.
    return [
        path
        for path in office.vault.server.folder.rglob("*")
        if path.is_file() and (path.parent.parent.name != "base" or path.parent.name in own)
    ]


def test_telemetry_knows_no_subject(office: Office) -> None:
    """No row of the telemetry database has a subject's id, and pseudonyms differ from handles."""
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
    """The roles of the data plane cannot connect to the vault database."""
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(office.vault.dsn("vv_ingest"), connect_timeout=5)


@pytest.mark.slow
@pytest.mark.timed
def test_a_thousand_enrolments(office: Office) -> None:
    """Enrolling a thousand gateways with one person each takes minutes at most."""
    office.load_policy()
    started = time.monotonic()
    for _ in range(1000):
        subject = office.add_subject()
        agent, _ = office.enrol()
        office.accept(subject, agent)
    took_s = time.monotonic() - started

    assert office.telemetry.fetch("SELECT count(*) FROM vv.permissions") == [(4000,)]
    assert took_s < 120
