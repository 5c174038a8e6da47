"""Writes the configuration files of the programs: tables of plain values, as TOML."""

from collections.abc import Mapping
from pathlib import Path

Value = bool | int | float | str | Path | list[str]
Table = Mapping[str, "Value | Table"]


def format_toml(table: Table, prefix: str = "") -> str:
    """Return *table* as TOML: plain values first, then each section."""
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    sections = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = [f"{key} = {_format(value)}" for key, value in plain.items()]
    if prefix and lines:
        lines.insert(0, f"[{prefix}]")
    text = "\n".join(lines) + ("\n\n" if lines else "")
    for key, section in sections.items():
        text += format_toml(section, f"{prefix}.{key}" if prefix else key)
    return text


def _format(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_format(item) for item in value) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
