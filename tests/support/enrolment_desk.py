"""The enrolment service of trust, run as a process."""

import datetime as dt
import json
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.enrolment import enrol
from simulators.stack.child import Child, free_port
from simulators.stack.toml import format_toml
from tests.fixtures.vault import Office

ROOT = Path(__file__).parents[2]


class Served:
    """An enrolment service that runs as a process."""

    def __init__(self, office: Office, folder: Path, *, burst: int = 100) -> None:
        self.office = office
        self.pki = folder / "pki"
        self.url = f"https://127.0.0.1:{free_port()}"
        office.app.authority.issue_services(
            self.pki, hosts=["127.0.0.1"], now=dt.datetime.now(dt.UTC)
        )
        settings = folder / "trust.toml"
        table: dict[str, Any] = json.loads(msgspec.json.encode(office.settings, enc_hook=str))
        table = {name: value for name, value in table.items() if value is not None}
        table["certificates"] = {"agent_days": 365}
        table["serve"] = {
            "certificate_file": self.pki / "enrolment.crt",
            "key_file": self.pki / "enrolment.key",
            "ca_file": self.pki / "ca.crt",
            "ingest_key_file": office.ingest_key,
            "port": int(self.url.rpartition(":")[2]),
            "burst": burst,
            "per_minute": 0.5,
        }
        settings.write_text(format_toml(table))
        self.log = folder / "desk.log"
        self.child = Child(
            "desk",
            [sys.executable, "-m", "vitalveil", "trust", "serve", "--config", str(settings)],
            log=self.log,
            environ={"PYTHONPATH": str(ROOT)},
        )
        self.child.wait_until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(self.url.rpartition(":")[2]))) == 0

    def token(self, *more: str) -> str:
        """Return a new token."""
        reply: dict[str, str] = self.office.run("agent", "enrol", *more)
        return reply["token"]

    def enrol(self, token: str, out: Path) -> str:
        """Enrol a gateway whose files are in *out*."""
        return enrol.enrol(token=token, url=self.url, ca_file=self.pki / "ca.crt", out=out)
