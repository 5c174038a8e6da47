"""Database settings: a password comes only from its file."""

from pathlib import Path

import psycopg
import pytest

from runtime import files
from runtime.errors import ConfigError
from trust.config import DatabaseSettings
from trust.vault.database import is_of_a_row, parameters


@pytest.mark.parametrize(
    "dsn", ["host=h password=s3cret dbname=d", "postgresql://u:s3cret@h/d", "host=h s3cret"]
)
def test_dsn_is_refused_without_repeating_it(dsn: str) -> None:
    """An invalid dsn, or one with a password, is refused without repeating it."""
    with pytest.raises(ConfigError, match=r"vault\.dsn") as error:
        parameters(DatabaseSettings(dsn=dsn), section="vault")
    assert "s3cret" not in str(error.value)


def test_password_comes_from_its_file(tmp_path: Path) -> None:
    """The password is the content of the file without the final newline."""
    path = tmp_path / "password"
    files.write(path, b"s3cret\n")
    found = parameters(DatabaseSettings("host=h", path), section="vault")
    assert found["password"] == "s3cret"


def test_missing_password_file_is_named(tmp_path: Path) -> None:
    """A password file that cannot be read is named with its key."""
    settings = DatabaseSettings("host=h", tmp_path / "none")
    with pytest.raises(ConfigError, match=r"telemetry\.password_file"):
        parameters(settings, section="telemetry")


_OF_A_ROW = [
    "22P02",
    "22008",
    "23505",
    "23514",
    "XX000",
    "XX001",
    "XX002",
    "58030",
    "58P01",
    "54000",
]
_OF_THE_SERVER = [
    "08006", "57P01", "57P03", "25006", "25P02", "40001", "42501", "42P01", "53100", "53200",
    "53300", "55P03",
]  # fmt: skip


@pytest.mark.parametrize("sqlstate", _OF_A_ROW)
def test_a_value_or_a_damaged_page_is_of_a_row(sqlstate: str) -> None:
    """Refused values, and damaged pages, rows and indexes, set aside one unit alone."""
    assert is_of_a_row(psycopg.errors.lookup(sqlstate)())


@pytest.mark.parametrize("sqlstate", _OF_THE_SERVER)
def test_what_fails_for_everyone_is_of_the_server(sqlstate: str) -> None:
    """Connections, rights, a full disk, a standby and locks are no fault of one unit."""
    assert not is_of_a_row(psycopg.errors.lookup(sqlstate)())


def test_a_lost_connection_is_of_the_server() -> None:
    """An error without a SQLSTATE is of the connection."""
    assert not is_of_a_row(psycopg.OperationalError("the connection is lost"))
