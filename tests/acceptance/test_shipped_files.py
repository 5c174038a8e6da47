"""
The files of deploy/ as they are shipped, from nothing to a gateway whose certificate was renewed.

The commands are those of the units, of compose.yaml and of the page for a Raspberry Pi. Only
paths, host names and ports are changed, as by an operator; and the life of a certificate.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import yaml
from cryptography import x509

from runtime import files
from simulators.stack.child import Child, free_port, is_listening
from simulators.stack.postgres import Postgres
from tests.fixtures.database import programs

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
PAGE: Final = (ROOT / "docs/howto/raspberry-pi.md").read_text()
SERVICES: Final[dict[str, dict[str, Any]]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())[
    "services"
]


class Unit:
    """A unit of systemd: its command, its environment and its folders."""

    def __init__(self, name: str) -> None:
        self.name = name
        text = (DEPLOY / "systemd" / f"{name}.service").read_text()
        self._lines = [line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=", line)]

    def of(self, key: str) -> list[str]:
        """Return the words of all lines with *key*."""
        return [word for k, value in self._lines if k == key for word in shlex.split(value)]

    @property
    def command(self) -> list[str]:
        """The words of ExecStart."""
        return self.of("ExecStart")

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the unit sets."""
        return dict(word.split("=", 1) for word in self.of("Environment"))


class Machine:
    """One machine with all servers and one gateway, on which an operator types commands."""

    def __init__(self, folder: Path, server: Postgres) -> None:
        self.folder = folder
        self.server = server
        self.running: dict[str, Child] = {}
        self.ports = {number: free_port() for number in ("8883", "8443", "9464", "9465", "9466")}
        self.etc, self.secrets, self.state = folder / "etc", folder / "run", folder / "state"
        for made in (self.etc, self.state):
            made.mkdir(mode=0o700)
        program = folder / "bin" / "vitalveil"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\numask 077\nexec {sys.executable} -m vitalveil "$@"\n')
        program.chmod(0o755)
        self._places = {
            "/opt/vitalveil/bin/vitalveil": str(program),
            "/etc/vitalveil": str(self.etc),
            "/run/vitalveil": str(self.secrets),
            "/var/lib": str(self.state),
            "/mosquitto/config/acl": str(DEPLOY / "mosquitto/acl"),
            "/mosquitto/data": str(folder),
            "host=database": f"host=127.0.0.1 port={server.port}",
            '"mosquitto"': '"127.0.0.1"',
            "broker.example.org": "127.0.0.1",
            "trust.example.org": "127.0.0.1",
            "trust.example:": "127.0.0.1:",
        }

    def here(self, text: str) -> str:
        """Return *text* with the paths, hosts and ports of this machine."""
        for shipped, own in self._places.items():
            text = text.replace(shipped, own)
        for number, port in self.ports.items():
            text = re.sub(rf"\b{number}\b", str(port), text)
        return text

    def type(self, *words: str, given: str = "") -> str:
        """Type a command; return what it prints."""
        program, *arguments = [self.here(word) for word in words]
        if program == "vitalveil":
            program = self._places["/opt/vitalveil/bin/vitalveil"]
        done = subprocess.run(
            [program, *arguments],
            input=given, capture_output=True, text=True, check=False, cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            },
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, unit: Unit, **more: str) -> Child:
        """Start *unit* as systemd does; *more* are variables of a drop-in."""
        for name in unit.of("StateDirectory"):
            (self.state / name).mkdir(mode=0o700, exist_ok=True)
        command = [self.here(word) for word in unit.command]
        child = Child(
            unit.name,
            command,
            log=self.folder / f"{unit.name}.log",
            environ={**unit.environment, **more, "PYTHONPATH": str(ROOT)},
        )
        self.running[unit.name] = child
        return child

    def log(self, unit: str) -> str:
        """Return what *unit* has logged."""
        return (self.folder / f"{unit}.log").read_text()

    def begin_broker(self) -> None:
        """Start mosquitto with the configuration that is shipped."""
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None
        text = self.here((DEPLOY / "mosquitto/mosquitto.conf").read_text())
        path = self.folder / "mosquitto.conf"
        path.write_text(text + ("user root\n" if os.geteuid() == 0 else ""))
        child = Child("mosquitto", [program, "-c", str(path)], log=self.folder / "mosquitto.log")
        self.running["mosquitto"] = child
        child.wait_until(lambda: is_listening(int(self.ports["8883"])), timeout_s=15)

    def stop(self) -> None:
        """Stop everything, the gateway first."""
        for child in reversed(self.running.values()):
            child.stop()


