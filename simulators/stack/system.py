"""
The whole system on one machine: database, broker, trust, ingest and agents as child processes.

Everything lies in one private folder and listens on free ports of loopback. The demo runs it, and
the acceptance tests break parts of it.
"""

import contextlib
import functools
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from signal import Signals
from typing import Any, Final

import msgspec

from simulators.stack.broker import Mosquitto
from simulators.stack.child import Child, free_port
from simulators.stack.databases import Databases
from simulators.stack.errors import StackError
from simulators.stack.postgres import Postgres
from simulators.stack.scrape import is_ready
from simulators.stack.toml import Table, format_toml
from simulators.stack.trust_shell import TrustShell

_VITALVEIL: Final = [sys.executable, "-m", "vitalveil"]
_ROOT: Final = Path(__file__).parents[2]
_ENDING: Final = (Signals.SIGINT, Signals.SIGTERM, Signals.SIGHUP)


class CommandFailed(StackError):
    """A command of `vitalveil` ended with an error."""


class LocalAgent(msgspec.Struct):
    """An agent on this machine."""

    agent: str
    folder: Path
    http_port: int
    child: Child | None = None

    @property
    def sensors(self) -> Path:
        """The socket on which it listens for recorded sensors."""
        return self.folder / "sensors.sock"

    @property
    def configuration(self) -> Path:
        """The path of its settings."""
        return self.folder / "agent.toml"

    @property
    def state(self) -> Path:
        """The folder of its spool and its lease."""
        return self.folder / "state"

    @property
    def log(self) -> Path:
        """The path of its log."""
        return self.folder / "agent.log"


