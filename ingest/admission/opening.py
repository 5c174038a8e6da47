"""Opening: from the bytes of a delivery to a body, or to the reason why it has none."""

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from ingest.values.delivery import Delivery, EnvelopeId, Opened, Spool
from ingest.values.outcome import Reason
from wire import envelope, json_envelope, topics
from wire.errors import BadSeal, Malformed, TooLarge, UnsupportedVersion, WireError, WrongTopic
from wire.sealing import Opener

_MAX_TOPICS: Final = 262_144

# Copying an empty hash costs two thirds of making a new one.
_empty_digest: Final = hashlib.blake2b(digest_size=16).copy

# The first match counts: TooLarge and WrongTopic are subclasses of Malformed.
_REASONS: Final[tuple[tuple[type[WireError], Reason], ...]] = (
    (TooLarge, Reason.TOO_LARGE),
    (WrongTopic, Reason.WRONG_TOPIC),
    (Malformed, Reason.MALFORMED),
    (UnsupportedVersion, Reason.UNSUPPORTED_VERSION),
    (BadSeal, Reason.BAD_SEAL),
)


def reason_of(error: WireError) -> Reason:
    """Return the reason that refuses a delivery which raised *error*."""
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), Reason.MALFORMED)


class _Sender(msgspec.Struct, gc=False):
    """
    The agent that publishes on a topic.

    Args:
        agent: Id of the agent.

        spool: The spool from which the agent sent last.
    """

    agent: str
    spool: Spool


class Opening:
    """
    Opens deliveries. Total: any bytes on any topic give a value, never an exception.

    Opening uses no permissions. Whether the sender may send is checked at admission, under the
    permission lock, so that an agent that was enrolled a moment ago is not refused.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        # Parsing a topic costs a SHA-256, and an agent keeps one topic for life.
        self._senders: dict[str, _Sender] = {}

    def open_all(self, deliveries: Iterable[Delivery]) -> list[Opened]:
        """Return the result of `open` for each of *deliveries*, in the same order."""
        return list(map(self.open, deliveries))

    def open(self, delivery: Delivery) -> Opened:
        """Return *delivery* with its body, or with the reason why it has none."""
        payload = delivery.payload
        digest = _empty_digest()
        digest.update(payload)
        opened = Opened(delivery, "", None, digest.digest())
        try:
            sender = self._senders.get(delivery.topic) or self._sender_of(delivery.topic)
            opened.agent = sender.agent
            if json_envelope.looks_like_json(payload):
                _read_json(opened)
                return opened
            outside = envelope.decode_envelope(payload)
            if sender.spool[1] != outside.spool_id:
                sender.spool = (sender.agent, outside.spool_id)
            opened.identity = EnvelopeId(sender.spool, outside.sequence)
            inside = self._opener.open_bytes(sender.agent, outside)
            opened.body, opened.observations = envelope.decode_counted(inside)
        except WireError as error:
            opened.fault = reason_of(error)
        return opened

    def _sender_of(self, topic: str) -> _Sender:
        agent = topics.parse_observations(topic)
        if len(self._senders) >= _MAX_TOPICS:
            self._senders.clear()
        sender = self._senders[topic] = _Sender(agent, (agent, b""))
        return sender


def _read_json(opened: Opened) -> None:
    opened.is_json = True
    identified = json_envelope.decode(opened.delivery.payload)
    opened.identity = EnvelopeId((opened.agent, identified.spool_id), identified.sequence)
    opened.body, opened.observations = identified.body, len(identified.body)
