"""
Promises P1, P7 and P10: the data of a conspicuous person are nowhere except in the telemetry
database.

Her name, the address of her sensor and its device name must not be in any file, message, log or
metric. Her values must not be in any file of broker or spool, nor in quarantine, logs or metrics.
The telemetry database does hold her values, and the scan must find them there: a scan that never
finds anything would prove nothing.
"""

import datetime as dt
import json
import re
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from runtime.settings import TlsSettings
from runtime.tls import client_context
from simulators.stack.network import Direction, Relay
from simulators.stack.system import LocalAgent, System, system
from simulators.stack.trust_shell import INVENTED_BIRTH, INVENTED_YES
from trust.domain import pki
from wire import topics
from wire.envelope import Block, Body, encode_envelope, pack_block
from wire.quantities import Code
from wire.sealing import Sealer

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

NAME: Final = "Zenobie Quetschenbluth"
ADDRESS: Final = "CA:FE:BA:BE:13:37"
DEVICE: Final = "Zenobie's strap 7731"
VALUES: Final = (13.73, 4.19, 21.37, 7.91, 17.53, 5.87, 11.39, 19.13, 3.67, 15.31, 8.29, 23.71)
"""Values that differ clearly, so that no byte pattern matches one of them by chance."""

_POLICY: Final = """\
purpose: canary@1
art6: 6.1.a
art9: 9.2.a
recipients: [test]
quantities:
  glucose_interstitial: {round: 0.01, min_interval: 10ms, time_rounding: 1ms, aggregate: first}
retention: {raw: 1d, aggregates: 1d}
pad_bytes: 128
"""


def _identity_patterns() -> list[bytes]:
    address = bytes.fromhex(ADDRESS.replace(":", ""))
    texts = [NAME, NAME.split()[0], NAME.split()[1], DEVICE, "strap 7731", ADDRESS]
    texts += [ADDRESS.replace(":", ""), ADDRESS.replace(":", "-"), ADDRESS.replace(":", "_")]
    found = [form.encode() for text in texts for form in (text, text.lower(), text.upper())]
    return sorted({*found, address, address[::-1]})


def _value_patterns() -> list[bytes]:
    found = {struct.pack(form, v) for v in VALUES for form in ("<f", ">f", "<d", ">d")}
    steps = [round(v * 100) for v in VALUES] * 3
    for length in range(4, len(VALUES) + 1):
        for start in range(len(VALUES)):
            found.add(_packed(steps[start : start + length]).values)
            found.add(struct.pack(f"<{length}h", *steps[start : start + length]))
    return sorted(found)


def _packed(steps: list[int]) -> Block:
    return pack_block(Code.GLUCOSE_INTERSTITIAL, list(range(1, len(steps) + 1)), steps)


def _finds(data: bytes, patterns: list[bytes]) -> list[bytes]:
    return [pattern for pattern in patterns if pattern in data]


def _written_out(data: bytes) -> list[bytes]:
    """
    Return the text forms of her values; not those that could be the seconds of a time of
    day.
    """
    return [
        str(v).encode()
        for v in VALUES
        if re.search(rb"(?<![\d:])" + re.escape(str(v).encode()) + rb"(?!\d)", data)
    ]


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file below *folder*, except the programs that were copied there."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "programs" not in path.relative_to(folder).parts:
            yield path, path.read_bytes()


class CanarySensor:
    """A sensor that reports its device name with every value."""

    def __init__(self, gateway: LocalAgent) -> None:
        self._path = gateway.sensors
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = 0

    def __enter__(self) -> "CanarySensor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(10)

    def _run(self) -> None:
        with socket.socket(socket.AF_UNIX) as agent:
            agent.connect(str(self._path))
            with agent.makefile("rb") as messages:
                listen: dict[str, Any] = json.loads(messages.readline())
                while ADDRESS not in listen["listen"]:
                    listen = json.loads(messages.readline())
            while not self._ends.wait(0.02):
                record = {
                    "sensor": ADDRESS,
                    "name": DEVICE,
                    "subject": NAME,
                    "record": self.sent + 1,
                    "quantity": "glucose_interstitial",
                    "value": VALUES[self.sent % len(VALUES)],
                    "at_ms": time.time_ns() // 1_000_000,
                }
                agent.sendall(json.dumps(record).encode() + b"\n")
                self.sent += 1


