"""`vitalveil schema`: the JSON Schema of the JSON envelope, on standard output."""

import argparse
import json
import sys
from collections.abc import Sequence

from runtime.command_line import output
from runtime.command_line.parser import Parser
from wire.json_envelope import json_schema


def main(argv: Sequence[str] | None = None) -> int:
    """Print the schema; return the exit code."""
    output.prepare()
    parser().parse_args(argv)
    json.dump(json_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = Parser(
        prog="vitalveil schema", description="Print the JSON Schema of the JSON envelope."
    )
    whole.add_argument("--json", action="store_true", help="accepted, as the schema is JSON")
    return whole
