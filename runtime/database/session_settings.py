"""
The settings that each session with PostgreSQL needs, and the check that it has them. Pure.

A setting may be preset in postgresql.conf, for a database, for a role, for a role in a database,
in the environment or in a service file; a dump includes the presets of its database. Some settings
change the meaning of a statement or the durability of a COMMIT. A session therefore requests all
of them when it connects, reads them back, sets those that differ, and reads them again, because a
pooler may refuse or drop what was requested.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

import msgspec

from runtime.errors import SessionRefused

Rows = Sequence[tuple[Any, ...]]


class Statement(msgspec.Struct, frozen=True):
    """A statement, and whether the check continues if the server refuses it."""

    text: bytes
    arguments: Sequence[Any]
    may_fail: bool = False


class SessionSetting(msgspec.Struct, frozen=True):
    """
    A setting that statements need.

    Args:
        name: Name as in `pg_settings`.

        value: The value that is needed.

        also: Other acceptable values.

        is_sent: Whether it is sent in the start-up packet. A setting that only some versions of
            the server know, or that an operator may have made stronger, is not sent.

        is_privileged: Whether only a superuser may set it. It is checked and never set.
    """

    name: str
    value: str
    also: frozenset[str] = frozenset()
    is_sent: bool = True
    is_privileged: bool = False

    def holds(self, found: str | None) -> bool:
        """Return whether the value *found* is acceptable; None if the server has no setting."""
        if found is None:
            return not self.is_sent
        # A setting of an extension that is not loaded may be empty.
        return found in {self.value, *self.also} or (self.is_privileged and not found)


class Limits(msgspec.Struct, frozen=True):
    """Time limits of a session, in milliseconds; 0 for none."""

    statement_ms: int = 0
    lock_ms: int = 0
    idle_in_transaction_ms: int = 0

    def settings(self) -> list[SessionSetting]:
        """Return the limits as settings, with those that no program ever sets."""
        return [
            SessionSetting("statement_timeout", str(self.statement_ms)),
            SessionSetting("lock_timeout", str(self.lock_ms)),
            SessionSetting(
                "idle_in_transaction_session_timeout", str(self.idle_in_transaction_ms)
            ),
            SessionSetting("idle_session_timeout", "0"),
            # From PostgreSQL 17 on.
            SessionSetting("transaction_timeout", "0", is_sent=False),
        ]


CATALOG_ONLY: Final = "pg_catalog, pg_temp"
WITH_PUBLIC: Final = "public, pg_temp"
"""
Search path for migrations: the extension TimescaleDB is installed into the schema public. The
catalogue is still searched first, because the path does not name it.
"""

MEANING: Final = (
    # Conversion between text and values.
    SessionSetting("DateStyle", "ISO, YMD", frozenset({"ISO, DMY", "ISO, MDY"})),
    SessionSetting("IntervalStyle", "postgres"),
    SessionSetting("TimeZone", "UTC"),
    SessionSetting("client_encoding", "UTF8", is_sent=False),
    SessionSetting("standard_conforming_strings", "on"),
    SessionSetting("bytea_output", "hex"),
    SessionSetting("extra_float_digits", "1", frozenset({"2", "3"})),
    SessionSetting("array_nulls", "on"),
    SessionSetting("quote_all_identifiers", "off"),
    SessionSetting("xmloption", "content"),
    # Effects of a statement.
    SessionSetting("transform_null_equals", "off"),
    SessionSetting("row_security", "on"),
    SessionSetting("exit_on_error", "off"),
    SessionSetting("role", "none"),
    SessionSetting("restrict_nonsystem_relation_kind", "", is_sent=False),
    # Transactions. COMMIT waits for the disk; an operator may also make it wait for a standby.
    SessionSetting("default_transaction_isolation", "read committed"),
    SessionSetting("default_transaction_read_only", "off"),
    SessionSetting("default_transaction_deferrable", "off"),
    SessionSetting("synchronous_commit", "on", frozenset({"remote_apply"}), is_sent=False),
    # Whether triggers and foreign keys fire; the meaning of names in functions; whether a
    # hypertable accepts rows.
    SessionSetting("session_replication_role", "origin", frozenset({"local"}), False, True),
    SessionSetting("plpgsql.variable_conflict", "error", is_sent=False, is_privileged=True),
    SessionSetting("timescaledb.restoring", "off", is_sent=False, is_privileged=True),
    SessionSetting("timescaledb.disable_load", "off", is_sent=False, is_privileged=True),
)
"""Settings on which the meaning of statements or the durability of a COMMIT depends."""

_SPACE: Final = "\\ "
_UNLISTED: Final = frozenset({"role"})
"""Settings that `pg_settings` does not list; nor does it list those of unloaded extensions."""
_READ: Final = b"""
SELECT '' AS name, pg_catalog.pg_backend_pid()::pg_catalog.text AS setting, '' AS source
UNION ALL
SELECT s.name, s.setting, s.source FROM pg_catalog.pg_settings s
WHERE s.name = ANY(%s::pg_catalog.text[])
UNION ALL
SELECT n, pg_catalog.current_setting(n, true), '' FROM pg_catalog.unnest(%s::pg_catalog.text[]) n
"""
_SET: Final = b"SELECT pg_catalog.set_config(%s, %s, false)"
_KEEP: Final = b"""
SELECT pg_catalog.set_config(n, pg_catalog.current_setting(n), false)
FROM pg_catalog.unnest(%s::pg_catalog.text[]) n
"""
_REMEDIES: Final = {
    "database": "it is preset for the database: run ALTER DATABASE ... RESET {name}",
    "user": "it is preset for the role: run ALTER ROLE ... RESET {name}",
    "database user": "it is preset for the role in this database: run"
    " ALTER ROLE ... IN DATABASE ... RESET {name}",
    "configuration file": "it is set in the server's configuration: remove it there",
    "client": "it comes from the connection string, a service file or the environment (PG...):"
    " remove it there",
}
_ANY_REMEDY: Final = (
    "it is preset for the database, the role or the server: run ALTER DATABASE ... RESET {name}"
    " and ALTER ROLE ... RESET {name}, or remove it from postgresql.conf; to end"
    " timescaledb.restoring, run SELECT timescaledb_post_restore()"
)
_POOLED: Final = (
    "a pooler between this program and the database does not keep it: connect without the pooler,"
    " or configure the pooler for session mode instead of transaction or statement mode"
)


def options(settings: Sequence[SessionSetting]) -> str:
    """Return *settings* as libpq's parameter `options`."""
    return " ".join(f"-c {s.name}={s.value.replace(' ', _SPACE)}" for s in settings if s.is_sent)