class Spy:
    """Reads every message that crosses the broker, with a right that no other client has."""

    def __init__(self, tls: TlsSettings, port: int) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="spy", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.tls_set_context(client_context(tls, section="broker.tls"))
        self._client.on_message = self._keep
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("#", qos=1)
        self._client.loop_start()

    def _keep(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload)))

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def _certificate(whole: System, name: str) -> TlsSettings:
    """Return files of a client that trust never enrolled, signed by trust's CA."""
    keys = whole.folder / "trust-keys"
    ca_key = load_pem_private_key((keys / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, Ed25519PrivateKey)
    ca = pki.Holder(ca_key, x509.load_pem_x509_certificate((keys / "ca.crt").read_bytes()))
    holder = pki.issue(
        ca,
        name,
        role=pki.CertificateRole.CLIENT,
        now=dt.datetime.now(dt.UTC),
        valid_for=dt.timedelta(hours=1),
    )
    files = TlsSettings(
        ca_file=keys / "ca.crt",
        certificate_file=whole.folder / f"{name}.crt",
        key_file=whole.folder / f"{name}.key",
    )
    files.certificate_file.write_bytes(holder.certificate_pem())
    files.key_file.touch(mode=0o600)
    files.key_file.write_bytes(holder.key_pem())
    return files


def _wait_for(whole: System, query: str, *, at_least: int) -> None:
    deadline = time.monotonic() + 30
    with psycopg.connect(whole.databases.admin("telemetry"), autocommit=True) as connection:
        while (connection.execute(query.encode()).fetchone() or (0,))[0] < at_least:
            assert time.monotonic() < deadline, f"in vain: {query}"
            time.sleep(0.1)


def _enrol(whole: System) -> LocalAgent:
    policy = whole.folder / "canary.yaml"
    policy.write_text(_POLICY)
    with whole.trust_shell() as shell:
        shell.run("policy", "load", "--first", str(policy))
        gateway = whole.enrol(shell, agent={"log": {"level": "debug"}})
        subject = shell.run("subject", "add", "--name", NAME, *INVENTED_BIRTH)["subject"]
        shell.run(
            "decision", "record", "--subject", subject, "--purpose", "canary@1",
            "--agent", gateway.agent, "--quantities", "glucose_interstitial",
            "--binding", ADDRESS, *INVENTED_YES,
        )  # fmt: skip
    return gateway


def _publish_unopenable(whole: System, gateway: LocalAgent) -> None:
    """Publish her values as her agent would, but sealed to a key that ingest does not have."""
    sealer = Sealer(
        agent=gateway.agent,
        spool_id=bytes(16),
        session_key=bytes(range(32)),
        ingest_key=X25519PrivateKey.generate().public_key(),
    )
    body = Body(bytes(16), 1, [_packed([round(v * 100) for v in VALUES])])
    client = Client(
        CallbackAPIVersion.VERSION2, client_id=gateway.agent, protocol=MQTTProtocolVersion.MQTTv5
    )
    tls = TlsSettings(
        ca_file=gateway.folder / "ca.crt",
        certificate_file=gateway.folder / "agent.crt",
        key_file=gateway.folder / "agent.key",
    )
    client.tls_set_context(client_context(tls, section="broker.tls"))
    client.connect("127.0.0.1", whole.broker.port)
    client.loop_start()
    payload = encode_envelope(sealer.seal(body, sequence=1))
    client.publish(topics.observations(gateway.agent), payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def _metrics(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        text: bytes = reply.read()
        return text


def test_canary_leaves_no_trace() -> None:
    """
    No store holds the person's name, sensor address or device name, and one table alone her
    values.
    """
    identity, values = _identity_patterns(), _value_patterns()
    with system() as whole, Relay(whole.broker.port) as for_ingest:
        whole.broker_ports["ingest"] = for_ingest.port
        whole.broker.more_acl = "user spy\ntopic read #\n"
        whole.prepare()
        spy = Spy(_certificate(whole, "spy"), whole.broker.port)
        gateway = _enrol(whole)
        whole.start_trust()
        whole.start_ingest()
        whole.start_agent(gateway)
        whole.wait_for_agents()
        with CanarySensor(gateway) as sensor:
            _wait_for(whole, "SELECT count(*) FROM vv.observations", at_least=30)
            # From here on the broker queues messages, and the agent spools envelopes that are not
            # settled.
            for_ingest.hold(Direction.DOWN)
            time.sleep(1.5)
            assert sensor.sent > 60
        metrics = b"".join(map(_metrics, (whole.ingest_port, whole.trust_port, gateway.http_port)))
        whole.broker.save()
        time.sleep(1)
        spool = b"".join(data for _, data in _files(gateway.state))
        assert gateway.child is not None
        gateway.child.kill()
        for_ingest.release()
        _publish_unopenable(whole, gateway)
        _wait_for(whole, "SELECT count(*) FROM vv.quarantine", at_least=1)
        spy.close()
        with psycopg.connect(whole.databases.admin("telemetry"), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            quarantined = connection.execute("SELECT payload FROM vv.quarantine").fetchall()

        messages = b"\n".join(topic.encode() + b" " + payload for topic, payload in spy.messages)
        assert len(spy.messages) > 5
        sealed = b"".join(payload for (payload,) in quarantined)
        for data in (messages, metrics, spool, sealed):
            assert _finds(data, identity + values) + _written_out(data) == []
        for path, data in _files(whole.folder):
            assert _finds(data, identity) == [], path.relative_to(whole.folder)
            if path.suffix == ".log" or whole.broker.folder in path.parents:
                found = _finds(data, values) + _written_out(data)
                assert found == [], path.relative_to(whole.folder)
        assert b"vv1/obs/" in (whole.broker.data / "mosquitto.db").read_bytes()

        # The scan itself works: it finds her values where they are allowed.
        database = whole.databases.server
        assert database is not None
        stored = b"".join(data for _, data in _files(database.data / "base"))
        assert set(_finds(stored, values)) >= {struct.pack("<f", v) for v in VALUES}


def test_scan_finds_what_is_there() -> None:
    """The scan finds every form of a value that it looks for."""
    for pattern in _identity_patterns() + _value_patterns():
        assert pattern in _finds(b"before" + pattern + b"after", [pattern])
    for value in VALUES:
        assert _written_out(f"value={value} at 12:00:{value}0".encode()) == [str(value).encode()]
        assert _written_out(f"at 12:00:0{value}0".encode()) == []
    assert len(_value_patterns()) > 100
