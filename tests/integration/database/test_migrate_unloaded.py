"""A server that has TimescaleDB installed and not loaded."""

from pathlib import Path

import psycopg
import pytest

from ingest.errors import Unusable
from ingest.storage.database import DatabaseSettings
from ingest.storage.migrate import migrate
from runtime import files
from simulators.stack.postgres import Postgres
from tests.fixtures.database import programs

pytestmark = [pytest.mark.database, pytest.mark.slow]


def test_extension_that_is_not_loaded_is_named(run_folder: Path) -> None:
    """
    The error names the extension that is not loaded, instead of the unhelpful SQLSTATE
    XX000.
    """
    server = Postgres(folder=run_folder / "unloaded", programs=programs())
    server.start()
    try:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            available = "SELECT FROM pg_available_extensions WHERE name = 'timescaledb'"
            if connection.execute(available.encode()).fetchone() is None:
                pytest.skip("this server has no TimescaleDB")
            # Another module is loaded, because an empty list would be written as a file without a
            # name.
            connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'auto_explain'")
        server.stop()
        server.start()
        password = run_folder / "unloaded.password"
        files.write(password, server.password.encode())
        settings = DatabaseSettings(
            f"host=127.0.0.1 port={server.port} dbname=postgres user=postgres", password
        )
        with pytest.raises(Unusable, match="shared_preload_libraries"):
            migrate(settings, passwords={})
    finally:
        server.kill()
