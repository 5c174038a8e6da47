"""The connection to the broker: what is published, what is published again, what is settled."""
