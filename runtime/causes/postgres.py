"""
Causes of errors of PostgreSQL: by SQLSTATE, or by the text of libpq if there is no connection.

No text of the server or the driver is passed on, because it may quote a row or name a host.
"""

from collections.abc import Mapping
from typing import Final

from runtime.causes.cause import Cause

_MIGRATE: Final = (
    "Run `vitalveil ingest migrate` for the telemetry database, or `vitalveil trust migrate` for"
    " the vault, as a database administrator, and check that dsn names the right database."
)
_HBA: Final = "Correct pg_hba.conf of the server (host, role and database of dsn), and reload it."
_LOG: Final = "Look into the log of the database server."
_START: Final = "Start the database server, and check host and port in dsn, and the firewalls."
_SLOTS: Final = "Raise max_connections of the server or the limit of this role, or end sessions."
_AGAIN: Final = "The program tries again. If it repeats, look into the log of the server."
_LOGIN: Final = (
    "Put the password of the role in dsn into password_file, or set it at the server: `vitalveil"
    " ingest migrate --role-password` or `vitalveil trust migrate --role-password`."
)
_DISK: Final = "Make room on the disk of the database server: docs/runbooks/"
_POOLER: Final = "Use the pooler in session mode, or connect to the server directly."

_NAME: Final = Cause(
    "the host name of the database cannot be resolved",
    "Check host in dsn, and the DNS of this machine.",
)

# libpq gives only a text as long as there is no connection. The first phrase that fits counts.
_UNCONNECTED: Final[tuple[tuple[str, Cause], ...]] = (
    (
        "password authentication failed",
        Cause("the database refused the password", _LOGIN, True),
    ),
    ("no password supplied", Cause("the database requires a password", _LOGIN, True)),
    (
        "is not permitted to log in",
        Cause("the role may not log in to the database", _LOGIN, True),
    ),
    (
        "authentication failed",
        Cause("the database does not accept this role in this way (peer, ident)", _HBA, True),
    ),
    ("no pg_hba.conf entry", Cause("pg_hba.conf does not allow this role from this host", _HBA)),
    ("pg_hba.conf rejects", Cause("pg_hba.conf does not allow this role from this host", _HBA)),
    (
        "permission denied for database",
        Cause("the role may not connect to this database", "GRANT CONNECT to the role.", True),
    ),
    (
        "root certificate file",
        Cause(
            "the file that sslrootcert names does not exist",
            "Name the certificate of the server's authority in sslrootcert.",
            True,
        ),
    ),
    (
        "group or world access",
        Cause(
            "other users may read the file that sslkey names", "Run chmod 600 on that file.", True
        ),
    ),
    (
        "does not match host name",
        Cause(
            "the certificate of the database is for another host name",
            "Set host in dsn to a name in that certificate.",
            True,
        ),
    ),
    (
        "certificate has expired",
        Cause("the certificate of the database has expired", "Issue a new one.", False),
    ),
    (
        "certificate is not yet valid",
        Cause(
            "the certificate of the database is not valid yet",
            "Check the clocks of both machines (NTP).",
        ),
    ),
    (
        "certificate verify failed",
        Cause(
            "the certificate of the database is not from the authority in sslrootcert",
            "Name the certificate of the server's authority in sslrootcert.",
        ),
    ),
    (
        "does not support ssl",
        Cause("the database server does not speak TLS", "Set ssl = on at the server.", True),
    ),
    (
        " alert ",
        Cause("the database server refuses the TLS certificate of this role", _LOG, True),
    ),
    (
        "too many connections",
        Cause("the database has no connection left for this role", _SLOTS),
    ),
    ("connection slots", Cause("the database has no connection left for this role", _SLOTS)),
    ("too many clients", Cause("the database has no connection left", _SLOTS)),
    ("not currently accepting", Cause("the database accepts no connections", _LOG)),
    ("starting up", Cause("the database is starting", _AGAIN)),
    ("not yet accepting", Cause("the database is starting", _AGAIN)),
    ("recovery mode", Cause("the database recovers from a crash", _AGAIN)),
    ("shutting down", Cause("the database is stopping", _AGAIN)),
    (
        "connection refused",
        Cause("no server listens on the address of the database", _START),
    ),
    (
        "no such file or directory",
        Cause("no server listens on the socket of the database", _START),
    ),
    ("timeout expired", Cause("the database does not answer", _START)),
    ("timed out", Cause("the database does not answer", _START)),
    ("no route to host", Cause("no route leads to the machine of the database", _START)),
    ("network is unreachable", Cause("no route leads to the network of the database", _START)),
    ("translate host name", _NAME),
    ("resolve host", _NAME),
    ("name or service not known", _NAME),
    ("name resolution", _NAME),
    (
        "read-only",
        Cause(
            "the database is read-only: it is a standby",
            "Name the primary in dsn, or set target_session_attrs=read-write.",
        ),
    ),
    (
        'role "',
        Cause(
            "the role in dsn does not exist at the database server",
            "Correct user in dsn; the migrations create the roles of VitalVeil. " + _MIGRATE,
            True,
        ),
    ),
    (
        "does not exist",
        Cause(
            "the database in dsn does not exist",
            "Correct dbname in dsn, or create it: CREATE DATABASE ..., as in"
            " deploy/postgres/10-databases.sh.",
            True,
        ),
    ),
    (
        "closed the connection",
        Cause("the database server ended the connection", _LOG),
    ),
    ("connection reset", Cause("the database server ended the connection", _LOG)),
    ("connection is lost", Cause("the connection to the database was lost", _AGAIN)),
    ("connection is closed", Cause("the connection to the database was lost", _AGAIN)),
    ("permission denied", Cause("this user may not open the socket of the database", _START)),
)
_UNKNOWN: Final = Cause("there is no connection to the database", f"{_LOG} {_START}")

