"""Objects that hide their fields when they are printed still name their class."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_HIDDEN = re.compile(r"(\w+)\(…\)")


def _printed(source: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each class in *source*, and the name that its `__repr__` returns."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef):
            continue
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__repr__":
                for name in _HIDDEN.findall(ast.unparse(method)):
                    yield node.name, name


def test_what_hides_its_fields_names_its_class() -> None:
    """After a class is renamed, its printed form has the new name, which can be searched for."""
    found = [
        pair
        for path in _ROOT.rglob("*.py")
        if not any(part.startswith(".") for part in path.relative_to(_ROOT).parts)
        for pair in _printed(path.read_text(encoding="utf-8"))
    ]

    assert len(found) > 5
    assert [pair for pair in found if pair[0] != pair[1]] == []
