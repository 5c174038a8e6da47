"""The command `vitalveil`, with a sub-command for each program."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from runtime.command_line import completion, output
from runtime.command_line.parser import EXIT_CODES, suggestion
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
_OWN_TEXTS: Final = {
    "completion": "print the completion script of a shell: bash, zsh or fish",
    "version": "print the version",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sub-command that *argv* names; return the exit code."""
    output.prepare()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--version"], ["version"]):
        print(f"vitalveil {VERSION}")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    command, *rest = arguments
    if command in _OWN:
        return _OWN[command](rest)
    return _start(command, rest)


def _start(command: str, rest: Sequence[str]) -> int:
    if command not in _COMMANDS:
        hint = suggestion(command, [*_COMMANDS, *_OWN_TEXTS])
        print(
            f"vitalveil: the command '{command}' does not exist.{hint}\n\n{_usage()}",
            file=sys.stderr,
        )
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


def _print_script(arguments: Sequence[str]) -> int:
    if arguments[1:] or not arguments or arguments[0] not in completion.SCRIPTS:
        shells = "|".join(completion.SCRIPTS)
        is_help = any(one in ("-h", "--help") for one in arguments)
        print(
            f"usage: vitalveil completion {shells}\n\nFor bash: put"
            ' `eval "$(vitalveil completion bash)"` into ~/.bashrc. For zsh the same, into'
            " ~/.zshrc.\nFor fish: vitalveil completion fish >"
            " ~/.config/fish/completions/vitalveil.fish",
            file=sys.stdout if is_help else sys.stderr,
        )
        return 0 if is_help else 2
    print(completion.SCRIPTS[arguments[0]], end="")
    return 0


def _complete(words: Sequence[str]) -> int:
    """Print what may stand in the place of the last of *words*, one a line, with its help."""
    given = words[1:] if words[:1] == ["--"] else words
    command, *rest = given or [""]
    if not rest:
        texts = {name: text for name, (_, _, text) in _COMMANDS.items()} | _OWN_TEXTS
        found = [(name, text) for name, text in texts.items() if name.startswith(command)]
    elif command == "completion":
        found = [(name, "") for name in completion.SCRIPTS if name.startswith(rest[-1])]
    elif command in _COMMANDS:
        try:
            module = importlib.import_module(_COMMANDS[command][0])
        except ModuleNotFoundError:
            return 0
        found = completion.complete(module.parser(), rest)
    else:
        found = []
    for name, text in found:
        print(f"{name}\t{text}")
    return 0


def _usage() -> str:
    texts = {name: text for name, (_, _, text) in _COMMANDS.items()} | _OWN_TEXTS
    width = max(map(len, texts))
    lines = [f"  {name:<{width}}  {text}" for name, text in texts.items()]
    return (
        "usage: vitalveil COMMAND [--help] ...\n\ncommands:\n" + "\n".join(lines) + "\n\n"
        'With --json a command prints one JSON object; an error is {"ok": false, "error": ...}.\n'
        f"{EXIT_CODES}"
    )


_OWN: Final[dict[str, Callable[[Sequence[str]], int]]] = {
    "completion": _print_script,
    "complete": _complete,
}