_BY_STATE: Final[Mapping[str, Cause]] = {
    "28P01": Cause("the database refused the password", _LOGIN, True),
    "28000": Cause("the database does not accept this role", _HBA, True),
    "3D000": Cause("the database in dsn does not exist", "Correct dbname in dsn.", True),
    "3F000": Cause("a schema of VitalVeil is missing in the database", _MIGRATE, True),
    "42P01": Cause("a table of VitalVeil is missing in the database", _MIGRATE, True),
    "42883": Cause("a function of VitalVeil is missing in the database", _MIGRATE, True),
    "42703": Cause("a column of VitalVeil is missing in the database", _MIGRATE, True),
    "42704": Cause("a role, type or extension is missing in the database", _MIGRATE, True),
    "42501": Cause(
        "the role lacks a right in the database",
        f"{_MIGRATE} If all migrations are applied, `vitalveil doctor` names the missing right.",
        True,
    ),
    "25006": Cause(
        "the database is read-only: it is a standby, or was set so",
        "Name the primary in dsn, and check default_transaction_read_only.",
    ),
    "26000": Cause("a pooler between here and the server loses the session", _POOLER),
    "42P05": Cause("a pooler between here and the server mixes sessions", _POOLER),
    "40001": Cause("two transactions wanted the same rows", _AGAIN),
    "40P01": Cause("two transactions waited for each other", _AGAIN),
    "53100": Cause("the disk of the database is full", f"{_DISK}VitalVeilDatabaseFillingUp.md."),
    "53200": Cause("the database server has no memory left", _LOG),
    "53300": Cause("the database has no connection left", _SLOTS),
    "55P03": Cause(
        "another session holds a lock for too long",
        "Find it in pg_stat_activity and pg_locks, and end it if it hangs.",
    ),
    "57014": Cause(
        "the database ended a statement that took too long, or was told to",
        "Look for load or locks in pg_stat_activity.",
    ),
    "57P01": Cause("the database server was stopped, or an administrator ended the session", _LOG),
    "57P02": Cause("the database server ended all sessions after a crash", _LOG),
    "57P03": Cause("the database accepts no connections now", _AGAIN),
    "58030": Cause("the disk of the database reports an error", _LOG),
    "58P01": Cause("the database server lacks a file", _LOG),
    "XX001": Cause("a table in the database is damaged", _LOG),
    "XX002": Cause("an index in the database is damaged", f"{_LOG} Then REINDEX."),
}
_BY_CLASS: Final[Mapping[str, Cause]] = {
    "08": Cause("the connection to the database was lost", _AGAIN),
    "22": Cause("the database refuses a value", "Report this as a bug."),
    "23": Cause("the database refuses a row, because of a constraint", "Report this as a bug."),
    "25": Cause("the transaction ended in an unexpected state", _AGAIN),
    "40": Cause("the database rolled the transaction back", _AGAIN),
    "42": Cause("the database does not know something that a statement names", _MIGRATE, True),
    "53": Cause("the database server lacks a resource", _LOG),
    "54": Cause("a limit of the database server is exceeded", _LOG),
    "55": Cause("the database cannot do this in its present state", _LOG),
    "57": Cause("an operator of the database intervened", _LOG),
    "58": Cause("the operating system of the database reports an error", _LOG),
    "XX": Cause("the database server reports an internal error", _LOG),
}


def of_database(sqlstate: str | None, text: str) -> Cause:
    """
    Return the cause of an error of PostgreSQL.

    Args:
        sqlstate: Its SQLSTATE; None if there was no connection, or it was lost.

        text: The text of the driver, in which only constant phrases are looked for.
    """
    if sqlstate is not None:
        found = _BY_STATE.get(sqlstate) or _BY_CLASS.get(
            sqlstate[:2], Cause("the database refused a statement", _LOG)
        )
        return Cause(f"{found.text} (SQLSTATE {sqlstate})", found.remedy, found.is_permanent)
    lower = text.lower()
    return next((cause for phrase, cause in _UNCONNECTED if phrase in lower), _UNKNOWN)
