"""
Errors of ingest.

* IngestError
    * StoreError            (from the database, classified by `values.failures`)
        * Unavailable       (transient: keep the acks, try the same flush again)
        * Undecided         (readings it conflicts with are pending: decide the flush again)
        * Poisoned          (an envelope of the flush cannot be written: bisect, quarantine it)
        * Unusable          (a schema, grant or password is wrong: exit with code 1)
    * ConnectionLost        (from the broker or the network: reconnect after a delay)
        * ProtocolViolation (the broker sent what MQTT 5 forbids: drop the connection)

A fault of an agent is not an error but a value, `values.outcome.Reason`. No message holds a
value, a handle, an agent or an address.
"""

from runtime.errors import Explained


class IngestError(Explained):
    """Base of the errors of ingest."""


class StoreError(IngestError):
    """
    The database did not carry out a request.

    Args:
        cause: What happened and what to do, in our words: not the text of the library.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Unavailable(StoreError):
    """The request may succeed later: a lost connection, a deadlock, a full disk."""


class Undecided(StoreError):
    """
    Nothing was written: after a change of permissions, an envelope conflicts with a reading whose
    storage is still pending.
    """


class Poisoned(StoreError):
    """The request can never succeed because of its data."""


class Unusable(StoreError):
    """The request can never succeed because of how the database is set up."""


class ConnectionLost(IngestError):
    """The connection to the broker ended, or could not be made."""


class ProtocolViolation(ConnectionLost):
    """The broker sent bytes that are not MQTT 5, or that MQTT 5 does not allow at this point."""
