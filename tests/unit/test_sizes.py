"""The house stays small: no class, file or folder that has to be scrolled through to be known."""

import ast
import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_CLASS_LINES: Final = 250
_FILE_LINES: Final = 400
_MODULES: Final = {"tests": 25, "edge_agent/gatt": 25}
"""Modules of folders with another limit: one for each characteristic, and tests."""


@functools.cache
def _files() -> dict[Path, int]:
    """Return the number of lines of each module of the repository."""
    return {
        path.relative_to(_ROOT): len(path.read_text(encoding="utf-8").splitlines())
        for path in _ROOT.rglob("*.py")
        if not any(part.startswith(".") for part in path.relative_to(_ROOT).parts)
    }


def _most_modules(folder: Path) -> int:
    """Return how many modules *folder* may have."""
    found = [limit for other, limit in _MODULES.items() if folder.is_relative_to(other)]
    return max(found, default=14)


def _classes(source: str) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of lines of each class in *source*."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_the_repository_is_found() -> None:
    """A wrong folder would have no module that is too large."""
    assert Path("tests/unit/test_sizes.py") in _files()
    assert len(_files()) > 500


def test_no_class_has_more_than_250_lines() -> None:
    """A class of many lines has several subjects: split it by subject, also in tests."""
    large = [
        f"{path} {name}: {lines} lines"
        for path in _files()
        for name, lines in _classes((_ROOT / path).read_text(encoding="utf-8"))
        if lines > _CLASS_LINES
    ]
    assert large == []


def test_no_file_has_more_than_400_lines() -> None:
    """A file of many lines is two modules, or two subjects of tests."""
    large = [f"{path}: {lines} lines" for path, lines in _files().items() if lines > _FILE_LINES]
    assert large == []


def test_no_folder_has_more_than_14_modules() -> None:
    """A folder of many modules is a shelf; one whose modules are alike may have more."""
    rooms = Counter(path.parent for path in _files() if path.name != "__init__.py")
    full = [
        f"{folder}: {modules} modules"
        for folder, modules in rooms.items()
        if modules > _most_modules(folder)
    ]
    assert full == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class A:\n    x = 1\n", [("A", 2)]),
        ("def f():\n    class B:\n        pass\n    return B\n", [("B", 2)]),
        ("class C:\n    class D:\n        y = (\n            1)\n", [("C", 4), ("D", 3)]),
    ],
)
def test_lines_of_classes_are_counted(source: str, expected: list[tuple[str, int]]) -> None:
    """From the line of `class` to the last line, also of a class within another or a function."""
    assert sorted(_classes(source)) == sorted(expected)
