"""`vitalveil demo`: parses arguments, runs the demo, shows it; exits with 1 if a promise broke."""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live

from runtime.command_line import output
from runtime.command_line.parser import Parser
from simulators.arguments import number, positive, whole
from simulators.demo.accounts import DemoReport
from simulators.demo.run import Demo, DemoOptions
from simulators.demo.view import DemoSnapshot, render, render_report
from simulators.people.people import DEFAULT_SOURCE
from simulators.stack.errors import StackError
from simulators.stack.system import system

_LEAST_MB: Final = 200
_PATIENCE_S: Final = 2.0
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 if every promise was kept, 1 if not, 2 for wrong arguments."""
    arguments = parser().parse_args(argv)
    interrupt = Interrupt()
    for ending in _ENDING:
        # A signal that the parent process ignores, as `nohup` does, stays ignored.
        if signal.getsignal(ending) is not signal.SIG_IGN:
            signal.signal(ending, interrupt)
    try:
        _check_room()
        options = DemoOptions(
            duration_s=arguments.duration,
            agents=arguments.agents,
            source=_source(arguments.source),
            speed=arguments.speed,
            seed=arguments.seed,
        )
        report = _run(options, dsn=arguments.dsn, as_json=arguments.json)
    except StackError as exc:
        print(f"vitalveil demo: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        _ignore_endings()
        print("vitalveil demo: stopped, and everything was removed", file=sys.stderr)
        return 130
    return 0 if report.is_good else 1


def _source(named: Path | None) -> Path | None:
    """Return the folder of recordings that is to be played; None if there is none."""
    if named is not None and not named.exists():
        raise StackError(f"There is no folder {named}")
    source = named or DEFAULT_SOURCE
    return source if source.exists() else None


def _check_room() -> None:
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:
        raise StackError("There is no folder for temporary files. Name one in TMPDIR.") from None
    free_mb = shutil.disk_usage(folder).free >> 20
    if free_mb < _LEAST_MB:
        raise StackError(
            f"{folder} has {free_mb} MB free, and the demo needs {_LEAST_MB}; make room, or name"
            " another folder in TMPDIR"
        )


class Interrupt:
    """
    Ends the demo at Ctrl-C. A second Ctrl-C within the same moment has no further effect.

    Args:
        clock: Seconds, of any clock that does not go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at_s = float("-inf")

    def __call__(self, *_: object) -> None:
        # Raised repeatedly, because Python swallows an exception that is raised in a fork handler
        # or a finaliser.
        now_s = self._clock()
        if now_s - self._at_s > _PATIENCE_S:
            self._at_s = now_s
            raise KeyboardInterrupt


def _ignore_endings() -> None:
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = Parser(
        prog="vitalveil demo",
        description="Run the whole system on this machine: sensors, agents, broker, ingest, trust"
        " and database, with a consent withdrawn on the way. Everything listens on loopback, on"
        " free ports, and nothing is left behind.",
    )
    top.add_argument(
        "--duration",
        type=number(3, 86_400, "3 seconds to a day of them"),
        default=60,
        metavar="S",
        help="seconds to play",
    )
    top.add_argument(
        "--agents",
        type=whole(1, 50, "1 to 50: each is a process (simulate fleet has more)"),
        default=4,
        metavar="N",
        help="gateways (default 4)",
    )
    top.add_argument(
        "--source", type=Path, metavar="PATH", help="folder of recordings, in original formats"
    )
    top.add_argument(
        "--speed",
        type=positive,
        default=300,
        metavar="X",
        help="how many times faster than life (default 300)",
    )
    top.add_argument("--seed", type=int, default=1, help="seed that chooses people and moments")
    top.add_argument(
        "--dsn", help="an administrator's connection string, to use a server of yours"
    )
    top.add_argument("--json", action="store_true", help="print one JSON object at the end")
    return top


def _run(options: DemoOptions, *, dsn: str | None, as_json: bool) -> DemoReport:
    # With --json, standard output holds the object and nothing besides.
    stream = sys.stderr if as_json else sys.stdout
    width = None if stream.isatty() else output.UNBOUNDED
    console = Console(stderr=as_json, width=width)
    with system(dsn=dsn) as whole:
        if console.is_terminal:
            with Live(console=console, refresh_per_second=4, transient=True) as live:
                demo = Demo(
                    whole,
                    options,
                    show=lambda snapshot: live.update(render(snapshot)),
                    say=lambda step: console.print(f"… {step}"),
                )
                report = demo.run()
        else:
            demo = Demo(whole, options, show=_Lines(console), say=console.print)
            report = demo.run()
    if as_json:
        print(report.to_json())
    else:
        console.print(render_report(report))
    return report


class _Lines:
    """Prints the state in one line every five seconds, where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_s = 0.0

    def __call__(self, now: DemoSnapshot) -> None:
        if now.elapsed_s < self._next_s:
            return
        self._next_s = now.elapsed_s + 5
        stored = sum(now.stored_by_quantity.values())
        late = "" if now.p99_ms is None else f", p99 {now.p99_ms:.0f} ms"
        self._console.print(f"{now.elapsed_s:4.0f} s: played {now.played}, stored {stored}{late}")
