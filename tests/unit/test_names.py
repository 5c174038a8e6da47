"""Names can be searched for: one class for each name in a program, and printed forms have it."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_HIDDEN = re.compile(r"(\w+)\(…\)")
_PROGRAMS = (
    "benchmarks", "edge_agent", "formats", "ingest", "recordings", "runtime", "simulators",
    "trust", "vitalveil", "wire",
)  # fmt: skip


def _trees(folder: Path) -> Iterator[ast.Module]:
    """Yield the parsed modules of *folder*."""
    for path in folder.rglob("*.py"):
        if not any(part.startswith(".") for part in path.relative_to(_ROOT).parts):
            yield ast.parse(path.read_text(encoding="utf-8"))


def _printed(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the name of each class in *tree*, and the name that its `__repr__` returns."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__repr__":
                for name in _HIDDEN.findall(ast.unparse(method)):
                    yield node.name, name


def test_what_hides_its_fields_names_its_class() -> None:
    """After a class is renamed, its printed form has the new name, which can be searched for."""
    found = [pair for tree in _trees(_ROOT) for pair in _printed(tree)]

    assert len(found) > 5
    assert [pair for pair in found if pair[0] != pair[1]] == []


def test_no_public_class_name_stands_twice_in_a_program() -> None:
    """One word for one thing: a reader who searches for a class finds one."""
    for program in _PROGRAMS:
        names = Counter(
            node.name
            for tree in _trees(_ROOT / program)
            for node in tree.body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        )
        assert names, program
        assert [name for name, times in names.items() if times > 1] == [], program
