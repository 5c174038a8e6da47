"""`vitalveil simulate fleet`: parses, runs, reports; its exit code tells whether limits held."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.live import Live

from simulators.arguments import whole
from simulators.fleet.errors import FleetError, RosterError
from simulators.fleet.output import page, view
from simulators.fleet.report.ledger import Ledger
from simulators.fleet.report.report import FleetReport
from simulators.fleet.run.campaign import Campaign, CampaignOptions, Progress
from simulators.fleet.run.own_process import raise_file_limit
from simulators.fleet.run.site import Site, own_site
from simulators.fleet.scenario import limits, plan, roster, scenario_file
from simulators.fleet.scenario.limits import Limit
from simulators.fleet.scenario.plan import Plan
from simulators.fleet.scenario.scenario import Scenario
from simulators.stack.errors import StackError
from simulators.stack.scrape import scrape

_SPARE_FILES = 300


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
    where.add_argument("--programs", type=Path, metavar="DIR", help="of another PostgreSQL")
    where.add_argument("--broker", type=_address, metavar="HOST:PORT", help="a broker of yours")
    where.add_argument("--roster", type=Path, metavar="FILE", help="its enrolled agents")
    where.add_argument("--dsn", help="its telemetry database, or a server for --with-stack")
    where.add_argument("--ingest-port", type=int, metavar="PORT", help="of ingest's /metrics here")
    how = command.add_argument_group("how")
    how.add_argument("--agents", type=int, metavar="N", help="instead of the scenario's")
    how.add_argument("--scale-time", type=float, default=1.0, metavar="X",
                     help="make every phase X times as long")  # fmt: skip
    how.add_argument("--seed", type=int, metavar="N", help="instead of the scenario's")
    how.add_argument("--workers", type=whole(1, 64), default=1, metavar="N", help="processes (1)")
    how.add_argument("--record", type=Path, metavar="FILE", help="keep the plan of this run")
    how.add_argument("--replay", type=Path, metavar="FILE", help="play a plan that was kept")
    what = command.add_argument_group("what comes of it")
    what.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
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
    """Do what *arguments* ask for; return the exit code."""
    console = Console(stderr=True)
    if arguments.list:
        for name in scenario_file.ready_names():
            print(f"{name:<18} {scenario_file.load(name).about}")
        return 0
    # Ended from outside, it tidies up as it does for Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        report = _run(arguments, console)
    except (FleetError, StackError) as exc:
        print(f"vitalveil simulate fleet: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vitalveil simulate fleet: stopped; nothing is left behind", file=sys.stderr)
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
    _check_writable([arguments.json, arguments.html, arguments.record])
    if arguments.record is not None:
        todo.write(arguments.record)
    options = CampaignOptions(
        workers=arguments.workers,
        required=[limits.parse(text) for text in scenario.limits],
        failing=failing,
    )
    with _site(arguments, scenario, console) as site, _shown(console, scenario) as show:
        campaign = Campaign(scenario, todo, site, options, say=console.print, show=show)
        report = asyncio.run(campaign.run())
    console.print(view.render_report(report))
    if arguments.json is not None:
        arguments.json.write_text(report.to_json() + "\n")
    if arguments.html is not None:
        arguments.html.write_text(page.render(report))
    return report


def _scenario(arguments: argparse.Namespace) -> Scenario:
    if arguments.scenario is None:
        raise FleetError(f"which scenario? Ready: {', '.join(scenario_file.ready_names())}")
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
        raise FleetError(f"--fail-if {text}: there is no such phase, only {', '.join(names)}")
    return found


def _check_writable(paths: Iterable[Path | None]) -> None:
    """Refuse a report that nobody could read when the run is over."""
    for path in paths:
        if path is None:
            continue
        is_new = not path.exists()
        try:
            path.open("ab").close()
            if is_new:
                path.unlink()
        except OSError as exc:
            raise FleetError(f"{path} cannot be written ({type(exc).__name__})") from None


def _replayed(arguments: argparse.Namespace, scenario: Scenario) -> Plan:
    found = plan.read(arguments.replay)
    if len(found) and (
        int(found.agent.max()) >= scenario.agents or int(found.phase.max()) >= len(scenario.phases)
    ):
        raise RosterError("the recorded plan belongs to another scenario")
    return found


def _check_files(scenario: Scenario, workers: int) -> None:
    """Refuse a fleet for which this user may not open enough files."""
    allowed = raise_file_limit()
    # The relay holds two for each connection, and all of them in one process.
    most = scenario.agents * 2 if scenario.has_network else -(-scenario.agents // workers)
    # A broker of ours inherits the limit, and holds every connection.
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
        raise FleetError("where? Give --with-stack, or --broker with --roster")
    members = roster.read(arguments.roster)
    if len(members) < scenario.agents:
        raise RosterError(f"the roster has {len(members)} agents; the scenario {scenario.agents}")
    if arguments.dsn is not None:
        # After the run it would be too late to learn that nobody can tell what became of it.
        Ledger(arguments.dsn).check()
    if arguments.ingest_port is not None and scrape(arguments.ingest_port) is None:
        raise FleetError(f"ingest says nothing of itself on port {arguments.ingest_port}")
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
    """Yield what shows how it goes: a table that is kept up to date, or a line now and then."""
    if not console.is_terminal:
        yield view.Lines(console.print)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield lambda progress: live.update(view.render(progress, scenario))
