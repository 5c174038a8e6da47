"""Opening: from the bytes of a delivery to a body, or to the reason why there is none."""

import hashlib
from collections.abc import Iterable
from typing import Final

from ingest.delivery import Delivery, Identity, Opened
from ingest.outcome import Reason
from wire import envelope, json_envelope, topics
from wire.errors import BadSeal, Malformed, TooLarge, UnsupportedVersion, WireError, WrongTopic
from wire.sealing import Opener

_MAX_TOPICS: Final = 262_144

# To copy one is a third cheaper than to make one.
_empty_digest: Final = hashlib.blake2b(digest_size=16).copy

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
    digest = _empty_digest()
    digest.update(payload)
    return digest.digest()


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

    def open_all(self, deliveries: Iterable[Delivery]) -> list[Opened]:
        """Return each of *deliveries* opened, or with its fault."""
        return list(map(self.open, deliveries))

    def open(self, delivery: Delivery) -> Opened:
        """Return *delivery* opened, or with its fault."""
        payload = delivery.payload
        opened = Opened(delivery, "", None, digest_of(payload))
        try:
            agent = self._agents.get(delivery.topic) or self._agent_of(delivery.topic)
            opened.agent = agent
            if json_envelope.looks_like_json(payload):
                self._read_json(opened)
                return opened
            outside = envelope.decode_envelope(payload)
            opened.identity = Identity(agent, outside.spool_id, outside.sequence)
            inside = self._opener.open_bytes(agent, outside)
            opened.body, opened.observations = envelope.decode_counted(inside)
        except WireError as error:
            opened.fault = reason_of(error)
        return opened

    def _agent_of(self, topic: str) -> str:
        agent = topics.parse_observations(topic)
        if len(self._agents) >= _MAX_TOPICS:
            self._agents.clear()
        self._agents[topic] = agent
        return agent

    def _read_json(self, opened: Opened) -> None:
        opened.is_json = True
        identified = json_envelope.decode(opened.delivery.payload)
        opened.identity = Identity(opened.agent, identified.spool_id, identified.sequence)
        opened.body, opened.observations = identified.body, len(identified.body)
