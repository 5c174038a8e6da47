"""`vitalveil demo`: parses, runs, shows; exit code 1 when a promise was broken."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live

from simulators.demo.accounts import Report
from simulators.demo.run import Demo, Options
from simulators.demo.view import Snapshot, render, render_report
from simulators.people import DEFAULT_SOURCE
from simulators.stack.errors import StackError
from simulators.stack.system import system


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 when every promise was kept, 1 when one was not, 2 for a mistake."""
    arguments = _parser().parse_args(argv)
    if arguments.duration < 3 or arguments.agents < 1 or arguments.speed <= 0:
        print(
            "vitalveil demo: --duration is at least 3 seconds, --agents at least 1 and --speed"
            " above 0",
            file=sys.stderr,
        )
        return 2
    source: Path | None = arguments.source or DEFAULT_SOURCE
    if arguments.source is not None and not arguments.source.exists():
        print(f"vitalveil demo: there is no folder {arguments.source}", file=sys.stderr)
        return 2
    if source is not None and not source.exists():
        source = None
    options = Options(
        duration_s=arguments.duration,
        agents=arguments.agents,
        source=source,
        speed=arguments.speed,
        seed=arguments.seed,
    )
    # Ended from outside, it tidies up as it does for Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        report = _run(options, dsn=arguments.dsn, as_json=arguments.json)
    except StackError as exc:
        print(f"vitalveil demo: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vitalveil demo: stopped; nothing is left behind", file=sys.stderr)
        return 130
    return 0 if report.is_good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vitalveil demo",
        description="Run the whole system on this machine: sensors, agents, broker, ingest, trust"
        " and database, with a consent withdrawn on the way. Everything listens on loopback, on"
        " free ports, and nothing is left behind.",
    )
    parser.add_argument("--duration", type=float, default=60, metavar="S", help="seconds to play")
    parser.add_argument("--agents", type=int, default=4, metavar="N", help="gateways (default 4)")
    parser.add_argument(
        "--source", type=Path, metavar="PATH", help="folder of recordings, in original formats"
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=300,
        metavar="X",
        help="times faster than life (default 300)",
    )
    parser.add_argument("--seed", type=int, default=1, help="chooses people and moments")
    parser.add_argument(
        "--dsn", help="an administrator's connection string, to use a server of yours"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    return parser


def _run(options: Options, *, dsn: str | None, as_json: bool) -> Report:
    # With --json, standard output belongs to the object alone.
    console = Console(stderr=as_json)
    with system(dsn=dsn) as whole:
        if console.is_terminal:
            with Live(console=console, refresh_per_second=4, transient=True) as live:
                demo = Demo(
                    whole,
                    options,
                    show=lambda snapshot: live.update(render(snapshot)),
                    say=lambda step: console.print(f"… {step}"),
                )
                report = asyncio.run(demo.run())
        else:
            demo = Demo(whole, options, show=_Lines(console), say=console.print)
            report = asyncio.run(demo.run())
    if as_json:
        print(report.to_json())
    else:
        console.print(render_report(report))
    return report


class _Lines:
    """Says how it goes in a line every five seconds, where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_s = 0.0

    def __call__(self, now: Snapshot) -> None:
        if now.elapsed_s < self._next_s:
            return
        self._next_s = now.elapsed_s + 5
        stored = sum(now.stored_by_quantity.values())
        late = "" if now.p99_ms is None else f", p99 {now.p99_ms:.0f} ms"
        self._console.print(f"{now.elapsed_s:4.0f} s: played {now.played}, stored {stored}{late}")
