"""The SQL of the vault: described, used, and without duplicates."""

import inspect
import re
from collections import Counter
from importlib import import_module, resources
from pkgutil import iter_modules

import pytest

import trust.vault.postgres
from runtime.database import named_sql
from trust.vault.repository import Repository

_FOLDER = resources.files("trust.vault").joinpath("sql")
_FILES = sorted(path.name for path in _FOLDER.iterdir() if path.name.endswith(".sql"))
_HEAD = re.compile(r"^-- name: \w+\n(.*)$", re.MULTILINE)


def _repositories() -> list[type[Repository]]:
    for module in iter_modules(trust.vault.postgres.__path__):
        import_module(f"trust.vault.postgres.{module.name}")
    return Repository.__subclasses__()


@pytest.mark.parametrize("file", _FILES)
def test_every_statement_says_what_it_returns_or_changes(file: str) -> None:
    """Each statement is preceded by a whole sentence that describes it."""
    text = _FOLDER.joinpath(file).read_text(encoding="utf-8")

    heads = _HEAD.findall(text)

    assert len(heads) == len(named_sql.parse(text))
    assert [head for head in heads if not re.match(r"-- [A-Z].{10}", head)] == []


def test_no_statement_stands_twice() -> None:
    """No statement occurs twice, so that a change cannot be forgotten in one place."""
    statements = Counter(
        b" ".join(statement.split())
        for file in _FILES
        for statement in named_sql.read("trust.vault", file).values()
    )

    assert [text for text, count in statements.items() if count > 1] == []


@pytest.mark.parametrize("repository", _repositories(), ids=lambda one: one.__name__)
def test_a_repository_uses_every_statement_of_its_file(repository: type[Repository]) -> None:
    """Each repository uses exactly the statements of its file."""
    source = inspect.getsource(repository)

    asked_for = set(
        re.findall(r"_(?:run|run_each|fetch|fetch_signed|data_key)\(\s*\"(\w+)\"", source)
    )
    asked_for |= set(re.findall(r"_sql\[\"(\w+)\"\]", source))

    # The listener of `trust.vault.vault` uses this statement.
    assert asked_for == set(repository._sql) - {"waiting"}


def test_every_file_has_a_repository() -> None:
    """Every SQL file belongs to a repository."""
    read = {name for one in _repositories() for name in one._sql}

    unread = {
        f"{file}/{name}"
        for file in _FILES
        if file != "metrics.sql"
        for name in named_sql.read("trust.vault", file)
        if name not in read
    }

    assert unread == set()
