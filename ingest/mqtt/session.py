"""The settings of the MQTT session, and its subscriptions. Pure."""

import msgspec

from wire import topics


class SessionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT session that the broker keeps for this process."""

    client_id: str = "ingest"
    """Must be the certificate's common name if the broker takes the client id from there."""
    expiry_s: int = 604_800
    """How long the broker keeps messages while ingest is not connected."""
    receive_max: int = 10_000
    """
    Limit of envelopes that are not acknowledged. It must allow several flushes; otherwise the
    broker waits during each COMMIT. Ingest stops reading at twice this number, or at 32 MiB.
    """
    first_shard: int = 0
    """First of the shards (of 64) whose envelopes this process receives."""
    last_shard: int = 63
    """Last of these shards."""

    def __post_init__(self) -> None:
        # With an empty client id the broker makes a new session for each connection.
        if not 1 <= len(self.client_id.encode()) <= 256 or not self.client_id.isprintable():
            raise ValueError("client_id must have 1 to 256 printable characters")
        if not 1 <= self.receive_max <= 65_535:
            raise ValueError("receive_max must be 1 to 65535")
        if not 0 <= self.expiry_s <= 0xFFFF_FFFE:
            raise ValueError("expiry_s must be 0 to 4294967294")
        if not 0 <= self.first_shard <= self.last_shard <= 63:
            raise ValueError(
                "first_shard and last_shard must be 0 to 63, and the first not above the last"
            )

    def has(self, agent: str) -> bool:
        """Return whether this process receives the envelopes of *agent*."""
        if self.first_shard == 0 and self.last_shard == topics.SHARDS - 1:
            return True
        return self.first_shard <= topics.shard_of(agent) <= self.last_shard

    def filters(self) -> list[str]:
        """Return the topic filters to subscribe to."""
        shards = range(self.first_shard, self.last_shard + 1)
        if len(shards) == topics.SHARDS:
            return [topics.ALL_OBSERVATIONS, topics.ALL_STATES]
        return [*map(topics.observations_of_shard, shards), topics.ALL_STATES]
