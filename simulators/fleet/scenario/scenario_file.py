"""Scenario files: reads YAML, and returns a scenario or an error with the line and the remedy."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from runtime.causes.files import of_file
from simulators.fleet.errors import ScenarioError
from simulators.fleet.scenario.scenario import Network, Phase, Scenario

READY: Final = Path(__file__).resolve().parents[2] / "scenarios"
"""The folder of the ready scenarios."""

_MAX_CHARACTERS: Final = 262_144
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.+)`")
_MISSING: Final = re.compile(r"Object missing required field `(.+)`")
_AT: Final = re.compile(r"(?P<text>.*?)(?: - at `(?P<path>[^`]+)`)?", re.DOTALL)
_OURS: Final = re.compile(r"(?P<key>[\w.\[\]]+): (?P<problem>.+?)\. (?P<remedy>.+)", re.DOTALL)


def ready_names() -> list[str]:
    """Return the names of the ready scenarios."""
    return sorted(path.stem for path in READY.glob("*.yaml"))


def load(name: str) -> Scenario:
    """
    Return the scenario in the file *name*, or the ready one of that name.

    Raises:
        ScenarioError: The file cannot be read, or is not a valid scenario.
    """
    path = READY / f"{name}.yaml" if name in ready_names() else Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ScenarioError(
            line=None,
            problem=f"the scenario cannot be read: {_why(exc)}",
            remedy=f"Name a file, or one of {', '.join(ready_names())}",
        ) from None
    return parse(text)


def _why(exc: OSError | UnicodeDecodeError) -> str:
    return of_file(exc).text if isinstance(exc, OSError) else "it is not text in UTF-8"


def parse(text: str) -> Scenario:
    """
    Return the scenario that *text* describes.

    Raises:
        ScenarioError: The text is not a valid scenario.
    """
    if len(text) > _MAX_CHARACTERS:
        raise ScenarioError(line=None, problem="the file is too long", remedy="Shorten it")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        line = None if exc.problem_mark is None else exc.problem_mark.line + 1
        raise ScenarioError(
            line=line, problem="the text is not YAML", remedy="Correct that line"
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ScenarioError(
            line=None, problem="the text is not YAML", remedy="Start from a ready one"
        ) from None
    reader = _Reader()
    plain = reader.read(node, "$", 0)
    try:
        return msgspec.convert(plain, Scenario)
    except msgspec.ValidationError as exc:
        raise _explained(str(exc), reader.lines) from None


class _Reader:
    """Converts YAML nodes to plain values, and keeps the line of each."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self._constructor = yaml.constructor.SafeConstructor()

    def read(self, node: yaml.Node | None, path: str, depth: int) -> Any:
        if node is None or depth > 8:
            raise ScenarioError(line=None, problem="the file is empty, or nested too deep",
                                remedy="Start from a ready one")  # fmt: skip
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.read(item, f"{path}[{number}]", depth + 1)
                for number, item in enumerate(node.value)
            ]
        try:
            return self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError):
            raise ScenarioError(line=self.lines[path], problem="not a plain value",
                                remedy="Write a number or text") from None  # fmt: skip

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in found:
                raise ScenarioError(line=line, problem=f"{key} is there twice",
                                    remedy="Keep one of them")  # fmt: skip
            found[key] = self.read(value_node, f"{path}.{key}", depth + 1)
            self.lines[f"{path}.{key}"] = line
        return found


def _explained(message: str, lines: dict[str, int]) -> ScenarioError:
    """Return the error of msgspec, or of a check of ours, with its line and a remedy."""
    match = _AT.fullmatch(message)
    text, path = (match["text"], match["path"] or "$") if match else (message, "$")
    if ours := _OURS.fullmatch(text):
        line = _line_of(f"{path}.{ours['key']}", lines)
        return ScenarioError(
            line=line, problem=f"{ours['key']}: {ours['problem']}", remedy=ours["remedy"]
        )
    if unknown := _UNKNOWN.fullmatch(text):
        line = _line_of(f"{path}.{unknown[1]}", lines)
        remedy = f"The keys here are {', '.join(_keys_at(path))}"
        return ScenarioError(line=line, problem=f"there is no key {unknown[1]}", remedy=remedy)
    if missing := _MISSING.fullmatch(text):
        return ScenarioError(line=_line_of(path, lines), problem=f"{missing[1]} is missing",
                             remedy=f"Add `{missing[1]}: ...` here")  # fmt: skip
    return ScenarioError(line=_line_of(path, lines), problem=text,
                         remedy="Give it a value of that kind")  # fmt: skip


def _line_of(path: str, lines: dict[str, int]) -> int | None:
    """Return the line of *path*, or of the closest key that contains it."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)


def _keys_at(path: str) -> Sequence[str]:
    if path.endswith(".network"):
        return Network.__struct_fields__
    return Phase.__struct_fields__ if "phases[" in path else Scenario.__struct_fields__
