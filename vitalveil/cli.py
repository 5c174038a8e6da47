"""`vitalveil`: one command, a sub-command for each program."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from runtime.version import VERSION

_COMMANDS: Final = {
    "agent": ("edge_agent.cli", "edge", "the gateway: sensors in, sealed envelopes out"),
    "ingest": ("ingest.cli", "ingest", "envelopes in, time series out"),
    "trust": ("trust.cli.main", "trust", "subjects, consents, leases, certificates"),
    "simulate": ("simulators.cli", "sim", "plays everybody else's part"),
    "demo": ("simulators.demo.cli", "sim", "the whole system on one machine"),
    "bench": ("benchmarks.cli", "bench", "what all this costs, against what others would do"),
    "doctor": ("vitalveil.doctor.cli", "ingest,trust", "what is wrong here, and how to mend it"),
    "schema": ("vitalveil.schema", "", "the JSON Schema of the JSON envelope"),
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
        print(f"vitalveil: there is no command '{command}'\n\n{_usage()}", file=sys.stderr)
        return 2
    module_name, extra, _ = _COMMANDS[command]
    try:
        # By name, so that a Pi with only [edge] installed never loads what the others need.
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
        # Whoever reads has seen enough; nothing more may be flushed to it at exit.
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
