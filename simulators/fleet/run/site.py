"""The site of a run: the system that a fleet loads, started for the run or already there."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psycopg

from runtime.database import postgres
from runtime.errors import SessionRefused
from runtime.logs import describe
from simulators.fleet.run.enrol import PURPOSE, Enrolment
from simulators.fleet.scenario.roster import Member
from simulators.fleet.scenario.scenario import Scenario
from simulators.stack.errors import StackError
from simulators.stack.system import System, system
from simulators.stack.trust_shell import TrustShell

_SHELLS: Final = 3
_LEASE_TTL_S: Final = 172_800.0


class Site(msgspec.Struct):
    """
    A system with a fleet enrolled.

    Args:
        host: Host of the broker.

        port: Port of the broker.

        members: The enrolled gateways.

        folder: Folder for files of a run.

        dsn: An administrator's connection string of the telemetry database; None if it cannot
            be asked.

        ingest_port: The port of ingest's /metrics; None if it cannot be read.

        trust_port: The port of trust's /metrics; None if it cannot be read.

        shells: Shells of trust for withdrawals, several at once.

        pids: Process ids to watch, by name of the program.

        enrolment_s: How long enrolment took, in seconds.

        versions: The versions of programs that no database tells.

        ended: Returns a sentence for each part that has ended.
    """

    host: str
    port: int
    members: Sequence[Member]
    folder: Path
    dsn: str | None = None
    ingest_port: int | None = None
    trust_port: int | None = None
    shells: Sequence[TrustShell] = ()
    pids: dict[str, list[int]] = {}
    enrolment_s: float | None = None
    versions: dict[str, str] = {}
    ended: Callable[[], list[str]] = list


@contextlib.contextmanager
def own_site(
    scenario: Scenario,
    *,
    say: Callable[[str], None],
    dsn: str | None = None,
    programs: Path | None = None,
) -> Iterator[Site]:
    """
    Yield a system started for the run, with the fleet of *scenario* enrolled; remove it at the
    end.

    Raises:
        StackError: A part of it cannot be had.
    """
    with system(dsn=dsn, programs=programs) as whole:
        say("making keys, certificates and databases")
        whole.prepare(lease_ttl_s=_LEASE_TTL_S)
        say(f"enrolling {scenario.agents} agents")
        began = time.monotonic()
        members = _enrol(whole, scenario, say)
        enrolment_s = time.monotonic() - began
        say(f"enrolled in {enrolment_s:.0f} s; starting trust and ingest")
        whole.start_trust()
        whole.start_ingest()
        with contextlib.ExitStack() as stack:
            shells = [stack.enter_context(whole.trust_shell()) for _ in range(_SHELLS)]
            yield Site(
                host="127.0.0.1",
                port=whole.broker.port,
                members=members,
                folder=whole.folder,
                dsn=whole.databases.admin("telemetry"),
                ingest_port=whole.ingest_port,
                trust_port=whole.trust_port,
                shells=shells,
                pids=_pids(whole) | {"trust shells": [shell.pid for shell in shells]},
                enrolment_s=enrolment_s,
                versions=whole.broker.versions(),
                ended=lambda: _ended(whole),
            )


def _enrol(whole: System, scenario: Scenario, say: Callable[[str], None]) -> Sequence[Member]:
    enrolment = Enrolment(
        whole.folder / "fleet",
        ingest_key=whole.keys / "ingest.pub",
        # The daemon of trust publishes the leases when it starts; ten thousand publications in
        # between would cost more than the enrolment.
        open_shell=lambda: whole.trust_shell(publishes=False),
    )

    def progress(done: int) -> None:
        if done % 1000 == 0:
            say(f"enrolled {done}")

    # After a power cut of a test system, enrolment can be repeated at little cost; a flush to disk
    # for each of six transactions per agent costs more. An existing server keeps its settings.
    is_ours = whole.databases.server is not None
    admin = whole.databases.admin()
    if is_ours:
        _alter(admin, b"ALTER SYSTEM SET fsync = off")
    try:
        return enrolment.run(scenario.policy(PURPOSE), scenario.agents, progress=progress)
    finally:
        if is_ours:
            _alter(admin, b"ALTER SYSTEM RESET fsync")


def _alter(admin: str, change: bytes) -> None:
    try:
        with postgres.connect(admin) as connection:
            connection.execute(change)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CHECKPOINT")
    except (psycopg.Error, SessionRefused) as exc:
        raise StackError(f"The database server refused: {describe(exc)}") from None


def _pids(whole: System) -> dict[str, list[int]]:
    server = whole.databases.server
    children = {
        "broker": whole.broker.child,
        "ingest": whole.ingest,
        "trust": whole.trust,
        "database": None if server is None else server.child,
    }
    return {name: [child.pid] for name, child in children.items() if child is not None}


def _ended(whole: System) -> list[str]:
    children = {"broker": whole.broker.child, "ingest": whole.ingest, "trust": whole.trust}
    return [
        f"{name} ended with code {child.exit_code}"
        for name, child in children.items()
        if child is not None and child.exit_code is not None
    ]
