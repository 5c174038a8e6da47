"""The site of a run: the system that a fleet is let loose on, ours for the run or somebody's."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psycopg

from runtime.database import postgres
from runtime.errors import SessionRefused
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
        host: Of the broker.

        port: Of the broker.

        members: Who is enrolled.

        folder: For what a run writes.

        dsn: An administrator's, of the telemetry database; None when it may not be asked.

        ingest_port: Where ingest tells its metrics; None when it does not.

        trust_port: Where trust tells its own.

        shells: To have consents withdrawn, several at once.

        pids: Processes to watch, by name.

        enrolment_s: How long enrolling took.

        ended: Tells which of its parts have ended.
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
    Yield a system of our own, with the fleet of *scenario* enrolled; tear it down at the end.

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
                ended=lambda: _ended(whole),
            )


def _enrol(whole: System, scenario: Scenario, say: Callable[[str], None]) -> Sequence[Member]:
    enrolment = Enrolment(
        whole.folder / "fleet",
        ingest_key=whole.keys / "ingest.pub",
        # Trust's daemon publishes the leases when it starts; ten thousand publications in
        # between would cost more than the enrolment.
        open_shell=lambda: whole.trust_shell(publishes=False),
    )

    def progress(done: int) -> None:
        if done % 1000 == 0:
            say(f"enrolled {done}")

    # Enrolling again is cheap to do after a power cut of a test bench; a flush to disk for each
    # of six transactions per agent is not. Another's server is left as it is.
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
        raise StackError(f"the database server refused ({type(exc).__name__})") from None


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
