"""Opening: from the bytes of a delivery to a body, or to the reason why there is none."""

import hashlib
from typing import Final

from ingest.delivery import Delivery, Identity, Opened
from ingest.outcome import Reason
from wire import envelope, json_envelope, topics
from wire.envelope import Body
from wire.errors import BadSeal, Malformed, TooLarge, UnsupportedVersion, WireError, WrongTopic
from wire.sealing import Opener

_MAX_TOPICS: Final = 262_144

# The first that fits: TooLarge and WrongTopic are Malformed too.
_REASONS: Final[tuple[tuple[type[WireError], Reason], ...]] = (
    (TooLarge, Reason.TOO_LARGE),
    (WrongTopic, Reason.WRONG_TOPIC),
    (Malformed, Reason.MALFORMED),
    (UnsupportedVersion, Reason.UNSUPPORTED_VERSION),
    (BadSeal, Reason.BAD_SEAL),
)


def digest_of(payload: bytes) -> bytes:
    """Return what the ledger remembers of *payload*."""
    return hashlib.blake2b(payload, digest_size=16).digest()


def reason_of(error: WireError) -> Reason:
    """Return the reason that *error* is refused with."""
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), Reason.MALFORMED)


class Opening:
    """
    Opens deliveries. Total: any bytes on any topic give a value.

    Knows no agents and no permissions: whether the sender may send is asked when it is admitted,
    under the lock, so that nobody who was enrolled a moment ago is refused.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        # Parsing a topic costs a SHA-256; an agent has one topic for all its life.
        self._agents: dict[str, str] = {}

    def open(self, delivery: Delivery) -> Opened:
        """Return *delivery* opened, or with its fault."""
        opened = Opened(delivery, "", None, digest_of(delivery.payload))
        try:
            opened.agent = self._agent_of(delivery.topic)
            if json_envelope.looks_like_json(delivery.payload):
                self._read_json(opened)
            else:
                self._read_sealed(opened)
        except WireError as error:
            opened.fault = reason_of(error)
        return opened

    def _agent_of(self, topic: str) -> str:
        known = self._agents.get(topic)
        if known is None:
            known = topics.parse_observations(topic)
            if len(self._agents) >= _MAX_TOPICS:
                self._agents.clear()
            self._agents[topic] = known
        return known

    def _read_sealed(self, opened: Opened) -> None:
        outside = envelope.decode_envelope(opened.delivery.payload)
        opened.identity = Identity(opened.agent, outside.spool_id, outside.sequence)
        self._put_body(opened, self._opener.open(opened.agent, outside))

    def _read_json(self, opened: Opened) -> None:
        opened.is_json = True
        identified = json_envelope.decode(opened.delivery.payload)
        opened.identity = Identity(opened.agent, identified.spool_id, identified.sequence)
        self._put_body(opened, identified.body)

    @staticmethod
    def _put_body(opened: Opened, body: Body) -> None:
        opened.body = body
        # Once, and not at each question: a body counts by walking over its blocks.
        opened.observations = len(body.blocks[0]) if len(body.blocks) == 1 else len(body)
