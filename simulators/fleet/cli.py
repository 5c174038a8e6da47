"""
`vitalveil simulate fleet`: parses, runs, reports; the exit code tells whether all
limits held.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.live import Live

from runtime.command_line import output
from runtime.logs import describe
from simulators.arguments import whole
from simulators.fleet.errors import FleetError, RosterError
from simulators.fleet.output import page, view
from simulators.fleet.report.ledger import Ledger
from simulators.fleet.report.report import FleetReport
from simulators.fleet.run.campaign import Campaign, CampaignOptions, Progress
from simulators.fleet.run.context import command_of
from simulators.fleet.run.meter import raise_file_limit
from simulators.fleet.run.site import Site, own_site
from simulators.fleet.scenario import limits, plan, roster, scenario_file
from simulators.fleet.scenario.limits import Limit
from simulators.fleet.scenario.plan import Plan
from simulators.fleet.scenario.scenario import Scenario
from simulators.stack.errors import StackError
from simulators.stack.scrape import scrape

_SPARE_FILES = 300


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command to those of `vitalveil simulate`."""
    command = commands.add_parser(
        "fleet",
        help="load a system with thousands of gateways",
        description="Play a fleet of gateways on a schedule that does not wait for the system,"
        " and check every envelope against the database. Exit code 0: every limit was kept;"
        " 1: one was not; 2: it could not run.",
    )
    command.add_argument("scenario", nargs="?", help="a YAML file, or the name of a ready one")
    command.add_argument("--list", action="store_true", help="list the ready scenarios and stop")
    command.add_argument("--check", action="store_true", help="read the scenario and stop")
    where = command.add_argument_group("where")
    where.add_argument(
        "--with-stack", action="store_true",
        help="start broker, database, trust and ingest for the run, and enrol the fleet",
    )  # fmt: skip
    where.add_argument(
        "--programs", type=Path, metavar="DIR", help="programs of another PostgreSQL"
    )
    where.add_argument("--broker", type=_address, metavar="HOST:PORT", help="an existing broker")
    where.add_argument("--roster", type=Path, metavar="FILE", help="the agents enrolled there")
    where.add_argument("--dsn", help="the telemetry database there, or a server for --with-stack")
    where.add_argument(
        "--ingest-port",
        type=int,
        metavar="PORT",
        help="the port of ingest's /metrics on this machine",
    )
    how = command.add_argument_group("how")
    how.add_argument("--agents", type=int, metavar="N", help="replaces the scenario's value")
    how.add_argument("--scale-time", type=float, default=1.0, metavar="X",
                     help="make every phase X times as long")  # fmt: skip
    how.add_argument("--seed", type=int, metavar="N", help="replaces the scenario's value")
    how.add_argument("--workers", type=whole(1, 64), default=1, metavar="N", help="processes (1)")
    how.add_argument("--record", type=Path, metavar="FILE", help="write the plan of this run")
    how.add_argument("--replay", type=Path, metavar="FILE", help="play a plan that was written")
    what = command.add_argument_group("what comes of it")
    what.add_argument("--json", type=Path, nargs="?", const=Path("-"), metavar="FILE",
                      help="write the report as JSON, to FILE or to standard output")  # fmt: skip
    what.add_argument("--html", type=Path, metavar="FILE", help="write the report as one page")
    what.add_argument("--fail-if", action="append", default=[], metavar="LIMIT",
                      help="as in 'p99>1s'; may be repeated")  # fmt: skip
    command.set_defaults(run=run)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 1 <= int(port) <= 65_535:
        raise argparse.ArgumentTypeError("HOST:PORT")
    return host.strip("[]"), int(port)


def run(arguments: argparse.Namespace) -> int:
    """Run the command that *arguments* name; return the exit code: 0 kept, 1 broken, 2 not run."""
    # A file has no width: lines are not wrapped there.
    console = Console(stderr=True, width=None if sys.stderr.isatty() else output.UNBOUNDED)
    if arguments.list:
        for name in scenario_file.ready_names():
            print(f"{name:<18} {scenario_file.load(name).about}")
        return 0
    # SIGTERM cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        report = _run(arguments, console)
    except (FleetError, StackError) as exc:
        print(f"vitalveil simulate fleet: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vitalveil simulate fleet: stopped, and everything was removed", file=sys.stderr)
        return 130
    return 0 if report is None or report.is_good else 1


