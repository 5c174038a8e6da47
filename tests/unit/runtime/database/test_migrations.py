"""Migrations in a folder. That each is applied once is tested with a server."""

import hashlib
from pathlib import Path

import pytest

from runtime.database.migrations import MigrationError, read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with variants."""
    (tmp_path / "common").mkdir()
    (tmp_path / "native").mkdir()
    (tmp_path / "timescale").mkdir()
    (tmp_path / "common" / "0001_first.sql").write_text("SELECT 1;")
    (tmp_path / "common" / "0002_second.sql").write_text("SELECT 2;")
    (tmp_path / "native" / "0003_third.sql").write_text("SELECT 'native';")
    (tmp_path / "timescale" / "0003_third.sql").write_text("SELECT 'timescale';")
    return tmp_path


def test_files_come_in_the_order_of_their_numbers(folder: Path) -> None:
    """Migrations are ordered by number, whatever folder they are in."""
    (folder / "native" / "0001_first.sql").write_text(
        (folder / "common" / "0001_first.sql").read_text()
    )
    (folder / "common" / "0001_first.sql").unlink()
    found = read(folder, variant="native")

    assert [migration.number for migration in found] == [1, 2, 3]
    assert [migration.sql for migration in found] == [
        "SELECT 1;",
        "SELECT 2;",
        "SELECT 'native';",
    ]


def test_one_variant_is_read(folder: Path) -> None:
    """Only one variant of a number is read, and a folder without variants is read alone."""
    assert read(folder, variant="timescale")[-1].sql == "SELECT 'timescale';"
    assert [migration.number for migration in read(folder / "common")] == [1, 2]


def test_digest_is_that_of_the_text(folder: Path) -> None:
    """The digest of a migration changes with its text."""
    assert read(folder / "common")[0].digest == hashlib.sha256(b"SELECT 1;").hexdigest()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("0004_fourth.sql", "gap"),
        ("0002_other.sql", "has the number of"),
        ("native/0002_other.sql", "has the number of"),
        ("3_third.sql", "is not named"),
        ("0003-third.sql", "is not named"),
        ("0003_Third.sql", "is not named"),
        ("0003_third.sql.sql", "is not named"),
    ],
)
def test_numbers_are_whole_and_single(folder: Path, name: str, problem: str) -> None:
    """A gap, a repeated number or an invalid name is refused before any migration is applied."""
    (folder / "native" / "0003_third.sql").unlink()
    (folder / (name if "/" in name else f"common/{name}")).write_text("")

    with pytest.raises(MigrationError, match=problem):
        read(folder, variant="native")


def test_other_files_are_no_migrations(folder: Path) -> None:
    """Files that are no migrations, such as a README, are ignored."""
    (folder / "common" / "README.md").write_text("about")

    assert len(read(folder / "common")) == 2


def test_empty_folder_has_no_migrations(tmp_path: Path) -> None:
    """An empty folder has no migrations."""
    assert read(tmp_path) == []
