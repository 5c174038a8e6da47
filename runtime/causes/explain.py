"""The one function that turns an error of a library or of the operating system into a `Cause`."""

import errno
import socket
import ssl
from typing import Final

from runtime.causes import mqtt
from runtime.causes.cause import Cause
from runtime.causes.files import of_file, of_sqlite
from runtime.causes.network import of_connection
from runtime.causes.postgres import of_database
from runtime.causes.tls import of_tls

_OF_NETWORKS: Final = frozenset(
    {
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EADDRINUSE,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
    }
)


def explain(error: BaseException, peer: str = "the server") -> Cause | None:
    """
    Return the cause of *error*; None if it is of no kind that is known here.

    Libraries are recognised by attributes, because a gateway has no psycopg and ingest no aiomqtt.

    Args:
        error: An error of the operating system, TLS, SQLite, psycopg, aiomqtt or paho.

        peer: The other side of a connection, with its article: `the broker`.
    """
    if isinstance(error, OSError):
        return _of_system(error, peer)
    if isinstance(error, Exception) and type(error).__module__ == "sqlite3":
        return of_sqlite(error)
    if hasattr(error, "sqlstate"):
        return of_database(error.sqlstate, str(error))
    if type(error).__name__.startswith("Mqtt"):
        return of_mqtt(error)
    return None


def _of_system(error: OSError, peer: str) -> Cause:
    if isinstance(error, ssl.SSLError):
        return of_tls(error, peer)
    is_of_network = isinstance(error, (ConnectionError, TimeoutError, socket.gaierror))
    if is_of_network or error.errno in _OF_NETWORKS or _is_of_several(error):
        return of_connection(error, peer)
    return of_file(error)


def of_mqtt(error: BaseException) -> Cause:
    """Return the cause of *error*, an MqttError of aiomqtt, without its text."""
    code = getattr(error, "rc", mqtt.UNSPECIFIED)
    if code is None:
        return mqtt.UNANSWERED
    if hasattr(error, "rc"):
        # A reason code of MQTT 5 has `value`; a number below 0x80 is an error of paho itself.
        number = int(getattr(code, "value", code))
        if number > mqtt.UNSPECIFIED:
            return mqtt.of_reason(number)
        return mqtt.CLOSED
    # aiomqtt raises its own error in place of that of the socket, which is still its context.
    beneath = error.__cause__ or error.__context__
    if beneath is not None and (isinstance(beneath, OSError) or hasattr(beneath, "rc")):
        return explain(beneath, "the broker") or mqtt.CLOSED
    return mqtt.UNANSWERED if "timed out" in str(error).lower() else mqtt.CLOSED


def _is_of_several(error: OSError) -> bool:
    # asyncio and uvloop, when each address of a name failed.
    return error.errno is None and "Multiple exceptions" in str(error)
