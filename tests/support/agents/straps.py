"""Many chest straps at one gateway, which note when the agent listens to them."""

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import psycopg

from simulators.people.people import address_of
from simulators.stack.system import LocalAgent, System
from simulators.stack.trust_shell import INVENTED_BIRTH, INVENTED_YES, TrustShell
from tests.fixtures.system import PURPOSE
from trust.reidentification.reidentification import make_key

_EVERY_S: Final = 0.02
_COMMITS: Final = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(p.xmin)),
       (SELECT extract(epoch FROM max(pg_xact_commit_timestamp(o.xmin)))
        FROM vv.observations o WHERE o.series_id = p.series_id)
FROM vv.permissions p WHERE p.handle = decode(%s, 'hex')
"""


class Straps:
    """
    Sensors of one gateway that measure while the agent listens to them.

    Args:
        path: The socket on which the agent accepts them.

        addresses: Bluetooth addresses of the sensors.
    """

    def __init__(self, path: Path, addresses: Sequence[str]) -> None:
        self._path = path
        self._addresses = addresses
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._records = dict.fromkeys(addresses, 0)
        self.last_sample_at: dict[str, float] = {}
        """Time of each sensor's last sample, s since 1970."""
        self.heard: frozenset[str] = frozenset()
        """The sensors to which the agent listens now."""

    def __enter__(self) -> "Straps":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(10)

    def _run(self) -> None:
        with socket.socket(socket.AF_UNIX) as agent:
            agent.connect(str(self._path))
            received = b""
            next_at = time.monotonic()
            while not self._ends.is_set():
                wait_s = max(0.0, next_at - time.monotonic())
                if select.select([agent], [], [], wait_s)[0]:
                    received += agent.recv(65_536)
                    *lines, received = received.split(b"\n")
                    for line in lines:
                        self.heard = frozenset(json.loads(line)["listen"])
                if time.monotonic() >= next_at:
                    next_at = time.monotonic() + _EVERY_S
                    self._measure(agent)

    def _measure(self, agent: socket.socket) -> None:
        for address in self._addresses:
            if address not in self.heard:
                continue
            self._records[address] += 1
            now = time.time()
            record = {
                "sensor": address,
                "record": self._records[address],
                "quantity": "heart_rate",
                "value": 60.0 + self._records[address] % 60,
                "at_ms": int(now * 1000),
            }
            agent.sendall(json.dumps(record).encode() + b"\n")
            self.last_sample_at[address] = now


def wait_for(condition: Callable[[], bool], what: str, *, timeout_s: float = 60.0) -> None:
    """Poll until *condition*, and fail when it takes too long."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.005)


def accept(
    shell: TrustShell, subject: str, gateway: LocalAgent, address: str, purpose: str = PURPOSE
) -> str:
    """Record a decision; return the handle."""
    reply = shell.run(
        "decision", "record", "--subject", subject, "--purpose", purpose,
        "--agent", gateway.agent, "--binding", address, *INVENTED_YES,
    )  # fmt: skip
    return str(reply["handle"])


def load_policy(shell: TrustShell, policy: Path) -> None:
    """Load a policy with the approvals of two new officers, as it needs when people exist."""
    for name in ("first", "second"):
        key = policy.with_name(f"{policy.stem}-{name}.key")
        make_key(key)
        officer = shell.run(
            "officer", "add", "--role", "dpo", "--public-key", str(key.with_suffix(".pub"))
        )["officer"]
        shell.run("policy", "approve", str(policy), "--officer", officer, "--key", str(key))
    shell.run("policy", "load", str(policy))


class Ward:
    """
    People with a strap each at one gateway, who consent and withdraw in turn.

    Args:
        system: The running system.

        people: Number of people.
    """

    def __init__(self, system: System, shell: TrustShell, *, people: int) -> None:
        self._system = system
        self._shell = shell
        self.gateway = system.enrol(shell)
        self._people = {
            address_of(f"ward/{n}"): str(
                shell.run("subject", "add", "--name", "Test", *INVENTED_BIRTH)["subject"]
            )
            for n in range(people)
        }
        self.straps = Straps(self.gateway.sensors, list(self._people))
        self.agent_s: list[float] = []
        """Time from each COMMIT to the last sample taken, s."""
        self.ingest_s: list[float] = []
        """Time from each COMMIT to the last row committed, s; negative, as no row follows."""

    def round(self) -> None:
        """Let all people consent, and then withdraw one after the other."""
        handles = {
            address: accept(self._shell, subject, self.gateway, address)
            for address, subject in self._people.items()
        }
        wait_for(lambda: self.straps.heard == set(handles), "all are listened to")
        wait_for(lambda: all(self._commits(h)[1] for h in handles.values()), "all are stored")
        for address, handle in handles.items():
            self._shell.run(
                "decision", "withdraw", "--subject", self._people[address], "--purpose", PURPOSE
            )
            wait_for(lambda: address not in self.straps.heard, "it is listened to no more")  # noqa: B023 - awaited here
            withdrawn_at, stored_at = self._commits(handle)
            self.agent_s.append(self.straps.last_sample_at[address] - withdrawn_at)
            self.ingest_s.append(stored_at - withdrawn_at)
        for address, handle in handles.items():
            withdrawn_at, stored_at = self._commits(handle)
            assert stored_at <= withdrawn_at, f"a row after the COMMIT: {address}"

    def _commits(self, handle: str) -> tuple[float, float]:
        """Return the times of the permission's last change and of its last row; 0 for none."""
        admin = self._system.databases.admin("telemetry")
        with psycopg.connect(admin, autocommit=True) as connection:
            row = connection.execute(_COMMITS.encode(), [handle]).fetchone()
        return (0.0, 0.0) if row is None else (float(row[0]), float(row[1] or 0))
