"""`vitalveil bench`: parses, runs, shows; exits with 1 if a ratio fell or a guarantee is off."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks import guard, plan, report
from benchmarks.errors import BenchError
from benchmarks.measurements import wire_size
from benchmarks.peers.run import check_libraries
from benchmarks.rounds import figure
from benchmarks.smoke import falls
from benchmarks.world.world import World, world
from runtime.command_line import output
from runtime.command_line.parser import Parser
from simulators.stack.errors import StackError
from wire.sealing import DEFAULT_BUCKET_BYTES

PARTS: Final = ("throughput", "latency", "variants", "series", "permissions")
REFERENCE: Final = Path(__file__).with_name("reference.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, or 1 if a ratio fell or the figures cannot be trusted."""
    output.prepare()
    arguments = parser().parse_args(argv)
    # SIGTERM cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    # With --json to standard output, that stream holds the object and nothing besides.
    console = Console(stderr=arguments.json is not None and str(arguments.json) == "-")
    try:
        check_libraries()
        with world(dsn=arguments.dsn, programs=arguments.programs) as whole:
            guard.check_durability(whole.telemetry)
            guard.try_guarantees(whole)
            about = report.describe(whole)
            findings = _run(whole, arguments, console)
    except (BenchError, StackError) as error:
        print(f"vitalveil bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vitalveil bench: stopped, and everything was removed", file=sys.stderr)
        return 130
    report.show(findings, console)
    _write(arguments.json, {**about, **findings.as_dict()})
    return _compare(findings, console) if arguments.smoke else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = Parser(
        prog="vitalveil bench",
        description="Measure the whole path against the limit of the database, the ceiling of the"
        " broker, and what a user would write or pick instead; all in one run, so that the ratios"
        " mean something on a noisy machine. Refuses to run with a guarantee off.",
    )
    size = whole.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="only what has a target, in two minutes"
    )
    size.add_argument(
        "--smoke",
        action="store_true",
        help="fail if a ratio is more than a quarter below the reference; takes a minute",
    )
    whole.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=Path("-"),
        metavar="FILE",
        help="write every figure as JSON, to FILE or to standard output",
    )
    whole.add_argument(
        "--only",
        action="append",
        choices=PARTS,
        help="measure only this part; may be repeated",
    )
    whole.add_argument(
        "--rounds", type=_rounds, metavar="N", help="number of rounds, in place of the usual one"
    )
    server = whole.add_mutually_exclusive_group()
    server.add_argument(
        "--programs", type=Path, metavar="DIR", help="folder of another PostgreSQL's programs"
    )
    server.add_argument(
        "--dsn", help="an administrator's connection string, to use a server of yours"
    )
    return whole


def _rounds(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _run(whole: World, arguments: argparse.Namespace, console: Console) -> report.Findings:
    sizes = plan.SMOKE if arguments.smoke else plan.QUICK if arguments.quick else plan.FULL
    if arguments.rounds is not None:
        sizes = plan.with_rounds(sizes, arguments.rounds)
    parts = set(arguments.only or PARTS)
    if arguments.quick or arguments.smoke:
        parts -= {"variants", "series"}
    findings = report.Findings()
    _measure_drains(whole, sizes, parts, findings, console)
    if "variants" in parts:
        findings.note_variants(plan.variants(whole, sizes, console.print))
    if "series" in parts:
        many = plan.many_series(whole, sizes, console.print)
        findings.put(many.ratio("ours_many", "limit_many"), "ratios", "limit_30_many_series")
    if sizes.handles and "permissions" in parts:
        *smaller, largest = plan.remembering(whole, sizes, console.print)
        for sample in smaller:
            findings.note_samples([sample], f"permissions_{sample['handles']:.0f}")
        findings.note_samples([largest], "permissions")
    padded = wire_size.bytes_per_reading(bucket_bytes=DEFAULT_BUCKET_BYTES)
    findings.put(figure([padded]), "wire_bytes_per_reading")
    unpadded = wire_size.bytes_per_reading(bucket_bytes=1)
    findings.put(figure([padded - unpadded]), "padding_bytes_per_reading")
    return findings


def _measure_drains(
    whole: World, sizes: plan.Sizes, parts: set[str], findings: report.Findings, console: Console
) -> None:
    """Measure the drain of a queue, then the latency of readings at half of that rate."""
    is_steady = bool(sizes.latency_s) and "latency" in parts
    if not is_steady and "throughput" not in parts:
        return
    if "throughput" in parts:
        table = plan.throughput(whole, sizes, console.print)
        findings.note_throughput(table)
    else:
        table = plan.ours_alone(whole, sizes, console.print)
    if is_steady:
        rate = table.figure("ours_30", "messages_per_s").median / 2
        waits = plan.waiting(whole, sizes, rate=rate, say=console.print)
        findings.note_samples(waits, "latency_ms")


def _write(path: Path | None, content: dict[str, Any]) -> None:
    if path is None:
        return
    text = json.dumps(content, indent=2)
    if str(path) == "-":
        print(text)
    else:
        path.write_text(text + "\n")


def _compare(findings: report.Findings, console: Console) -> int:
    reference: dict[str, float] = json.loads(REFERENCE.read_text())["ratios"]
    fallen = falls(findings.as_dict()["ratios"], reference)
    for text in fallen:
        console.print(f"[red]fell by more than a quarter:[/red] {text}")
    return 1 if fallen else 0
