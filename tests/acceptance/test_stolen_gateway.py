"""
Promises P7 and P8 at the gateway: a withdrawal removes the person's data, and a thief can read
none.

Two people are measured by one gateway. Ingest's receipts are held back, so that the spool keeps
all envelopes. One person withdraws while she is measured. Then the gateway is stolen: every file
of it is searched, and every 32 bytes on it are tried as a key to the sealed data.
"""

import contextlib
import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge_agent.spool import database_file
from edge_agent.spool.index_tags import Tags
from simulators.stack.network import Direction, Relay
from simulators.stack.system import LocalAgent, System, system
from simulators.stack.trust_shell import INVENTED_BIRTH, INVENTED_YES
from wire.envelope import Envelope, decode_envelope
from wire.errors import WireError
from wire.sealing import SESSION_KEY_BYTES, Opener, associated_data

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

HER_NAME: Final = "Ottilie Quastenflosser"
HIS_NAME: Final = "Tankred Wolkenschieber"
HERS: Final = "CA:FE:D0:0D:19:37"
HIS: Final = "CA:FE:D0:0D:28:46"
HER_VALUES: Final = (13.73, 4.19, 21.37, 7.91, 17.53, 5.87)
HIS_VALUES: Final = (11.39, 19.13, 3.67, 15.31, 8.29, 23.71)
_POLICY: Final = """\
purpose: stolen@1
art6: 6.1.a
art9: 9.2.a
recipients: [test]
quantities:
  glucose_interstitial: {round: 0.01, min_interval: 10ms, time_rounding: 1ms, aggregate: first}
retention: {raw: 1d, aggregates: 1d}
pad_bytes: 128
"""
_MUST_STOP_WITHIN_S: Final = 5.0
_PIECE: Final = 16
_PEM: Final = re.compile(rb"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----\n?", re.DOTALL)


class Sensors:
    """Two sensors that measure 25 times a second while the agent listens to them."""

    def __init__(self, gateway: LocalAgent) -> None:
        self._path = gateway.sensors
        self._ends = threading.Event()
        self._listening: set[str] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.stopped_at: dict[str, float] = {}
        """When the agent stopped listening to each sensor that it had listened to."""
        self.sent: dict[str, list[float]] = {HERS: [], HIS: []}
        """When each value of a sensor was measured."""

    def __enter__(self) -> "Sensors":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(10)

    def _run(self) -> None:
        # The gateway may be stolen while the sensors measure.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as agent:
            agent.connect(str(self._path))
            hearing = threading.Thread(target=self._hear, args=(agent,), daemon=True)
            hearing.start()
            try:
                while not self._ends.wait(0.04):
                    for sensor, values in ((HERS, HER_VALUES), (HIS, HIS_VALUES)):
                        if sensor in self._listening:
                            self._measure(agent, sensor, values)
            finally:
                with contextlib.suppress(OSError):
                    agent.shutdown(socket.SHUT_RDWR)
                hearing.join(10)

    def _hear(self, agent: socket.socket) -> None:
        with contextlib.suppress(OSError), agent.makefile("rb") as messages:
            for line in messages:
                told = set(json.loads(line)["listen"])
                self.stopped_at |= dict.fromkeys(self._listening - told, time.monotonic())
                self._listening = told

    def _measure(self, agent: socket.socket, sensor: str, values: tuple[float, ...]) -> None:
        sent = self.sent[sensor]
        record = {
            "sensor": sensor,
            "record": len(sent) + 1,
            "quantity": "glucose_interstitial",
            "value": values[len(sent) % len(values)],
            "at_ms": time.time_ns() // 1_000_000,
        }
        agent.sendall(json.dumps(record).encode() + b"\n")
        sent.append(time.monotonic())


class Commit:
    """Watches for the COMMIT of a withdrawal from another session."""

    _QUERY: Final = "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NOT NULL"

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.seen_at: float | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Commit":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)

    def _run(self) -> None:
        deadline = time.monotonic() + 60
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while self.seen_at is None and time.monotonic() < deadline:
                if connection.execute(self._QUERY).fetchone() != (0,):
                    self.seen_at = time.monotonic()
                time.sleep(0.005)


