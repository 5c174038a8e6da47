"""The vaults that the contract tests run against: one in memory, and PostgreSQL."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import files
from simulators.stack.postgres import Postgres
from tests.fakes.vault.vault import MemoryVault
from tests.fixtures.database import Database
from tests.fixtures.vault import create_vault, settings_of
from trust.composition import now
from trust.keys import file_keys
from trust.keys.file_keys import FileKeys
from trust.ports import Keys
from trust.vault.protocols import Vault
from trust.vault.vault import PostgresVault

_EMPTY = """
DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(format('vault.%I', tablename), ', ')
    || ' RESTART IDENTITY CASCADE' FROM pg_tables WHERE schemaname = 'vault'); END $$
"""


@pytest.fixture(scope="session")
def keys(run_folder: Path) -> Keys:
    """The keys of trust."""
    folder = run_folder / "contract-keys"
    file_keys.create(folder)
    return FileKeys(folder)


@pytest.fixture(scope="session")
def vault_database(postgres: Postgres, run_folder: Path) -> Database:
    """A vault of PostgreSQL that the contract tests share."""
    folder = run_folder / "contract-vault"
    folder.mkdir()
    return create_vault(postgres, folder)


@pytest.fixture(params=["memory", "postgres"])
def vault(request: pytest.FixtureRequest, keys: Keys, tmp_path: Path) -> Iterator[Vault]:
    """An empty vault of each kind."""
    if request.param == "memory":
        yield MemoryVault(keys, now)
        return
    database: Database = request.getfixturevalue("vault_database")
    password_file = tmp_path / "password"
    files.write(password_file, database.server.password.encode())
    made = PostgresVault(settings_of(database, password_file), keys)
    yield made
    made.close()
    database.execute(_EMPTY)


@pytest.fixture
def at() -> dt.datetime:
    """The time now, in whole milliseconds, as decisions keep it."""
    return now().replace(microsecond=0)
