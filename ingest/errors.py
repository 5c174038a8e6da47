"""
Errors of ingest.

* IngestError
    * StoreError            (the database's, classified by `failures`)
        * Unavailable       (transient: keep the acks, try the same batch again)
        * Undecided         (what it met is not stored yet: decide about the batch again)
        * Poisoned          (an envelope of the batch cannot be written: bisect, quarantine it)
        * Unusable          (a schema, grant or password is wrong: leave, exit 1)
    * ConnectionLost        (the broker's or the network's: reconnect with a delay)
        * ProtocolViolation (the broker sent what MQTT 5 forbids: drop the connection)

What an agent did wrong is no error but a value: `outcome.Reason`. No message holds a value, a
handle, an agent or an address.
"""


class IngestError(Exception):
    """Something that we did not decide."""


class StoreError(IngestError):
    """
    The database did not do what it was asked.

    Args:
        cause: The type of the library's error and its SQLSTATE, nothing of its text.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Unavailable(StoreError):
    """It may do it later: a lost connection, a deadlock, a full disk."""


class Undecided(StoreError):
    """Nothing was written: a change of permissions had an envelope meet what is not stored yet."""


class Poisoned(StoreError):
    """It will never do it, because of the data."""


class Unusable(StoreError):
    """It will never do it, because of how it was set up."""


class ConnectionLost(IngestError):
    """The connection to the broker ended, or was never made."""


class ProtocolViolation(ConnectionLost):
    """The broker sent bytes that are not MQTT 5, or that MQTT 5 does not allow there."""
