"""
The data plane: receives deliveries, stores rows, and acknowledges after the COMMIT.

Ingest receives sealed envelopes over MQTT, admits what a permission covers, stores each
observation exactly once, and tells the agent which envelopes are settled. It holds no identities
of people and no root key of pseudonyms, never acknowledges what is not committed, and never
imports another program.
"""