class Home:
    """
    The gateway and the two people who are measured by it.

    Args:
        whole: The system that the gateway belongs to.
    """

    def __init__(self, whole: System) -> None:
        self.whole = whole
        policy = whole.folder / "stolen.yaml"
        policy.write_text(_POLICY)
        with whole.trust_shell() as shell:
            shell.run("policy", "load", "--first", str(policy))
            self.gateway = whole.enrol(shell, agent={"log": {"level": "debug"}})
            people = [(HER_NAME, HERS), (HIS_NAME, HIS)]
            self.subjects = [
                shell.run("subject", "add", "--name", n, *INVENTED_BIRTH)["subject"]
                for n, _ in people
            ]
            handles = [
                shell.run(
                    "decision", "record", "--subject", subject, "--purpose", "stolen@1",
                    "--agent", self.gateway.agent, "--quantities", "glucose_interstitial",
                    "--binding", sensor, *INVENTED_YES,
                )["handle"]
                for subject, (_, sensor) in zip(self.subjects, people, strict=True)
            ]  # fmt: skip
        key = load_pem_private_key((self.gateway.folder / "lease.key").read_bytes(), None)
        assert isinstance(key, X25519PrivateKey)
        self.her_tag, self.his_tag = (Tags(key).of_handle(bytes.fromhex(h)) for h in handles)

    def withdraw(self) -> None:
        """Withdraw her consent; trust's daemon informs the gateway."""
        with self.whole.trust_shell(publishes=False) as shell:
            shell.run("decision", "withdraw", "--subject", self.subjects[0], "--purpose", "stolen")

    def spooled(self, tag: bytes) -> set[bytes]:
        """Return every envelope of *tag* in the spool's file, valid or not."""
        with contextlib.closing(database_file.open_read_only(self.gateway.state)) as db:
            query = "SELECT payload FROM {} WHERE owner = ?"
            tables = [query.format(table) for table in ("envelopes", "recent")]
            return {row[0] for query in tables for row in db.execute(query, [tag])}

    def files(self) -> dict[Path, bytes]:
        """Return every file on the gateway."""
        found = {}
        for path in sorted(self.gateway.folder.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    found[path.relative_to(self.gateway.folder)] = path.read_bytes()
        return found


def _pieces(payloads: set[bytes]) -> set[bytes]:
    """
    Return pieces of the sealed data in *payloads*, without the parts that all envelopes
    share.
    """
    sealed = [decode_envelope(payload).sealed for payload in payloads]
    return {
        body[at : at + _PIECE]
        for body in sealed
        for at in range(0, len(body) - _PIECE + 1, _PIECE)
    }


def _holds(data: bytes, pieces: set[bytes]) -> bool:
    return any(data[at : at + _PIECE] in pieces for at in range(len(data) - _PIECE + 1))


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """A home in which both people are measured, and no further envelope is settled."""
    programs = os.environ.get("VITALVEIL_TEST_PROGRAMS")
    with (
        system(programs=Path(programs) if programs else None) as whole,
        Relay(whole.broker.port) as for_ingest,
    ):
        whole.broker_ports["ingest"] = for_ingest.port
        whole.prepare()
        home = Home(whole)
        whole.start_trust()
        whole.start_ingest()
        whole.start_agent(home.gateway)
        whole.wait_for_agents()
        for_ingest.hold(Direction.DOWN)
        yield home


def _wait(done: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Wait until *done* holds; fail if that takes too long."""
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.05)


def test_who_withdraws_is_gone(home: Home) -> None:
    """
    Five seconds after the COMMIT she is not measured any more, and none of her data remain on the
    gateway.
    """
    with Sensors(home.gateway) as sensors:
        _wait(
            lambda: len(home.spooled(home.her_tag)) > 20 and len(home.spooled(home.his_tag)) > 20
        )
        hers, his = home.spooled(home.her_tag), home.spooled(home.his_tag)
        before = b"".join(home.files().values())
        assert _holds(before, _pieces(hers))
        assert home.her_tag in before

        with Commit(home.whole.databases.admin("telemetry")) as commit:
            home.withdraw()
        assert commit.seen_at is not None
        _wait(lambda: HERS in sensors.stopped_at, within_s=_MUST_STOP_WITHIN_S + 10)
        last = sensors.sent[HERS][-1]
        _wait(lambda: not home.spooled(home.her_tag), within_s=10)
        more = len(sensors.sent[HIS]) + 25
        _wait(lambda: len(sensors.sent[HIS]) >= more)
        his_now = home.spooled(home.his_tag)

    sys.stdout.write(f"last sample {last - commit.seen_at:.2f} s after COMMIT\n")
    assert last - commit.seen_at <= _MUST_STOP_WITHIN_S
    assert sensors.sent[HERS][-1] == last
    assert HIS not in sensors.stopped_at
    after = home.files()
    pieces = _pieces(hers)
    assert [str(path) for path, data in after.items() if _holds(data, pieces)] == []
    assert [str(path) for path, data in after.items() if home.her_tag in data] == []
    # His data are complete, and the search finds them.
    assert his_now >= his
    assert _holds(b"".join(after.values()), _pieces(his))


def test_who_steals_it_reads_nothing(home: Home) -> None:
    """A stolen gateway holds no value, name or address in clear, and no key to its own spool."""
    assert home.gateway.child is not None
    with Sensors(home.gateway):
        _wait(lambda: len(home.spooled(home.his_tag)) > 20)
        home.gateway.child.kill()
    files = home.files()
    assert {"spool.db", "lease.sealed", "lease.key", "agent.key", "agent.toml", "agent.log"} <= {
        path.name for path in files
    }
    for path, data in files.items():
        assert [p for p in _identity() + _values() if p in data] == [], path

    envelopes = [decode_envelope(payload) for payload in home.spooled(home.his_tag)]
    assert len(envelopes) > 20
    newest = max(envelopes, key=lambda envelope: envelope.sequence)
    agent, everything = home.gateway.agent, list(map(_unarmoured, files.values()))
    assert not any(_opens_directly(data, agent, newest) for data in everything)
    keys = [
        data for path, data in zip(files, everything, strict=True) if "spool.db" not in path.name
    ]
    assert not any(_unwraps(data, agent, newest) for data in keys)

    # The search itself works: with ingest's private key on the gateway, it would open the spool.
    ingest_key = _unarmoured((home.whole.keys / "ingest.key").read_bytes())
    assert _unwraps(b"before" + ingest_key + b"after", agent, newest)


def _identity() -> list[bytes]:
    addresses = [bytes.fromhex(address.replace(":", "")) for address in (HERS, HIS)]
    texts = [HER_NAME, HIS_NAME, *HER_NAME.split(), *HIS_NAME.split()]
    texts += [a.replace(":", by) for a in (HERS, HIS) for by in (":", "", "-", "_")]
    found = {form.encode() for text in texts for form in (text, text.lower(), text.upper())}
    return sorted(found | set(addresses) | {address[::-1] for address in addresses})


def _values() -> list[bytes]:
    """
    Return the byte forms of the values; as packed steps, only runs of four are unique
    enough.
    """
    every = HER_VALUES + HIS_VALUES
    found = {struct.pack(form, value) for value in every for form in ("<d", ">d")}
    for values in (HER_VALUES, HIS_VALUES):
        steps = [round(value * 100) for value in values] * 2
        for start in range(len(values)):
            found.add(struct.pack("<4h", *steps[start : start + 4]))
    return sorted(found | {b"glucose"})


def _unarmoured(data: bytes) -> bytes:
    """Return *data* with the raw bytes of every PEM private key in it appended."""
    for armour in _PEM.findall(data):
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            key = load_pem_private_key(armour, None)
            assert hasattr(key, "private_bytes_raw")
            data += key.private_bytes_raw()
    return data


def _windows(data: bytes) -> Iterator[bytes]:
    for at in range(len(data) - SESSION_KEY_BYTES + 1):
        yield data[at : at + SESSION_KEY_BYTES]


def _opens_directly(data: bytes, agent: str, envelope: Envelope) -> bool:
    """Tell whether any 32 bytes of *data* are the session key of *envelope*."""
    outside = associated_data(agent, envelope.spool_id, envelope.sequence, envelope.wrapped_key)
    nonce = envelope.sequence.to_bytes(12, "big")
    for window in _windows(data):
        with contextlib.suppress(InvalidTag):
            AESGCM(window).decrypt(nonce, envelope.sealed, outside)
            return True
    return False


def _unwraps(data: bytes, agent: str, envelope: Envelope) -> bool:
    """
    Tell whether any 32 bytes of *data* are a private key that unwraps the session key of
    *envelope*.
    """
    for window in _windows(data):
        with contextlib.suppress(WireError):
            Opener([X25519PrivateKey.from_private_bytes(window)]).open(agent, envelope)
            return True
    return False
