"""The settings of the MQTT session, and what it subscribes to. Pure."""

import msgspec

from wire import topics


class SessionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT session that the broker keeps for this worker."""

    client_id: str = "ingest"
    """Must be the common name of the certificate where the broker takes it from there."""
    expiry_s: int = 604_800
    """How long the broker keeps what arrives while ingest is away."""
    receive_max: int = 10_000
    """
    How many envelopes may be unacknowledged: several flushes, or the broker waits while one is
    committed. Twice as many, and 32 MiB, are never exceeded by much.
    """
    first_shard: int = 0
    last_shard: int = 63

    def __post_init__(self) -> None:
        # An empty one has the broker make a name, and so a new session for each connection.
        if not 1 <= len(self.client_id.encode()) <= 256 or not self.client_id.isprintable():
            raise ValueError("client_id is 1 to 256 printable characters")
        if not 1 <= self.receive_max <= 65_535:
            raise ValueError("receive_max is 1 to 65535")
        if not 0 <= self.expiry_s <= 0xFFFF_FFFE:
            raise ValueError("expiry_s is 0 to 4294967294")
        if not 0 <= self.first_shard <= self.last_shard <= 63:
            raise ValueError(
                "first_shard and last_shard are 0 to 63, the first not above the last"
            )

    def has(self, agent: str) -> bool:
        """Tell whether a worker with these shards hears what *agent* observes."""
        if self.first_shard == 0 and self.last_shard == topics.SHARDS - 1:
            return True
        return self.first_shard <= topics.shard_of(agent) <= self.last_shard

    def filters(self) -> list[str]:
        """Return what a worker with these shards subscribes to."""
        shards = range(self.first_shard, self.last_shard + 1)
        if len(shards) == topics.SHARDS:
            return [topics.ALL_OBSERVATIONS, topics.ALL_STATES]
        return [*map(topics.observations_of_shard, shards), topics.ALL_STATES]
