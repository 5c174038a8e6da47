"""Connections to PostgreSQL are made in one module only."""

import ast
from pathlib import Path

_ROOT = Path(__file__).parents[4]
_PROGRAMS = (
    "ingest",
    "trust",
    "runtime",
    "schema",
    "formats",
    "vitalveil",
    "simulators",
    "benchmarks",
    "grafana",
)
_DOOR = Path("runtime/database/postgres.py")
_PEERS = Path("benchmarks/peers")
"""The programs of the benchmark's peers, which are excluded."""
_CLASSES = {"psycopg", "Connection", "AsyncConnection"}


def test_one_module_connects() -> None:
    """No other module connects, because its session would have unchecked settings."""
    found = []
    for program in _PROGRAMS:
        for path in (_ROOT / program).rglob("*.py"):
            relative = path.relative_to(_ROOT)
            if relative == _DOOR or _PEERS in relative.parents:
                continue
            text = path.read_text(encoding="utf-8")
            if "psycopg" in text and _connects(ast.parse(text)):
                found.append(str(relative))
    assert found == []
    assert _connects(ast.parse((_ROOT / _DOOR).read_text(encoding="utf-8")))


def _connects(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called, of = node.func.attr, node.func.value
            name = of.attr if isinstance(of, ast.Attribute) else getattr(of, "id", "")
            if called == "connect" and name in _CLASSES:
                return True
    return False
