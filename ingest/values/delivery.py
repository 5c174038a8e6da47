"""A delivery: a received envelope that we owe an acknowledgement."""

import msgspec

from ingest.values.outcome import Reason
from wire.envelope import Body


class Delivery(msgspec.Struct, eq=False, gc=False):
    """
    What one PUBLISH brought.

    Args:
        topic: Where it was published.

        payload: The envelope, as it came.

        packet_id: What to acknowledge; None when nothing is owed (QoS 0).

        generation: Number of the connection that it came by: an ack never crosses a reconnect,
            because a packet id means nothing on another connection.

        received_ms: When it came, ms since 1970.

        settled: Whether its ack may go out, once those before it have.
    """

    topic: str
    payload: bytes
    packet_id: int | None
    generation: int
    received_ms: int
    settled: bool = False


Spool = tuple[str, bytes]
"""An agent and the id of one of its spools."""


class EnvelopeId(msgspec.Struct, frozen=True, gc=False):
    """
    What makes an envelope the same envelope, for ever.

    Args:
        spool: Where it comes from. Of one sender mostly one object, so that a dictionary that has
            it finds it without comparing.

        sequence: Its number there.
    """

    spool: Spool
    sequence: int


class Opened(msgspec.Struct, eq=False, gc=False):
    """
    A delivery after its seal: with a body, or with the fault that it has none.

    Args:
        delivery: Where it came from.

        agent: The agent of its topic; empty when the topic is none of ours.

        identity: None when the outside cannot be read.

        digest: BLAKE2b-128 of the payload: tells a duplicate from a forgery.

        body: None when there is a fault.

        fault: Why there is no body.

        is_json: Whether it came in clear.

        observations: How many are in the body.
    """

    delivery: Delivery
    agent: str
    identity: EnvelopeId | None
    digest: bytes
    body: Body | None = None
    fault: Reason | None = None
    is_json: bool = False
    observations: int = 0
