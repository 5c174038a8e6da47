"""A simple peer: paho-mqtt, and executemany of psycopg once a second."""

import json
import ssl
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any

import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

_BATCH = 1000
"""Messages in a transaction: a full window of the broker."""
_MAX_AGE_S = 0.2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSERT = "INSERT INTO vv.observations (time, series_id, value, flags) VALUES (%s, %s, %s, 0)"


def _rows(payload: bytes | bytearray) -> list[tuple[datetime, int, float]]:
    content = json.loads(payload)
    start = _EPOCH + timedelta(milliseconds=content["start_ms"])
    step = timedelta(milliseconds=content["step_ms"])
    series = content["series"]
    return [(start + i * step, series, value) for i, value in enumerate(content["values"])]


def _connect(port: int, pki: str, arrived: "SimpleQueue[paho.MQTTMessage]") -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id="paho", protocol=paho.MQTTv5, manual_ack=True
    )
    client.tls_set(
        f"{pki}/ca.crt", f"{pki}/paho.crt", f"{pki}/paho.key", tls_version=ssl.PROTOCOL_TLS_CLIENT
    )
    properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = 1000

    def take(client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        arrived.put(message)

    client.on_message = take
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    return client


def _batch(arrived: "SimpleQueue[paho.MQTTMessage]") -> list[paho.MQTTMessage]:
    found = [arrived.get()]
    deadline = time.monotonic() + _MAX_AGE_S
    while len(found) < _BATCH:
        try:
            found.append(arrived.get(timeout=max(0.0, deadline - time.monotonic())))
        except Empty:
            break
    return found


def main(argv: Sequence[str]) -> int:
    """Store COUNT messages from the broker at PORT, with the certificates in PKI."""
    port, pki, count, dsn = int(argv[0]), argv[1], int(argv[2]), sys.stdin.read()
    arrived: SimpleQueue[paho.MQTTMessage] = SimpleQueue()
    with psycopg.connect(dsn) as connection:
        client = _connect(port, pki, arrived)
        stored = 0
        while stored < count:
            messages = _batch(arrived)
            with connection.cursor() as cursor:
                cursor.executemany(_INSERT, [row for m in messages for row in _rows(m.payload)])
            connection.commit()
            for message in messages:
                client.ack(message.mid, message.qos)
            stored += len(messages)
        client.disconnect()
        client.loop_stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
