"""The servers of a benchmark: broker, database, certificates, and ingest."""

import asyncio
import contextlib
import datetime as dt
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from benchmarks.errors import BenchError
from benchmarks.world import mqtt
from benchmarks.world.database import INTERVAL_MS, Telemetry
from benchmarks.world.fleet import Member, Message
from runtime import files
from simulators.stack.broker import Mosquitto
from simulators.stack.child import Child, free_port
from simulators.stack.databases import Databases
from simulators.stack.postgres import Postgres
from simulators.stack.scrape import EMPTY, Metrics, is_ready, scrape
from simulators.stack.toml import Table, format_toml
from trust.domain import pki
from wire import state, topics
from wire.state import State

_VITALVEIL: Final = [sys.executable, "-m", "vitalveil"]
ROOT: Final = Path(__file__).parents[2]
_VALID_FOR: Final = dt.timedelta(days=1)

CEILING: Final = "ceiling"
PEERS: Final = ("paho", "gmqtt", "telegraf")
WORKERS: Final = ("ingest", "ingest-2")
_GENERATOR: Final = "generator"
_RULES: Final = (
    "".join(f"user {name}\ntopic read vv1/obs/#\n" for name in (CEILING, *PEERS))
    + "user ingest-2\ntopic read vv1/obs/#\ntopic read vv1/state/+\ntopic write vv1/receipt/+\n"
    + f"user {_GENERATOR}\ntopic write vv1/obs/#\ntopic write vv1/state/+\n"
    + "topic read vv1/receipt/+\n"
)


class Worker(msgspec.Struct):
    """A running ingest process."""

    child: Child
    port: int

    def metrics(self) -> Metrics:
        """Its metrics."""
        return scrape(self.port) or EMPTY

    def settled(self) -> float:
        """How many envelopes it has settled."""
        return self.metrics().total("vitalveil_ingest_envelopes_total")


