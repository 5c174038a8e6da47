"""`vitalveil schema`: the JSON Schema of the JSON envelope, on standard output."""

import argparse
import json
import sys
from collections.abc import Sequence

from wire.json_envelope import json_schema


def main(argv: Sequence[str] | None = None) -> int:
    """Print the schema; return the exit code."""
    argparse.ArgumentParser(
        prog="vitalveil schema", description="Print the JSON Schema of the JSON envelope."
    ).parse_args(argv)
    json.dump(json_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0
