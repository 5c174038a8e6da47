"""Database settings: a password comes only from its file."""

from pathlib import Path

import pytest

from runtime.errors import ConfigError
from trust.config import DatabaseSettings
from trust.vault.database import parameters


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
    path.write_text("s3cret\n")
    found = parameters(DatabaseSettings("host=h", path), section="vault")
    assert found["password"] == "s3cret"


def test_missing_password_file_is_named(tmp_path: Path) -> None:
    """A password file that cannot be read is named with its key."""
    settings = DatabaseSettings("host=h", tmp_path / "none")
    with pytest.raises(ConfigError, match=r"telemetry\.password_file"):
        parameters(settings, section="telemetry")