class World:
    """
    A broker and a database on this machine, and a folder for their files; created by `world`.

    The generator may publish for every agent, because it represents thousands of gateways that
    would each have a connection.
    """

    def __init__(self, folder: Path, *, databases: Databases, broker: Mosquitto) -> None:
        self.folder = folder
        self.databases = databases
        self.broker = broker
        self.telemetry: Telemetry

    @property
    def ingest_key(self) -> X25519PublicKey:
        """The public key that agents seal to."""
        pem = (self.folder / "keys" / "ingest.pub").read_bytes()
        found = serialization.load_pem_public_key(pem)
        assert isinstance(found, X25519PublicKey)  # noqa: S101 - ingest keygen wrote it
        return found

    def client(self, name: str) -> mqtt.Client:
        """Return the address and certificate with which *name* connects to the broker."""
        return mqtt.Client(name, self.broker.port, self.folder / "pki")

    def dsn(self, role: str = "vv_ingest") -> str:
        """Return the connection string of *role* for the telemetry database, password included."""
        settings = self.databases.settings("telemetry", role)
        password = self.databases.password_file(role).read_text()
        return f"{settings['dsn']} password={password}"

    def prepare(self) -> None:
        """Make keys, certificates, databases and schema; start the broker."""
        self._issue_certificates()
        self.databases.create(self.folder)
        self._run("ingest", "keygen", "--out", str(self.folder / "keys"))
        password_file, dsn = self.databases.admin_files("telemetry")
        self._run(
            "ingest", "migrate", "--dsn", dsn, "--password-file", str(password_file),
            *self.databases.role_passwords(),
        )  # fmt: skip
        self.telemetry = Telemetry(self.databases.admin("telemetry"))
        self.broker.more_acl = _RULES
        self.broker.start()

    def _issue_certificates(self) -> None:
        folder = self.folder / "pki"
        folder.mkdir()
        now = dt.datetime.now(dt.UTC)
        ca = pki.create_ca(now=now, valid_for=_VALID_FOR)
        (folder / "ca.crt").write_bytes(ca.certificate_pem())
        (folder / "crl.pem").write_bytes(
            pki.revocation_list(ca, [], now=now, valid_for=_VALID_FOR)
        )
        for name in ("broker", *WORKERS, CEILING, *PEERS, _GENERATOR):
            role = pki.CertificateRole.SERVER if name == "broker" else pki.CertificateRole.CLIENT
            hosts = ["127.0.0.1"] if name == "broker" else []
            holder = pki.issue(ca, name, role=role, now=now, valid_for=_VALID_FOR, hosts=hosts)
            (folder / f"{name}.crt").write_bytes(holder.certificate_pem())
            files.write(folder / f"{name}.key", holder.key_pem())

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [*_VITALVEIL, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
        )
        if done.returncode != 0:
            raise BenchError(f"vitalveil {' '.join(arguments[:2])}: {done.stderr.strip()}")

    def start(self, name: str, *command: str) -> Child:
        """Start a process of the benchmark; its output goes to a log of its name."""
        return Child(
            name,
            command,
            log=self.folder / f"{name}.log",
            environ={"PYTHONPATH": str(ROOT)},
        )

    def start_ingest(
        self, worker: int = 0, *, of: int = 1, wait: bool = False, more: Table | None = None
    ) -> Worker:
        """
        Start ingest with its default settings.

        Args:
            worker: The number of the worker, from 0.

            of: How many workers share the shards.

            wait: Whether to wait until it is ready.

            more: Settings besides the default ones.
        """
        name, port = WORKERS[worker], free_port()
        files = self.client(name).files
        path = self.folder / f"{name}.toml"
        path.write_text(
            format_toml(
                {
                    "broker": {
                        "host": "127.0.0.1",
                        "port": self.broker.port,
                        "tls": {
                            "ca_file": files.ca_file,
                            "certificate_file": files.certificate_file,
                            "key_file": files.key_file,
                        },
                    },
                    "database": self.databases.settings("telemetry", "vv_ingest"),
                    "keys": {"private_key_file": self.folder / "keys" / "ingest.key"},
                    "http": {"port": port},
                    "session": {
                        "client_id": name,
                        "first_shard": 64 * worker // of,
                        "last_shard": 64 * (worker + 1) // of - 1,
                    },
                    **(more or {}),
                }
            )
        )
        child = self.start(name, *_VITALVEIL, "ingest", "run", "--config", str(path))
        if wait:
            child.wait_until(lambda: is_ready(port))
        return Worker(child, port)

    def sow(
        self,
        members: Sequence[Member],
        *,
        format: str = "sealed",
        interval_ms: int = INTERVAL_MS,
        add: bool = False,
    ) -> None:
        """
        Permit *members* to send heart rates; with *add*, keep the permissions that exist.

        The broker retains the states of their gateways, so that ingest proves its receipts to
        them.
        """
        self.telemetry.sow(members, format=format, interval_ms=interval_ms, add=add)
        told = state.encode(State(True, "bench", reads=[state.RECEIPT_2]))
        agents = dict.fromkeys(one.agent for one in members)
        if format == "sealed":
            self.publish([(topics.state(agent), told) for agent in agents])

    def fill(self, names: list[str], messages: list[Message], *, of: int = 1) -> None:
        """Leave *messages* waiting in a new session of each of *names*."""
        asyncio.run(self._fill(names, messages, of))

    async def _fill(self, names: list[str], messages: list[Message], of: int) -> None:
        for name in names:
            # Workers share the shards; any other client takes all messages.
            shards = (
                range(64 * WORKERS.index(name) // of, 64 * (WORKERS.index(name) + 1) // of)
                if name in WORKERS and of > 1
                else None
            )
            filters = [mqtt.ALL] if shards is None else [f"vv1/obs/{s:02x}/+" for s in shards]
            await mqtt.open_session(self.client(name), filters)
        link = await mqtt.connect(self.client(_GENERATOR))
        await mqtt.publish(link, messages)
        await link.close()

    def forget(self, *names: str) -> None:
        """Make the broker delete the sessions of *names*."""

        async def wipe() -> None:
            for name in names:
                await mqtt.wipe_session(self.client(name))

        asyncio.run(wipe())

    def publish(self, messages: list[Message], *, rate: float | None = None) -> float:
        """
        Publish *messages*; return the worst delay of the generator behind its schedule, in
        seconds.
        """

        async def send() -> float:
            link = await mqtt.connect(self.client(_GENERATOR))
            worst_s = await mqtt.publish(link, messages, rate=rate)
            await link.close()
            return worst_s

        return asyncio.run(send())

    def close(self) -> None:
        """Stop everything."""
        if hasattr(self, "telemetry"):
            self.telemetry.close()
        self.broker.stop()
        self.databases.close()


def wait_until_settled(workers: list[Worker], wanted: int, *, timeout_s: float = 120.0) -> None:
    """
    Return as soon as *workers* have settled *wanted* envelopes together.

    Raises:
        BenchError: A worker ended, or *timeout_s* passed.
    """
    deadline = time.monotonic() + timeout_s
    while sum(worker.settled() for worker in workers) < wanted:
        for worker in workers:
            if worker.child.exit_code is not None:
                raise BenchError(f"{worker.child.name} has ended; see {worker.child.log}")
        if time.monotonic() > deadline:
            raise BenchError(f"Not every envelope was settled within {timeout_s:.0f} s")
        time.sleep(0.2)


def wait_for_exit(child: Child, *, timeout_s: float = 120.0) -> None:
    """
    Return as soon as *child* has ended with exit code 0.

    Raises:
        BenchError: The child failed, or *timeout_s* passed.
    """
    deadline = time.monotonic() + timeout_s
    while (code := child.exit_code) is None:
        if time.monotonic() > deadline:
            child.kill()
            raise BenchError(f"{child.name} did not end within {timeout_s:.0f} s")
        time.sleep(0.02)
    if code != 0:
        last = child.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise BenchError(f"{child.name} ended with {code}: {' '.join(last)}")


@contextlib.contextmanager
def world(*, dsn: str | None = None, programs: Path | None = None) -> Iterator[World]:
    """
    Yield a prepared world; stop its servers and delete its folder at the end.

    Args:
        dsn: An administrator's connection string of a server to use, instead of a child process.

        programs: Folder of another PostgreSQL's programs.
    """
    folder = Path(tempfile.mkdtemp(prefix="vitalveil-bench-"))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    server = None if dsn is not None else Postgres(folder / "postgres", programs=programs)
    broker_folder = folder / "broker"
    broker_folder.mkdir(mode=0o700)
    whole = World(
        folder,
        databases=Databases(server, admin_dsn=dsn, suffix=secrets.token_hex(4) if dsn else ""),
        broker=Mosquitto(folder=broker_folder, pki=folder / "pki"),
    )
    try:
        whole.prepare()
        yield whole
    finally:
        whole.close()
        shutil.rmtree(folder, ignore_errors=True)
