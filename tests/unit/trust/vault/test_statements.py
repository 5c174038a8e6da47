"""The SQL of the vault: described, used, and written once."""

import inspect
import re
from collections import Counter
from importlib import import_module, resources
from pkgutil import iter_modules

import pytest

import trust.vault.postgres
from runtime.database import named_sql
from trust.vault.postgres.repository import Repository

_FOLDER = resources.files("trust.vault").joinpath("sql")
_FILES = sorted(path.name for path in _FOLDER.iterdir() if path.name.endswith(".sql"))
_HEAD = re.compile(r"^-- name: \w+\n(.*)$", re.MULTILINE)


def _repositories() -> list[type[Repository]]:
    for module in iter_modules(trust.vault.postgres.__path__):
        import_module(f"trust.vault.postgres.{module.name}")
    return Repository.__subclasses__()


@pytest.mark.parametrize("file", _FILES)
def test_every_statement_says_what_it_returns_or_changes(file: str) -> None:
    """Below the name of each statement stands a whole sentence about it."""
    text = _FOLDER.joinpath(file).read_text(encoding="utf-8")

    heads = _HEAD.findall(text)

    assert len(heads) == len(named_sql.parse(text))
    assert [head for head in heads if not re.match(r"-- [A-Z].{10}", head)] == []


def test_no_statement_stands_twice() -> None:
    """Each statement has one place, so a change of it cannot be forgotten in another."""
    statements = Counter(
        b" ".join(statement.split())
        for file in _FILES
        for statement in named_sql.read("trust.vault", file).values()
    )

    assert [text for text, count in statements.items() if count > 1] == []


@pytest.mark.parametrize("repository", _repositories(), ids=lambda one: one.__name__)
def test_a_repository_uses_every_statement_of_its_file(repository: type[Repository]) -> None:
    """No statement is left over from before, and none is asked for that is not there."""
    source = inspect.getsource(repository)

    asked_for = set(
        re.findall(r"_(?:run|run_each|fetch|fetch_signed|data_key)\(\s*\"(\w+)\"", source)
    )
    asked_for |= set(re.findall(r"_sql\[\"(\w+)\"\]", source))

    # The listener of `trust.vault.vault` asks which leases wait.
    assert asked_for == set(repository._sql) - {"waiting"}


def test_every_file_has_a_repository() -> None:
    """A file of statements that no repository reads is of no use."""
    read = {name for one in _repositories() for name in one._sql}

    unread = {
        f"{file}/{name}"
        for file in _FILES
        if file != "metrics.sql"
        for name in named_sql.read("trust.vault", file)
        if name not in read
    }

    assert unread == set()
