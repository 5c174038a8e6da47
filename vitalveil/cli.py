"""The command `vitalveil`, with a sub-command for each program."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from runtime.version import VERSION

_COMMANDS: Final = {
    "agent": ("edge_agent.cli", "edge", "run a gateway: read sensors and publish envelopes"),
    "ingest": ("ingest.cli", "ingest", "receive envelopes and store permitted observations"),
    "trust": ("trust.cli.main", "trust", "manage people, consents, leases and certificates"),
    "simulate": ("simulators.cli", "sim", "simulate people, sensors and many gateways"),
    "demo": ("simulators.demo.cli", "sim", "run the whole system on this machine"),
    "bench": ("benchmarks.cli", "bench", "measure VitalVeil, and compare it with alternatives"),
    "doctor": ("vitalveil.doctor.cli", "ingest,trust", "find faults of an installation"),
    "schema": ("vitalveil.schema", "", "print the JSON Schema of the JSON envelope"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sub-command that *argv* names; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--version"], ["version"]):
        print(f"vitalveil {VERSION}")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in _COMMANDS:
        print(f"vitalveil: the command '{command}' does not exist\n\n{_usage()}", file=sys.stderr)
        return 2
    module_name, extra, _ = _COMMANDS[command]
    try:
        # Imported by name, so that a gateway with only [edge] needs no other packages.
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        if not extra or (exc.name or "").split(".")[0] == module_name.split(".")[0]:
            raise
        print(
            f"vitalveil {command}: the package '{exc.name}' is not installed. "
            f"Install it with: pip install 'vitalveil[{extra}]'",
            file=sys.stderr,
        )
        return 2
    return _run(command, module.main, rest)


def _run(command: str, run: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    try:
        exit_code = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has closed the pipe; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"vitalveil {command}: stopped", file=sys.stderr)
        return 130
    return exit_code


def _usage() -> str:
    width = max(map(len, _COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, _, text) in _COMMANDS.items()]
    return "usage: vitalveil COMMAND [--help] ...\n\ncommands:\n" + "\n".join(lines)
