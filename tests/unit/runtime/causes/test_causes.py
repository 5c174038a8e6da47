"""Causes: what goes in is an error of a library, what comes out is two sentences of ours."""

import errno
import resource
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import aiomqtt
import psycopg
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.errors import SpoolError
from runtime.causes import mqtt
from runtime.causes.cause import Cause
from runtime.causes.explain import explain
from runtime.causes.files import of_file
from runtime.causes.postgres import of_database
from runtime.logs import describe

SECRETS: Final = ("swordfish", "db.clinic.example", "Ada Example", "10.1.2.3", "/home/ada")
"""What the texts of libraries hold below, and no text of ours may."""


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    """Return the error of OpenSSL for a certificate of the other side, with its *code*."""
    error = ssl.SSLCertVerificationError(1, "Hostname mismatch for db.clinic.example")
    error.verify_code = code
    error.verify_message = "db.clinic.example"
    return error


def alert(reason: str) -> ssl.SSLError:
    """Return the error of OpenSSL with *reason*."""
    error = ssl.SSLError(1, f"[SSL: {reason}] db.clinic.example")
    error.reason = reason
    return error


def sql_error(name: str) -> sqlite3.Error:
    """Return an error of SQLite with the result code *name*."""
    error = sqlite3.OperationalError("Ada Example")
    error.sqlite_errorname = name
    return error


def in_place_of(error: OSError) -> aiomqtt.MqttError:
    """Return the error that aiomqtt raises in place of *error*."""
    try:
        try:
            raise error
        except OSError as exc:
            raise aiomqtt.MqttError(str(exc)) from None
    except aiomqtt.MqttError as made:
        return made


def reason(code: int, packet: int = PacketTypes.DISCONNECT) -> aiomqtt.MqttCodeError:
    """Return the error of aiomqtt for a packet of the broker with the reason *code*."""
    return aiomqtt.MqttCodeError(ReasonCode(packet, identifier=code))


