"""`vitalveil simulate`: plays sensors, people and fleets where there are none."""

import argparse
import asyncio
import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from recordings.arguments import add_answers, answers_of
from runtime.command_line import output
from runtime.command_line.parser import EXIT_CODES, Parser
from simulators.arguments import positive, whole
from simulators.fleet import cli as fleet_cli
from simulators.people.people import DEFAULT_SOURCE, Choice, Origin, Person, choose
from simulators.replay import listing
from simulators.replay.replay import ReplayReport, replay, source_of
from simulators.sensor import arguments as sensor_arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that *argv* names; return its exit code, 2 for wrong arguments."""
    output.prepare()
    arguments = parser().parse_args(argv)
    if arguments.command == "fleet":
        exit_code: int = arguments.run(arguments)
        return exit_code
    source: Path | None = arguments.source
    if source is not None and not source.exists():
        print(
            f"vitalveil simulate: {source} does not exist. Name a file or folder of recordings.",
            file=sys.stderr,
        )
        return 2
    if source is None and DEFAULT_SOURCE.is_dir():
        source = DEFAULT_SOURCE
    if arguments.command == "sensor":
        return _sensor(source, arguments)
    return _list(source, arguments) if arguments.list else _play(source, arguments)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = Parser(
        prog="vitalveil simulate",
        description="Play the sensors, people and gateways around VitalVeil.",
        epilog=EXIT_CODES,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    sensor_arguments.add_parser(commands)
    command = commands.add_parser(
        "replay",
        help="play recorded or invented people to agents",
        description="Play recordings in their original formats to agents; invented people take"
        " their place where there are no recordings.",
    )
    command.add_argument(
        "--source",
        type=Path,
        metavar="PATH",
        help="file or folder of recordings (default: ../shared/data beside the project)",
    )
    what = command.add_mutually_exclusive_group()
    what.add_argument(
        "--agents",
        type=_sockets,
        metavar="SOCKET[,SOCKET...]",
        help="Unix sockets on which agents listen for recorded sensors",
    )
    what.add_argument("--list", action="store_true", help="list the recordings and stop")
    what.add_argument(
        "--people", action="store_true", help="list the people and their sensors and stop"
    )
    what.add_argument("--print", action="store_true", help="print samples as JSON lines")
    command.add_argument(
        "--speed",
        type=positive,
        default=60.0,
        metavar="X",
        help="how many times faster than life (default: 60)",
    )
    command.add_argument(
        "--max-rate",
        type=positive,
        default=4.0,
        metavar="HZ",
        help="most measurements a second of one sensor, whatever the speed (default: 4)",
    )
    command.add_argument(
        "--duration",
        type=positive,
        metavar="S",
        help="seconds to play (default: until stopped; with --print: 60)",
    )
    command.add_argument(
        "--subjects",
        type=whole(1, 100_000),
        default=3,
        metavar="N",
        help="how many people (default: 3)",
    )
    command.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="seed of everything random; the same seed repeats a run",
    )
    command.add_argument("--json", action="store_true", help="write the result as one JSON object")
    add_answers(command)
    fleet_cli.add_to(commands)
    return top


def _sockets(text: str) -> list[Path]:
    paths = [Path(part) for part in text.split(",") if part]
    if not paths or len(set(paths)) < len(paths):
        raise argparse.ArgumentTypeError("name each socket once")
    return paths


def _list(source: Path | None, arguments: argparse.Namespace) -> int:
    if source is None:
        print("There are no recordings. Name their file or folder with --source.", file=sys.stderr)
        return 1
    found = listing.listing_of(source, answers_of(arguments))
    has_any = any(entry.readings for entry in found.files)
    if not has_any:
        print(f"No file at {source} could be read.", file=sys.stderr)
    _say(found if arguments.json else None, listing.lines_of(found))
    return 0 if has_any else 1


def _play(source: Path | None, arguments: argparse.Namespace) -> int:
    if arguments.agents is None and not arguments.people and not arguments.print:
        print("vitalveil simulate: --agents, --list, --people or --print?", file=sys.stderr)
        return 2
    choice = choose(source, arguments.subjects, seed=arguments.seed, options=answers_of(arguments))
    if not _may_play(source, choice):
        return 1
    people = choice.people
    if arguments.people:
        _say({"rows": _described(people)} if arguments.json else None, _people_lines(people))
        return 0
    if arguments.agents is None:
        duration_s = arguments.duration or 60.0
        for line in listing.printed(people, until_ms=duration_s * arguments.speed * 1000):
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.flush()
        return 0
    result = asyncio.run(
        replay(
            people,
            arguments.agents,
            speed=arguments.speed,
            max_hz=arguments.max_rate,
            duration_s=arguments.duration,
        )
    )
    _say(result if arguments.json else None, _report_lines(result))
    return 0


def _may_play(source: Path | None, choice: Choice) -> bool:
    """
    Say who is played and which files are not read; tell whether anybody may be played.

    Where every file of a source was refused, invented people would hide that.
    """
    may_play = not choice.passed_over or source_of(choice.people) != Origin.PERSONA
    if may_play:
        print(_origin_of(choice.people), file=sys.stderr)
    if source is not None:
        passed_over = listing.passed_over_of(source, choice.passed_over)
        for line in listing.passed_over_lines(passed_over):
            print(line, file=sys.stderr)
    if not may_play:
        print(
            f"No file at {source} could be read, so no one is played. Name an empty folder for"
            " invented people.",
            file=sys.stderr,
        )
    return may_play


def _sensor(source: Path | None, options: argparse.Namespace) -> int:
    # Bumble takes long to import, and only this command needs it.
    from simulators.sensor import cli

    choice = choose(source, options.subjects, seed=options.seed)
    if not _may_play(source, choice):
        return 1
    return cli.run(options, choice.people)


def _origin_of(people: Sequence[Person]) -> str:
    return {
        "recorded": "source: recorded - every sensor plays a recording of a real person",
        "persona": "source: persona - no recording is at hand, so all people are invented",
        "recorded+persona": "source: recorded+persona - more people than recordings, so some"
        " are invented",
    }[source_of(people)]


def _say(value: object | None, lines: Iterable[str]) -> None:
    """Print *value* as JSON; if it is None, print *lines*."""
    if value is not None:
        sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
        sys.stdout.flush()
        return
    for line in lines:
        print(line)


def _described(people: Sequence[Person]) -> list[dict[str, object]]:
    return [
        {
            "name": person.name,
            "origin": person.origin,
            "description": person.description,
            "attribution": person.attribution,
            "sensors": [
                {
                    "address": sensor.address,
                    "kind": sensor.kind,
                    "quantities": sensor.quantities,
                    "step_ms": sensor.step_ms,
                }
                for sensor in person.sensors
            ],
        }
        for person in people
    ]


def _people_lines(people: Sequence[Person]) -> Iterable[str]:
    for person in people:
        yield f"{person.name}  {person.origin}  {person.description}"
        for sensor in person.sensors:
            yield (
                f"    {sensor.address}  {sensor.kind}: {', '.join(sensor.quantities)},"
                f" every {sensor.step_ms / 1000:g} s"
            )


def _report_lines(result: ReplayReport) -> Iterable[str]:
    yield f"{result.handed_over} records handed over in {result.seconds:.1f} s"
    yield from (f"    {count} {quantity}" for quantity, count in result.values.items())
    yield from itertools.chain(
        (f"    {count} without a value: {fault}" for fault, count in result.faults.items()),
        [f"{result.repeated} repeated, {result.overrun} overrun, {result.pending} not fetched"],
    )
