"""The command as operators run it: the process, its exit codes, its log and its endpoints."""

import contextlib
import json
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from runtime import files
from simulators.stack.child import Child, free_port
from simulators.stack.postgres import Postgres
from tests.fixtures.ingest import World, heart_rate, until
from tests.support.seed_permissions import Seed, sow

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]
ROOT = Path(__file__).parents[3]
SEED = Seed()


class Process:
    """A running `vitalveil ingest run`."""

    def __init__(self, world: World, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "ingest.log"
        settings = world.settings
        tls = settings.broker.tls
        config = folder / "ingest.toml"
        config.write_text(
            f"""
            [broker]
            port = {settings.broker.port}
            [broker.tls]
            ca_file = "{tls.ca_file}"
            certificate_file = "{tls.certificate_file}"
            key_file = "{tls.key_file}"
            [database]
            dsn = "{settings.database.dsn}"
            password_file = "{settings.database.password_file}"
            [keys]
            private_key_file = "{settings.keys.private_key_file}"
            [http]
            port = {self.port}
            """
        )
        self.command = [
            sys.executable,
            "-m",
            "vitalveil",
            "ingest",
            "run",
            "--config",
            str(config),
        ]
        self.environ = {"PYTHONPATH": str(ROOT)}
        self.start()

    def start(self) -> None:
        """Start ingest."""
        self.child = Child("ingest", self.command, log=self.log, environ=self.environ)

    def get(self, path: str) -> str:
        """Return the body of the answer, or an empty text."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
                body: bytes = answer.read()
                return body.decode()
        except (urllib.error.URLError, ConnectionError):
            return ""


@contextmanager
def process(world: World, folder: Path) -> Iterator[Process]:
    """Run ingest as a process until the context closes."""
    one = Process(world, folder)
    try:
        yield one
    finally:
        one.child.kill()


async def test_process_serves_and_stops_cleanly(world: World, tmp_path: Path) -> None:
    """
    Ingest is ready once everything is connected, exits with 0 on SIGTERM, and logs only
    JSON.
    """
    sow(world.database, SEED)
    with process(world, tmp_path) as ingest:
        await until(lambda: "ready" in ingest.get("/readyz"))
        async with world.agent(SEED.agent) as agent:
            await agent.publish(agent.seal(heart_rate(70)))
            await until(lambda: agent.settled(1))
        assert 'envelopes_total{outcome="stored"} 1.0' in ingest.get("/metrics")
        assert ingest.child.stop(number=signal.SIGTERM) == 0
        lines = [json.loads(line) for line in ingest.log.read_text().splitlines()]
        assert [line["action"] for line in lines][-1] == "stopped"


async def test_kill_at_any_instant_loses_and_doubles_nothing(world: World, tmp_path: Path) -> None:
    """After repeated kills in the middle of its work each observation is stored once."""
    sow(world.database, SEED)
    with process(world, tmp_path) as ingest:
        await until(lambda: "ready" in ingest.get("/readyz"))
        async with world.agent(SEED.agent) as agent:
            for sequence in range(1, 601):
                await agent.publish(agent.seal(heart_rate(60 + sequence % 100)))
                if sequence % 100 == 50 + secrets.randbelow(40):
                    ingest.child.kill()
                    ingest.start()
            await until(lambda: agent.all_settled(600), timeout_s=60)
        assert world.database.fetch("SELECT count(*) FROM vv.observations") == [(600,)]


async def test_unusable_database_exits_with_1(world: World, tmp_path: Path) -> None:
    """Ingest exits with 1 if the schema is missing, because only an operator can repair that."""
    world.database.execute("DROP SCHEMA vv CASCADE")
    with process(world, tmp_path) as ingest:
        await until(lambda: ingest.child.exit_code is not None)
        assert ingest.child.exit_code == 1
        last = json.loads(ingest.log.read_text().splitlines()[-1])
        assert last["action"] == "failed"
        assert "(SQLSTATE 3F000)" in last["why"] or "(SQLSTATE 42P01)" in last["why"]
        assert "Run `vitalveil ingest migrate`" in last["why"]


def test_migrate_brings_an_empty_database_to_the_schema(
    postgres: Postgres, tmp_path: Path
) -> None:
    """
    `migrate` applies the schema once, and sets the role's password without showing it in a command
    line.
    """
    name = f"fresh_{secrets.token_hex(4)}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    files.write(tmp_path / "admin", postgres.password.encode())
    # All tests of a run share the server's roles, and so their passwords.
    files.write(tmp_path / "role", postgres.password.encode())
    where = f"host=127.0.0.1 port={postgres.port} dbname={name}"
    command = [
        sys.executable,
        "-m",
        "vitalveil",
        "ingest",
        "migrate",
        "--dsn",
        f"{where} user=postgres",
        "--password-file",
        str(tmp_path / "admin"),
        "--role-password",
        f"vv_ingest={tmp_path / 'role'}",
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    for expected in ("applied 0001_roles_and_schema.sql", "nothing to apply"):
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    with psycopg.connect(f"{where} user=vv_ingest password={postgres.password}") as connection:
        assert connection.execute("SELECT vv.hold_permissions()").fetchone() == (0,)


@contextmanager
def saying_a_byte_now_and_then(clients: list[socket.socket]) -> Iterator[None]:
    """Let each of *clients* begin a request that never ends, and send a byte from time to time."""
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(1):
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send(b"G")

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def test_slow_clients_cost_neither_probes_nor_the_broker(
    world: World, tmp_path: Path
) -> None:
    """
    With 1,100 clients that never end their requests, probes are answered at once and the broker is
    found again.
    """
    sow(world.database, SEED)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    with process(world, tmp_path) as ingest, contextlib.ExitStack() as slow:
        await until(lambda: "ready" in ingest.get("/readyz"))
        resource.prlimit(ingest.child.pid, resource.RLIMIT_NOFILE, (256, 256))
        address, clients = ("127.0.0.1", ingest.port), []
        for _ in range(1100):
            clients.append(slow.enter_context(socket.create_connection(address, timeout=30)))
        slow.enter_context(saying_a_byte_now_and_then(clients))
        began = time.monotonic()
        assert "alive" in ingest.get("/livez")
        world.broker.stop()
        await until(lambda: not ingest.get("/readyz"))
        world.broker.start()
        await until(lambda: "ready" in ingest.get("/readyz"))
        assert time.monotonic() - began < 30
        async with world.agent(SEED.agent) as agent:
            await agent.publish(agent.seal(heart_rate(70)))
            await until(lambda: agent.settled(1))
