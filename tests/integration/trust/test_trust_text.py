"""The text output of trust's commands."""

import asyncio
import io
import json
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from tests.fixtures.vault import Office, Refusal, measured
from tests.integration.trust.test_trust_cli import configure, run
from trust.cli import batch
from trust.composition import App
from trust.config import DatabaseSettings
from trust.keys import file_keys

pytestmark = pytest.mark.database


def _table(settings: DatabaseSettings) -> dict[str, object]:
    return {"dsn": settings.dsn, "password_file": settings.password_file}


@pytest.fixture
def settings(office: Office, tmp_path: Path) -> str:
    """A settings file for the command line, with the databases of *office*."""
    erasure = office.settings.erasure
    assert erasure is not None
    return str(
        configure(
            tmp_path,
            vault=_table(office.settings.vault),
            telemetry=_table(office.settings.telemetry),
            erasure={"telemetry": _table(erasure.telemetry), "vault": _table(erasure.vault)},
        )
    )


def test_an_erasure_prints_its_certificate(office: Office, settings: str, tmp_path: Path) -> None:
    """An erasure prints its certificate with the rows of each store, and reports success."""
    subject, _ = measured(office)
    out = tmp_path / "certificate.json"

    code, printed, errors = run(
        "erase", subject, "--scope", "all", "--yes", "--out", str(out), "--config", settings
    )

    assert (code, errors) == (0, "")
    assert 'rows: {"' in printed
    for words in (("erase", "certificate", "1"), ("erase", "check", str(out))):
        code, printed, errors = run(*words, "--config", settings)
        assert (code, errors) == (0, "")
        assert f"subject: {subject}" in printed


def test_retention_prints_what_it_deleted(office: Office, settings: str) -> None:
    """A retention run prints its counts by purpose and store."""
    office.load_policy()

    code, printed, errors = run("retention", "run", "--config", settings)

    assert (code, errors) == (0, "")
    assert 'rows: {"home-monitoring": {"' in printed


def test_a_list_is_a_table(office: Office, settings: str) -> None:
    """A list is a table with one row for each item, under the names of its fields."""
    subject = office.add_subject()

    code, printed, _ = run("subject", "list", "--config", settings)

    assert code == 0
    assert printed.split()[:3] == ["subject", "added", "at"]
    assert subject in printed


def test_a_batch_goes_on_after_a_setting_that_is_missing(office: Office) -> None:
    """
    A line of a batch that needs a missing section of the settings is refused, and later lines are
    run.
    """
    bare = App(msgspec.structs.replace(office.settings, erasure=None))
    erase = ["erase", office.add_subject(), "--scope", "all", "--yes"]
    lines = io.StringIO(json.dumps(erase) + '\n["subject","list"]\n')
    printed: list[str] = []

    refused = asyncio.run(batch.run(bare, lines=lines, out=printed.append))
    bare.close()

    assert refused == 1
    assert "[erasure.telemetry]" in json.loads(printed[0])["error"]
    assert json.loads(printed[1])["ok"]


def test_an_erasure_that_meets_no_database_is_to_be_given_again(tmp_path: Path) -> None:
    """
    If an erasure cannot connect, the error asks to repeat the command, because no daemon completes
    it.
    """
    file_keys.create(tmp_path / "keys")
    nowhere = {"dsn": "host=127.0.0.1 port=1 dbname=v user=vv_owner"}
    settings = configure(tmp_path, erasure={"telemetry": nowhere, "vault": nowhere})

    code, _, errors = run(
        "erase", str(UUID(int=1)), "--scope", "all", "--yes", "--config", str(settings)
    )

    assert code == 1
    assert "no server listens" in errors
    assert "Give the same command again" in errors
    assert "trust run" not in errors


def test_a_batch_keeps_nobody_under_a_dash(office: Office) -> None:
    """In a batch, `-` is neither read from standard input nor stored as a name."""
    with pytest.raises(Refusal, match="give the --name"):
        office.run("subject", "add", "--name", "-")

    assert office.vault.fetch("SELECT count(*) FROM vault.subjects") == [(0,)]