def _run(arguments: argparse.Namespace, console: Console) -> FleetReport | None:
    scenario = _scenario(arguments)
    failing = [_failing(text, scenario) for text in arguments.fail_if]
    todo = plan.draw(scenario) if arguments.replay is None else _replayed(arguments, scenario)
    if arguments.check:
        print(f"{scenario.name}: {scenario.agents} agents, {len(todo)} acts, plan {todo.digest}")
        return None
    _check_files(scenario, arguments.workers)
    _check_writable([_file(arguments.json), arguments.html, arguments.record])
    if arguments.record is not None:
        todo.write(arguments.record)
    options = CampaignOptions(
        workers=arguments.workers,
        command=command_of(arguments),
        required=[limits.parse(text) for text in scenario.limits],
        failing=failing,
    )
    with _site(arguments, scenario, console) as site, _shown(console, scenario) as show:
        campaign = Campaign(scenario, todo, site, options, say=console.print, show=show)
        report = asyncio.run(campaign.run())
    console.print(view.render_report(report))
    if (file := _file(arguments.json)) is not None:
        file.write_text(report.to_json() + "\n", encoding="utf-8")
    elif arguments.json is not None:
        print(report.to_json())
    if arguments.html is not None:
        arguments.html.write_text(page.render(report))
    return report


def _file(given: Path | None) -> Path | None:
    return None if given == Path("-") else given


def _scenario(arguments: argparse.Namespace) -> Scenario:
    if arguments.scenario is None:
        raise FleetError(
            "No scenario was named. Name a file, or one of"
            f" {', '.join(scenario_file.ready_names())}."
        )
    found = scenario_file.load(arguments.scenario)
    changes: dict[str, object] = {}
    if arguments.agents is not None:
        changes["agents"] = arguments.agents
    if arguments.seed is not None:
        changes["seed"] = arguments.seed
    try:
        if arguments.scale_time != 1.0:
            changes["phases"] = [
                msgspec.structs.replace(phase, duration_s=phase.duration_s * arguments.scale_time)
                for phase in found.phases
            ]
        return msgspec.structs.replace(found, **changes)
    except ValueError as exc:
        raise FleetError(str(exc)) from None


def _failing(text: str, scenario: Scenario) -> Limit:
    found = limits.parse(text)
    names = [phase.name for phase in scenario.phases]
    if found.phase is not None and found.phase not in names:
        raise FleetError(
            f"--fail-if {text}: the scenario has no such phase. Its phases are {', '.join(names)}"
        )
    return found


def _check_writable(paths: Iterable[Path | None]) -> None:
    """Refuse a report path that cannot be written, before the run begins."""
    for path in paths:
        if path is None:
            continue
        is_new = not path.exists()
        try:
            path.open("ab").close()
            if is_new:
                path.unlink()
        except OSError as exc:
            raise FleetError(f"The file {path} cannot be written: {describe(exc)}") from None


def _replayed(arguments: argparse.Namespace, scenario: Scenario) -> Plan:
    found = plan.read(arguments.replay)
    if len(found) and (
        int(found.agent.max()) >= scenario.agents or int(found.phase.max()) >= len(scenario.phases)
    ):
        raise RosterError(
            "The recorded plan belongs to another scenario. Name the scenario that it was"
            " made from."
        )
    return found


def _check_files(scenario: Scenario, workers: int) -> None:
    """Refuse a fleet that needs more open files than this user is allowed."""
    allowed = raise_file_limit()
    # The relay holds two files for each connection, all of them in one process.
    most = scenario.agents * 2 if scenario.has_network else -(-scenario.agents // workers)
    # A broker that we start inherits the limit, and holds every connection.
    if max(most, scenario.agents) + _SPARE_FILES > allowed:
        raise FleetError(
            f"{scenario.agents} gateways need {max(most, scenario.agents) + _SPARE_FILES} open"
            f" files in one process, and {allowed} are allowed. Raise `ulimit -Hn`, or take fewer"
        )


@contextlib.contextmanager
def _site(arguments: argparse.Namespace, scenario: Scenario, console: Console) -> Iterator[Site]:
    if arguments.with_stack:
        with own_site(
            scenario, say=console.print, dsn=arguments.dsn, programs=arguments.programs
        ) as site:
            yield site
        return
    if arguments.broker is None or arguments.roster is None:
        raise FleetError(
            "There is no system to load. Give --with-stack, or --broker with --roster."
        )
    members = roster.read(arguments.roster)
    if len(members) < scenario.agents:
        raise RosterError(f"the roster has {len(members)} agents; the scenario {scenario.agents}")
    if arguments.dsn is not None:
        # Asked before the run, because afterwards the result of the run could not be determined.
        Ledger(arguments.dsn).check()
    if arguments.ingest_port is not None and scrape(arguments.ingest_port) is None:
        raise FleetError(
            f"Ingest does not answer on port {arguments.ingest_port}. Name the port of its"
            " /metrics."
        )
    host, port = arguments.broker
    yield Site(
        host=host,
        port=port,
        members=members,
        folder=arguments.roster.parent,
        dsn=arguments.dsn,
        ingest_port=arguments.ingest_port,
    )


@contextlib.contextmanager
def _shown(console: Console, scenario: Scenario) -> Iterator[Callable[[Progress], None]]:
    """Yield a function that shows progress: a table that is updated, or a line now and then."""
    if not console.is_terminal:
        yield view.Lines(console.print)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield lambda progress: live.update(view.render(progress, scenario))