FOUND: dict[str, tuple[BaseException, str, str]] = {
    "no file": (FileNotFoundError(errno.ENOENT, "", "/home/ada"), "does not exist", "path"),
    "no right": (PermissionError(errno.EACCES, "", "/home/ada"), "no right", "owner and the mode"),
    "disk full": (OSError(errno.ENOSPC, "", "/home/ada"), "disk is full", "Make room"),
    "quota": (OSError(errno.EDQUOT, "", "/home/ada"), "quota", "Raise the quota"),
    "read-only": (OSError(errno.EROFS, "", "/home/ada"), "read-only", "Mount it for writing"),
    "file limit": (OSError(errno.EFBIG, "", "/home/ada"), "beyond a limit", "ulimit -f"),
    "open files": (OSError(errno.EMFILE, ""), "too many open files", "LimitNOFILE"),
    "disk error": (OSError(errno.EIO, ""), "disk reports an error", "dmesg"),
    "unknown number": (OSError(errno.EXDEV, "/home/ada"), "EXDEV", "dmesg"),
    "no number": (OSError("/home/ada"), "cannot be used", "owner and the mode"),
    "no name": (socket.gaierror(socket.EAI_NONAME, "db.clinic.example"), "no such name", "DNS"),
    "no DNS": (socket.gaierror(socket.EAI_AGAIN, ""), "DNS does not answer", "name servers"),
    "refused": (
        ConnectionRefusedError(errno.ECONNREFUSED, "10.1.2.3"),
        "nothing listens",
        "Start",
    ),
    "reset": (ConnectionResetError(errno.ECONNRESET, ""), "ended the connection", "log of"),
    "closed": (BrokenPipeError(errno.EPIPE, ""), "closed the connection", "log of"),
    "no answer": (TimeoutError(), "does not answer in time", "firewalls"),
    "no answer from TCP": (TimeoutError(errno.ETIMEDOUT, ""), "does not answer in time", "host"),
    "no route": (OSError(errno.EHOSTUNREACH, "10.1.2.3"), "no route", "VPN"),
    "no network": (OSError(errno.ENETUNREACH, ""), "no route", "VPN"),
    "address taken": (OSError(errno.EADDRINUSE, ""), "another program listens", "ss -ltnp"),
    "not our address": (OSError(errno.EADDRNOTAVAIL, ""), "no such address", "127.0.0.1"),
    "several addresses": (
        OSError(
            "Multiple exceptions: [Errno 101] ('::1', 8883), [Errno 111] Connect call failed"
            " ('10.1.2.3', 8883)"
        ),
        "nothing listens",
        "Start",
    ),
    "unknown CA": (certificate_error(20), "not from the authority", "ca.crt"),
    "self-signed": (certificate_error(18), "not from the authority", "ca.crt"),
    "other CA in chain": (certificate_error(19), "not from the authority", "ca.crt"),
    "expired": (certificate_error(10), "has expired", "rotate-keys"),
    "not yet valid": (certificate_error(9), "not valid yet", "clocks"),
    "other name": (certificate_error(62), "another host name", "--broker-host"),
    "other address": (certificate_error(64), "another host name", "--broker-host"),
    "server revoked": (certificate_error(23), "is revoked", "Issue a new"),
    "not for a server": (certificate_error(26), "not made for a server", "pki init"),
    "other verification": (certificate_error(99), "cannot be verified", "ca.crt"),
    "we are unknown": (alert("TLSV1_ALERT_UNKNOWN_CA"), "does not know", "same authority"),
    "we are revoked": (alert("SSLV3_ALERT_CERTIFICATE_REVOKED"), "it is revoked", "enrol"),
    "we have expired": (alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "it has expired", "rotate-keys"),
    "we show nothing": (alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "has shown none", "key_file"),
    "old TLS": (alert("TLSV1_ALERT_PROTOCOL_VERSION"), "TLS 1.3", "tls_version"),
    "no TLS": (alert("WRONG_VERSION_NUMBER"), "does not speak TLS", "8883"),
    "HTTP": (alert("HTTP_REQUEST"), "does not speak TLS", "8883"),
    "end of file": (alert("UNEXPECTED_EOF_WHILE_READING"), "during the TLS handshake", "log of"),
    "other reason": (alert("BAD_ECPOINT"), "BAD_ECPOINT", "log of"),
    "SQLite: full": (sql_error("SQLITE_FULL"), "disk is full", "Make room"),
    "SQLite: read-only": (sql_error("SQLITE_READONLY_DBMOVED"), "read-only", "owner"),
    "SQLite: damaged": (sql_error("SQLITE_CORRUPT"), "is damaged", "backup"),
    "SQLite: sync failed": (sql_error("SQLITE_IOERR_FSYNC"), "disk reports", "dmesg"),
    "SQLite: other": (sql_error("SQLITE_MISMATCH"), "SQLITE_MISMATCH", "bug"),
    "taken over": (reason(0x8E), "another client connected with the same id", "second process"),
    "not authorised": (reason(0x87, PacketTypes.CONNACK), "does not authorise", "acl_file"),
    "bad user": (reason(0x86, PacketTypes.CONNACK), "user name or password", "use_identity"),
    "bad client id": (reason(0x85, PacketTypes.CONNACK), "client id", "name in its certificate"),
    "banned": (reason(0x8A, PacketTypes.CONNACK), "banned", "Lift the ban"),
    "too large": (reason(0x95), "larger than the broker accepts", "max_packet_size"),
    "shutting down": (reason(0x8B), "shutting down", "tries again"),
    "keep alive": (reason(0x8D), "heard nothing", "network"),
    "without a reason": (reason(0x80), "without a reason", "log of the broker"),
    "number of paho": (aiomqtt.MqttCodeError(7), "without a reason", "log of the broker"),
    "broker refused TCP": (
        in_place_of(ConnectionRefusedError(errno.ECONNREFUSED, "10.1.2.3")),
        "nothing listens",
        "Start the broker",
    ),
    "broker of another CA": (
        in_place_of(certificate_error(20)),
        "certificate of the broker",
        "ca",
    ),
    "no CONNACK": (aiomqtt.MqttError("Operation timed out"), "before it answered", "revoked"),
    "no password": (
        psycopg.OperationalError("fe_sendauth: no password supplied"),
        "requires a password",
        "password_file",
    ),
    "wrong password": (
        psycopg.OperationalError(
            'connection failed: FATAL: password authentication failed for user "Ada Example"'
        ),
        "refused the password",
        "--role-password",
    ),
    "no database": (
        psycopg.OperationalError('FATAL: database "Ada Example" does not exist'),
        "database in dsn does not exist",
        "CREATE DATABASE",
    ),
    "no role": (
        psycopg.OperationalError('FATAL: role "Ada Example" does not exist'),
        "role in dsn does not exist",
        "migrate",
    ),
    "no server": (
        psycopg.OperationalError('connection to "10.1.2.3", port 5432 failed: Connection refused'),
        "no server listens",
        "Start the database",
    ),
    "no socket": (
        psycopg.OperationalError('socket "/home/ada/.s.PGSQL" failed: No such file or directory'),
        "no server listens on the socket",
        "Start the database",
    ),
    "other CA of the database": (
        psycopg.OperationalError("SSL error: certificate verify failed"),
        "not from the authority",
        "sslrootcert",
    ),
    "other language": (
        psycopg.OperationalError("Passwort-Authentifizierung für »Ada Example« fehlgeschlagen"),
        "there is no connection",
        "log of the database server",
    ),
    "not migrated": (psycopg.errors.UndefinedTable("Ada Example"), "42P01", "migrate"),
    "no schema": (psycopg.errors.InvalidSchemaName("Ada Example"), "3F000", "migrate"),
    "no right in SQL": (psycopg.errors.InsufficientPrivilege("Ada"), "lacks a right", "doctor"),
    "disk of the database": (
        psycopg.errors.DiskFull("Ada"),
        "disk of the database is full",
        "disk",
    ),
    "no slot": (psycopg.errors.TooManyConnections("Ada"), "no connection left", "max_connections"),
    "standby": (psycopg.errors.ReadOnlySqlTransaction("Ada"), "read-only", "primary"),
    "value": (psycopg.errors.NumericValueOutOfRange("Ada Example"), "22003", "bug"),
    "state of no class": (psycopg.errors.lookup("P0001")("Ada Example"), "P0001", "log"),
    "our own": (SpoolError("keep more: the disk is full. Make room"), "the spool cannot", "room"),
    "bug": (KeyError("Ada Example"), "not foreseen (KeyError)", "report it"),
}


