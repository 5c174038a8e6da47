"""
A migration that was changed after it had been applied is refused before any other is
applied.
"""

from pathlib import Path

import pytest

from ingest import cli as ingest_cli
from runtime import files
from tests.fixtures.database import Database
from tests.fixtures.vault import Office
from trust.cli import main as trust_cli

pytestmark = pytest.mark.database

_CHANGED = "UPDATE public.vv_migrations SET digest = 'another' WHERE number = 2 RETURNING name"
_FORGOTTEN = "DELETE FROM public.vv_migrations WHERE number = 3"


def _as_administrator(database: Database, folder: Path) -> list[str]:
    password = folder / "administrator.password"
    files.write(password, database.server.password.encode())
    dsn = f"host=127.0.0.1 port={database.server.port} dbname={database.name} user=postgres"
    return ["--dsn", dsn, "--password-file", str(password)]


@pytest.mark.parametrize(("program", "exit_code"), [("ingest", 1), ("trust", 2)])
def test_a_changed_migration_is_refused(
    office: Office,
    tmp_path: Path,
    program: str,
    exit_code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error names the changed file and the remedy, and no missing migration is applied."""
    database = office.vault if program == "trust" else office.telemetry
    run = trust_cli.main if program == "trust" else ingest_cli.main
    [(name,)] = database.fetch(_CHANGED)
    database.execute(_FORGOTTEN)
    settings = tmp_path / "trust.toml"
    settings.write_text(
        'controller = "c"\n[vault]\ndsn = ""\n[telemetry]\ndsn = ""\n[keys]\nfolder = "."\n'
    )
    more = ["--config", str(settings)] if program == "trust" else []

    code = run(["migrate", *_as_administrator(database, tmp_path), *more])

    errors = capsys.readouterr().err
    assert code == exit_code
    assert f"{name} was changed after it was applied to this database" in errors
    assert "Traceback" not in errors
    assert database.fetch("SELECT count(*) FROM public.vv_migrations WHERE number = 3") == [(0,)]
