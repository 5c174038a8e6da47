"""Migrations as they lie in a folder. That they are applied once is an integration test."""

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
    """Whatever folder a number is in, it comes in its turn."""
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
    """One number is one step in either; a folder without variants is read alone."""
    assert read(folder, variant="timescale")[-1].sql == "SELECT 'timescale';"
    assert [migration.number for migration in read(folder / "common")] == [1, 2]


def test_digest_is_that_of_the_text(folder: Path) -> None:
    """What was applied can be told from what was changed since."""
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
    """A gap, a double number or a careless name stops everything before anything is applied."""
    (folder / "native" / "0003_third.sql").unlink()
    (folder / (name if "/" in name else f"common/{name}")).write_text("")

    with pytest.raises(MigrationError, match=problem):
        read(folder, variant="native")


def test_other_files_are_no_migrations(folder: Path) -> None:
    """A README beside them is left alone."""
    (folder / "common" / "README.md").write_text("about")

    assert len(read(folder / "common")) == 2


def test_empty_folder_has_no_migrations(tmp_path: Path) -> None:
    """Nothing is nothing."""
    assert read(tmp_path) == []