@pytest.mark.parametrize(("error", "text", "remedy"), FOUND.values(), ids=FOUND)
def test_error_is_told_with_cause_and_remedy(error: BaseException, text: str, remedy: str) -> None:
    """What happened, then what to do; no class of Python, and nothing of the library's text."""
    told = describe(error, peer="the broker")

    assert text in told
    assert remedy in told[told.index(text) :]
    assert told[0].islower() or told.startswith("SQLite")
    assert not [secret for secret in SECRETS if secret in told]
    assert "{" not in told
    if not isinstance(error, KeyError):
        assert type(error).__name__ not in told


@pytest.mark.parametrize("code", range(0x80, 0xA3))
def test_each_reason_of_mqtt_5_has_words(code: int) -> None:
    """Section 2.4 of the standard ends with 0xA2; a code beyond it is told as a number."""
    assert "does not define" not in mqtt.of_reason(code).text
    assert "0xb0" in mqtt.of_reason(0xB0).text


def test_every_sqlstate_of_the_driver_is_told_with_a_remedy() -> None:
    """None of the 260 states that psycopg knows is told by a class of Python."""
    states = [
        error.sqlstate
        for error in vars(psycopg.errors).values()
        if isinstance(error, type) and issubclass(error, psycopg.Error) and error.sqlstate
    ]
    assert len(states) > 200
    for state in states:
        cause = of_database(state, "")
        assert f"SQLSTATE {state}" in cause.text
        assert cause.remedy.endswith(".")


@pytest.mark.parametrize(
    "number", sorted(errno.errorcode), ids=[errno.errorcode[n] for n in sorted(errno.errorcode)]
)
def test_every_errno_is_told(number: int) -> None:
    """Each number of the operating system has words: ours, or those of the C library."""
    cause = of_file(OSError(number, "/home/ada"))
    assert len(cause.text) > 8
    assert cause.remedy.endswith((".", ")."))
    assert "/home/ada" not in str(cause)


def test_cause_without_an_error_that_is_known_is_none() -> None:
    """An error of Python itself is a bug, not a cause."""
    assert explain(ValueError("72.5")) is None
    assert str(Cause("it broke", "Repair it.")) == "it broke. Repair it."


def limit_files() -> None:
    """Let this process write no file of more than 64 bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


WRITE = """
import sys
from pathlib import Path
from trust.keys import files
try:
    files.write(Path(sys.argv[1]), b"x" * 100, mode=files.SECRET)
except Exception as error:
    print(error)
"""


def test_limit_of_the_kernel_is_told_by_the_program_that_meets_it(tmp_path: Path) -> None:
    """A real EFBIG, from a real limit: the file is named, no temporary file stays."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(tmp_path / "key")],
        capture_output=True, text=True, check=True, preexec_fn=limit_files,
    )  # fmt: skip
    assert "file key: it cannot be written: the file would grow beyond a limit" in done.stdout
    assert "ulimit -f" in done.stdout
    assert not list(tmp_path.iterdir())


def test_spool_on_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SQLite says of a full disk, from SQLite itself: a database that may not grow."""
    with sqlite3.connect(tmp_path / "db") as db:
        db.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.Error) as raised:
            db.execute("CREATE TABLE t AS SELECT zeroblob(100000) AS x")
    db.close()
    told: Any = describe(raised.value)
    assert told.startswith("the disk is full. Make room")
