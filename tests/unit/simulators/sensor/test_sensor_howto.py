"""The documentation page about virtual sensors."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from simulators.sensor.arguments import add_parser, options_of
from simulators.sensor.device.faults import FaultKind

PAGE = (Path(__file__).parents[4] / "docs" / "howto" / "virtual-sensors.md").read_text()
EXAMPLES = re.findall(r"^vitalveil simulate (sensor .*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_understood(example: str) -> None:
    """Each example of the page is a valid command."""
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())

    assert options_of(parser.parse_args(shlex.split(example))).seed in {1, 7}


def test_each_fault_is_told() -> None:
    """The table of the page has exactly the kinds of fault."""
    assert re.findall(r"^\| `([a-z-]+)(?:=N)?` \|", PAGE, re.MULTILINE) == list(FaultKind)
    assert len(EXAMPLES) == 7
