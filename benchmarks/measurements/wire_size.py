"""Bytes on the wire per reading: heart rate at 1 Hz in envelopes of 60, without TLS. Pure."""

from typing import Final

import mqtt5
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from benchmarks.world.fleet import Fleet, Shape

_MINUTE: Final = 60
_START_MS: Final = 1_767_225_600_000


def bytes_per_reading(*, bucket_bytes: int) -> float:
    """Return the mean bytes of a PUBLISH per reading, with header, topic, key and seal."""
    shape = Shape(10, _MINUTE, 1000)
    key = X25519PrivateKey.generate().public_key()
    fleet = Fleet(shape, start_ms=_START_MS, ingest_key=key, bucket_bytes=bucket_bytes)
    sizes = [
        len(mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1).write())
        for topic, payload in fleet.messages()
    ]
    return float(np.mean(sizes)) / _MINUTE
