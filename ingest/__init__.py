"""
The data plane: a delivery comes in, rows come out, and the ack follows the COMMIT.

Receives sealed envelopes over MQTT, admits what a permission covers, stores each observation
exactly once, and tells the agent what is settled. Holds no identity and no pseudonym's root key;
never acknowledges what is not committed, and never imports another program.
"""
