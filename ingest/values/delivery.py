"""A delivery: an envelope that was received and must be acknowledged."""

import msgspec

from ingest.values.outcome import Reason
from wire.envelope import Body


class Delivery(msgspec.Struct, eq=False, gc=False):
    """
    The contents of one PUBLISH.

    Args:
        topic: Topic on which it was published.

        payload: The bytes of the envelope.

        packet_id: Packet id to acknowledge; None for QoS 0, which needs no ack.

        generation: Number of the connection. A delivery is acknowledged only on its own
            connection, because a packet id has no meaning on another one.

        received_ms: Time of arrival, ms since 1970.

        settled: Whether the ack may be sent after those of earlier deliveries.
    """

    topic: str
    payload: bytes
    packet_id: int | None
    generation: int
    received_ms: int
    settled: bool = False


Spool = tuple[str, bytes]
"""The id of an agent and the id of one of its spools."""


class EnvelopeId(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """
    The permanent identity of an envelope.

    Args:
        spool: Agent and spool. Envelopes of one sender mostly share this object, so that a
            dictionary finds it by identity without comparing.

        sequence: Number of the envelope in its spool.
    """

    spool: Spool
    sequence: int


class Opened(msgspec.Struct, eq=False, gc=False):
    """
    A delivery that was opened: it has a body or a fault.

    Args:
        delivery: The delivery as received.

        agent: Agent of the topic; empty if the topic is not one of VitalVeil's.

        identity: None if the outside of the envelope cannot be read.

        digest: BLAKE2b-128 of the payload; it distinguishes a duplicate from a forgery.

        body: None if there is a fault.

        fault: The reason why there is no body.

        is_json: Whether it came as JSON, in clear text.

        observations: Number of observations in the body.
    """

    delivery: Delivery
    agent: str
    identity: EnvelopeId | None
    digest: bytes
    body: Body | None = None
    fault: Reason | None = None
    is_json: bool = False
    observations: int = 0