class System:
    """
    The parts of a system, each of which can be started, stopped and killed.

    Created by the context manager `system`, which also tears it down.
    """

    def __init__(self, folder: Path, *, databases: Databases, broker: Mosquitto) -> None:
        self.folder = folder
        self.databases = databases
        self.broker = broker
        self.gateways: list[LocalAgent] = []
        self.ingest: Child | None = None
        self.ingest_port = free_port()
        self.trust: Child | None = None
        self.trust_port = free_port()
        self._lease_ttl_s = 0.0
        broker.port = broker.port or free_port()
        self.broker_ports: dict[str, int] = {}
        """The port at which `ingest`, `trust` or an `agent` finds the broker, if not its own."""
        self.code: dict[str, Path] = {}
        """The folder of the code of `ingest`, `trust` or `agent`, if it is of another version."""

    @property
    def pki(self) -> Path:
        """The folder of certificates of broker and services."""
        return self.folder / "pki"

    @property
    def keys(self) -> Path:
        """The folder of ingest's key pair."""
        return self.folder / "ingest-keys"

    @property
    def ingest_log(self) -> Path:
        """The path of ingest's log."""
        return self.folder / "ingest.log"

    def prepare(self, *, ingest: Table | None = None, lease_ttl_s: float = 3600.0) -> None:
        """
        Make keys, certificates, databases and settings; start the broker.

        Args:
            ingest: Settings of ingest in addition to the default ones.

            lease_ttl_s: The length of a lease, in seconds.

        Raises:
            StackError: A step failed.
        """
        self.databases.create(self.folder)
        self._lease_ttl_s = lease_ttl_s
        self._write("trust.toml", self._trust_settings(lease_ttl_s))
        self._write("ingest.toml", {**self._ingest_settings(), **(ingest or {})})
        settings = ["--config", str(self.folder / "trust.toml")]
        self.run("trust", "init", *settings)
        self.run(
            "trust", "pki", "init", *settings, "--out", str(self.pki), "--broker-host", "127.0.0.1"
        )
        self.run("ingest", "keygen", "--out", str(self.keys))
        password_file, dsn = self.databases.admin_files("telemetry")
        self.run(
            "ingest", "migrate", "--dsn", dsn, "--password-file", str(password_file),
            *self.databases.role_passwords(),
        )  # fmt: skip
        password_file, dsn = self.databases.admin_files("vault")
        self.run(
            "trust", "migrate", *settings, "--dsn", dsn, "--password-file", str(password_file)
        )
        self.broker.start()

    def run(self, *arguments: str) -> str:
        """
        Run a `vitalveil` command to its end; return what it printed.

        Raises:
            CommandFailed: The command ended with an error.
        """
        done = subprocess.run(
            [*_VITALVEIL, *arguments], capture_output=True, text=True, check=False, cwd=_ROOT,
            # Ctrl-C at a terminal must reach only this process, which then ends the command.
            start_new_session=True,
        )  # fmt: skip
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise CommandFailed(f"vitalveil {' '.join(arguments[:2])}: {' '.join(last)}")
        return done.stdout

    def _write(self, name: str, table: Table) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(format_toml(table))

    def _broker_settings(self, folder: Path, name: str) -> Table:
        return {
            "host": "127.0.0.1",
            "port": self.broker_ports.get(name, self.broker.port),
            "tls": {
                "ca_file": folder / "ca.crt",
                "certificate_file": folder / f"{name}.crt",
                "key_file": folder / f"{name}.key",
            },
        }

    def _trust_settings(self, lease_ttl_s: float) -> Table:
        return {
            "controller": "demo",
            "vault": self.databases.settings("vault", "vv_trust"),
            "telemetry": self.databases.settings("telemetry", "vv_trust"),
            "broker": self._broker_settings(self.pki, "trust"),
            "keys": {"folder": self.folder / "trust-keys"},
            "certificates": {
                "crl_file": self.pki / "crl.pem",
                "reload_command": self.broker.reload_command,
            },
            "lease": {"ttl_s": lease_ttl_s},
            "http": {"port": self.trust_port},
            "erasure": {
                "telemetry": self._owner("telemetry"),
                "vault": self._owner("vault"),
                "ledger_file": self.folder / "erasures.jsonl",
            },
        }

    def _owner(self, which: str) -> Table:
        password_file, dsn = self.databases.admin_files(which)
        return {"dsn": dsn, "password_file": password_file}

    def _ingest_settings(self) -> Table:
        return {
            "broker": self._broker_settings(self.pki, "ingest"),
            "database": self.databases.settings("telemetry", "vv_ingest"),
            "keys": {"private_key_file": self.keys / "ingest.key"},
            "http": {"port": self.ingest_port},
        }

    def trust_shell(self, *, publishes: bool = True) -> TrustShell:
        """
        Return a shell for many commands of trust.

        Args:
            publishes: Whether the shell publishes leases itself; otherwise the daemon of trust
                publishes them later.
        """
        name = "trust.toml"
        if not publishes:
            name = "trust-silent.toml"
            settings = self._trust_settings(self._lease_ttl_s)
            self._write(name, {key: settings[key] for key in settings if key != "broker"})
        return TrustShell(self.folder / name, log=self.folder / "trust-shell.log")

    def enrol(self, shell: TrustShell, *, agent: Table | None = None) -> LocalAgent:
        """Enrol an agent and write its settings; *agent* adds to the default ones."""
        folder = self.folder / "agents" / str(len(self.gateways) + 1)
        folder.mkdir(parents=True)
        reply: dict[str, Any] = shell.run(
            "agent", "enrol", "--ingest-key", str(self.keys / "ingest.pub"), "--out", str(folder)
        )
        gateway = LocalAgent(reply["agent"], folder, free_port())
        self.gateways.append(gateway)
        self._write(
            str(gateway.configuration.relative_to(self.folder)),
            {
                "agent": gateway.agent,
                "broker": self._broker_settings(folder, "agent"),
                "keys": {
                    "trust_file": folder / "trust.pub",
                    "ingest_file": folder / "ingest.pub",
                    "lease_file": folder / "lease.key",
                },
                "state_dir": gateway.state,
                "sensors": {"recorded_socket": gateway.sensors},
                "batch": {"max_age_s": 0.2},
                "http": {"port": gateway.http_port},
                **(agent or {}),
            },
        )
        return gateway

    def _start(self, name: str, *arguments: str, log: Path) -> Child:
        folder = self.code.get(arguments[0])
        environ = {"PYTHONPATH": str(folder or _ROOT)}
        return Child(name, [*_VITALVEIL, *arguments], log=log, environ=environ, folder=folder)

    def start_trust(self) -> None:
        """Start trust's daemon and wait until it is ready."""
        self.trust = self._start(
            "trust", "trust", "run", "--config", str(self.folder / "trust.toml"),
            log=self.folder / "trust.log",
        )  # fmt: skip
        self.trust.wait_until(lambda: is_ready(self.trust_port))

    def start_ingest(self, *, wait: bool = True) -> None:
        """Start ingest and, if asked to, wait until it is ready."""
        self.ingest = self._start(
            "ingest", "ingest", "run", "--config", str(self.folder / "ingest.toml"),
            log=self.ingest_log,
        )  # fmt: skip
        if wait:
            self.ingest.wait_until(lambda: is_ready(self.ingest_port))

    def start_agent(self, gateway: LocalAgent) -> None:
        """Start one agent."""
        gateway.child = self._start(
            f"agent in {gateway.folder.name}", "agent", "run", "--config",
            str(gateway.configuration), log=gateway.log,
        )  # fmt: skip

    def wait_for_agents(self) -> None:
        """Wait until every agent that runs says that it is ready."""
        for gateway in self.gateways:
            if gateway.child is not None:
                gateway.child.wait_until(functools.partial(is_ready, gateway.http_port))

    def check(self) -> None:
        """
        Check that everything that was started still runs.

        Raises:
            HasEnded: A program ended by itself.
        """
        server = self.databases.server
        for child in (
            server.child if server is not None else None,
            self.broker.child,
            self.trust,
            self.ingest,
            *(gateway.child for gateway in self.gateways),
        ):
            if child is not None:
                child.check()

    def stop_agents(self) -> None:
        """Stop the agents; each keeps its envelopes without a receipt in its spool."""
        children = [gateway.child for gateway in self.gateways if gateway.child is not None]
        for child in children:
            child.send(Signals.SIGTERM)
        for child in children:
            child.stop()

    def close(self) -> None:
        """Stop all parts."""
        self.stop_agents()
        for child in (self.ingest, self.trust):
            if child is not None:
                child.stop()
        self.broker.stop()
        self.databases.close()


@contextlib.contextmanager
def system(*, dsn: str | None = None, programs: Path | None = None) -> Iterator[System]:
    """
    Yield a system that is not prepared yet; tear it down, and delete its folder, at the end.

    Args:
        dsn: An administrator's connection string of a server to use, instead of a child process.

        programs: Folder of another PostgreSQL's programs.
    """
    folder = Path(tempfile.mkdtemp(prefix="vitalveil-"))
    # If this process is root, PostgreSQL runs as another user and must be able to enter the
    # folder.
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    server = None if dsn is not None else Postgres(folder / "postgres", programs=programs)
    broker_folder = folder / "broker"
    broker_folder.mkdir(mode=0o700)
    whole = System(
        folder,
        databases=Databases(server, admin_dsn=dsn, suffix=secrets.token_hex(4) if dsn else ""),
        broker=Mosquitto(folder=broker_folder, pki=folder / "pki"),
    )
    try:
        yield whole
    finally:
        with _uninterrupted():
            try:
                whole.close()
            finally:
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore a second Ctrl-C during the teardown, which would leave parts running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