class _Session(msgspec.Struct, frozen=True):
    """The server process, the values of settings, and their sources in a session."""

    pid: int
    values: Mapping[str, str | None]
    sources: Mapping[str, str]

    def wrong(self, settings: Sequence[SessionSetting]) -> list[SessionSetting]:
        return [s for s in settings if not s.holds(self.values.get(s.name.lower()))]

    def kept(self, settings: Sequence[SessionSetting]) -> list[str]:
        """Return the names of the settings that are right although they were not sent."""
        asked = [s for s in settings if not (s.is_sent or s.is_privileged)]
        values = {s.name: self.values.get(s.name.lower()) for s in asked}
        return [s.name for s in asked if values[s.name] is not None and s.holds(values[s.name])]


def checking(
    settings: Sequence[SessionSetting], *, key_pid: int
) -> Generator[Statement, Rows, int | None]:
    """
    Check and set the settings of a session: yields statements, and receives the rows of each.

    Args:
        settings: The settings that the session needs.

        key_pid: Process id that the server sent at the connection. A pooler invents one.

    Returns:
        The id of the server process if a pooler is in between, otherwise None.

    Raises:
        SessionRefused: The session does not get a setting.
    """
    first = _session((yield _read(settings)))
    wrong = first.wrong(settings)
    for setting in wrong:
        if setting.is_privileged:
            raise _refusal(setting, first, is_pooled=False)
        yield Statement(_SET, [setting.name, setting.value], may_fail=True)
    if kept := first.kept(settings):
        # A value that the session has not set itself changes when the server reloads its
        # configuration, which may be after this check.
        yield Statement(_KEEP, [kept])
    is_pooled = first.pid != key_pid
    if not wrong and not is_pooled:
        return None
    # In a separate statement: a pooler in transaction mode may use another session for it.
    second = _session((yield _read(settings)))
    is_shared = second.pid != first.pid
    if still := second.wrong(settings):
        raise _refusal(still[0], first, is_pooled=is_pooled or is_shared)
    if is_shared:
        raise shared()
    return second.pid if is_pooled else None


def shared() -> SessionRefused:
    """Return the error for a pooler that gives one session to several connections."""
    return SessionRefused(
        "DateStyle and others", wanted="set for this session alone", remedy=_POOLED
    )


def _read(settings: Sequence[SessionSetting]) -> Statement:
    listed = [s.name for s in settings if not _is_unlisted(s.name)]
    return Statement(_READ, [listed, [s.name for s in settings if _is_unlisted(s.name)]])


def _is_unlisted(name: str) -> bool:
    return name in _UNLISTED or "." in name


def _session(rows: Rows) -> _Session:
    texts = [tuple(map(_text, row)) for row in rows]
    found = {str(name).lower(): value for name, value, _ in texts}
    return _Session(
        int(found.pop("") or 0),
        found,
        {str(name).lower(): str(source) for name, _, source in texts},
    )


def _text(value: Any) -> str | None:
    # With the client encoding SQL_ASCII, psycopg returns text as bytes.
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return None if value is None else str(value)


def _refusal(setting: SessionSetting, session: _Session, *, is_pooled: bool) -> SessionRefused:
    remedy = _REMEDIES.get(session.sources.get(setting.name.lower(), ""), _ANY_REMEDY)
    return SessionRefused(
        setting.name,
        wanted=setting.value or "empty",
        remedy=_POOLED if is_pooled else remedy.format(name=setting.name),
    )