def typed(begins: str) -> list[str]:
    """Return the words of the command of the page that begins so, as the agent's user."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    (found,) = {line for line in lines if begins in line}
    return shlex.split(found.removeprefix("sudo -u vitalveil-agent "))


@pytest.fixture
def machine(tmp_path: Path, run_folder: Path) -> Iterator[Machine]:
    """A machine with a database server of its own: passwords of roles are of a whole server."""
    server = Postgres(folder=run_folder / "shipped", programs=programs())
    server.start()
    made = Machine(tmp_path, server)
    yield made
    made.stop()
    server.stop()


def install(machine: Machine) -> None:
    """Do what deploy/README.md says: secrets, settings, databases, migrations, services."""
    machine.type(
        str(DEPLOY / "make-secrets"), str(machine.secrets), "127.0.0.1", "localhost",
    )  # fmt: skip
    files.write(machine.secrets / "postgres.password", machine.server.password.encode())
    for name in ("ingest.toml", "trust.toml"):
        (machine.etc / name).write_text(machine.here((DEPLOY / name).read_text()))
    script = (DEPLOY / "postgres/10-databases.sh").read_text()
    (statements,) = re.findall(r"<<'SQL'\n(.*?)^SQL$", script, re.MULTILINE | re.DOTALL)
    with psycopg.connect(machine.server.dsn(), autocommit=True) as admin:
        for statement in filter(None, map(str.strip, statements.split(";"))):
            admin.execute(statement.encode())
    for service, program in (("migrate-telemetry", "ingest"), ("migrate-vault", "trust")):
        machine.type("vitalveil", program, *SERVICES[service]["command"])
    machine.begin_broker()


def certificate(machine: Machine) -> x509.Certificate:
    """Return the certificate that the gateway has now."""
    return x509.load_pem_x509_certificate((machine.etc / "agent" / "agent.crt").read_bytes())


def metrics(machine: Machine, port: str) -> str:
    """Return the metrics at *port* of the settings that are shipped."""
    url = f"http://127.0.0.1:{machine.ports[port]}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        read: bytes = answer.read()
    return read.decode()


def enrol(machine: Machine) -> str:
    """Do what the page for a Raspberry Pi says, up to the settings; return the gateway's id."""
    said = machine.type(*typed("trust agent enrol"))
    (token,) = re.findall(r"^token: (\S+)$", said, re.MULTILINE)
    shutil.copy(machine.secrets / "pki" / "ca.crt", machine.etc / "ca.crt")
    (machine.etc / "agent").mkdir(mode=0o700)
    made = machine.type(*typed("agent enrol --token"), given=f"{token}\n")
    agent = str(json.loads(made)["agent"])
    text = machine.here((DEPLOY / "agent.toml").read_text())
    assert tomllib.loads(text)["enrolment"]["url"].startswith("https://")
    (machine.etc / "agent.toml").write_text(text.replace("0000000000000000", agent))
    return agent


def gateway_settings(machine: Machine) -> Mapping[str, str]:
    """Return what a machine without a radio sets otherwise, and a life of a certificate."""
    return {
        "VITALVEIL_AGENT_SENSORS_SOURCE": "recorded",
        "VITALVEIL_AGENT_SENSORS_RECORDED_SOCKET": str(machine.folder / "s.sock"),
        "VITALVEIL_AGENT_PUBLISH_START_WITHIN_S": "0",
        # Due at once, of a life of one day.
        "VITALVEIL_AGENT_ENROLMENT_RENEW_AT": "0.000001",
    }


def test_shipped_files_lead_to_a_gateway_whose_certificate_is_renewed(machine: Machine) -> None:
    """Units, settings and pages, as a stranger types them: the gateway does not drop out."""
    install(machine)
    a_day = {"VITALVEIL_TRUST_CERTIFICATES_AGENT_DAYS": "1"}
    for name in ("vitalveil-ingest", "vitalveil-trust", "vitalveil-enrolment"):
        child = machine.start(Unit(name), **a_day if name != "vitalveil-ingest" else {})
        child.wait_until(lambda n=name: '"started"' in machine.log(n), timeout_s=60)  # type: ignore[misc]
    machine.running["vitalveil-enrolment"].wait_until(
        lambda: is_listening(int(machine.ports["8443"])), timeout_s=30
    )

    agent = enrol(machine)
    first = certificate(machine)
    with contextlib.ExitStack() as stack:
        for name, value in gateway_settings(machine).items():
            stack.enter_context(pytest.MonkeyPatch.context()).setenv(name, value)
        assert machine.type(*typed("agent check-config")).startswith(f"sound: agent {agent}")
    unit = Unit("vitalveil-agent")
    child = machine.start(unit, **gateway_settings(machine))
    child.wait_until(lambda: "certificate_renewed" in machine.log(unit.name), timeout_s=60)
    child.wait_until(lambda: "broker_connected" in machine.log(unit.name), timeout_s=60)

    second = certificate(machine)
    assert second.serial_number != first.serial_number
    assert second.not_valid_after_utc >= first.not_valid_after_utc
    assert second.subject == first.subject
    assert 'what="renewed",outcome="admitted"} 1.0' in metrics(machine, "9466").replace(
        'outcome="admitted",what="renewed"', 'what="renewed",outcome="admitted"'
    )
    for name in ("vitalveil-ingest", "vitalveil-trust", "vitalveil-enrolment", unit.name):
        assert '"level": "error"' not in machine.log(name), machine.log(name)

    # The doctor of the servers finds no fault in what is shipped, but for the controller's name.
    found = subprocess.run(
        [
            sys.executable, "-m", "vitalveil", "doctor", "--least-gib", "0.01",
            "--trust", str(machine.etc / "trust.toml"),
            "--ingest", str(machine.etc / "ingest.toml"),
        ],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    faults = [line for line in found.stdout.splitlines() if line.startswith("BAD")]
    # This server of the tests logs more than the one of compose.yaml, and roles of people may
    # connect to its other databases.
    assert [line for line in faults if not re.match(r"BAD +(database|vault|people)-", line)] == []


@pytest.mark.parametrize("name", ["vitalveil-ingest", "vitalveil-trust", "vitalveil-enrolment"])
def test_each_program_that_has_to_run_has_a_unit_and_a_container(name: str) -> None:
    """What a unit starts, compose.yaml starts too, with the same settings."""
    command = Unit(name).command
    assert command[0] == "/opt/vitalveil/bin/vitalveil"
    service = SERVICES[name.removeprefix("vitalveil-")]
    assert service["restart"] == "unless-stopped"
    if "command" in service:
        assert ["/opt/vitalveil/bin/vitalveil", "trust", *service["command"]] == command
