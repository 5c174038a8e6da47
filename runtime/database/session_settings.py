"""
What every session with PostgreSQL asks for, and how it is seen that it got it. Pure.

A setting may be preset in postgresql.conf, for a database, for a role, for a role in a database,
in the environment or in a service file, and a dump carries those of its database along. Several of
them change what a statement means or what a COMMIT promises, so a session takes none of them as it
finds it: it asks for each when it connects, reads back what it has, sets what differs, and reads
again, because a pooler may refuse or drop what was asked for.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

import msgspec

from runtime.errors import SessionRefused

Rows = Sequence[tuple[Any, ...]]


class Statement(msgspec.Struct, frozen=True):
    """A statement, and whether the session may go on after the server has refused it."""

    text: bytes
    arguments: Sequence[Any]
    may_fail: bool = False


class Setting(msgspec.Struct, frozen=True):
    """
    A setting that is relied on.

    Args:
        name: As `pg_settings` writes it.

        value: What it has to be.

        also: Other values that will do.

        is_sent: Whether it goes along with the start-up packet. Not what only some versions of the
            server know, nor what an operator may have set to something stronger.

        is_privileged: Whether only a superuser may set it. It is looked at, and never set.
    """

    name: str
    value: str
    also: frozenset[str] = frozenset()
    is_sent: bool = True
    is_privileged: bool = False

    def holds(self, found: str | None) -> bool:
        """Tell whether *found* will do; None stands for a setting unknown to the server."""
        if found is None:
            return not self.is_sent
        # A setting of an extension that is not loaded may be empty.
        return found in {self.value, *self.also} or (self.is_privileged and not found)


class Limits(msgspec.Struct, frozen=True):
    """Time limits of a session, in milliseconds; 0 for none."""

    statement_ms: int = 0
    lock_ms: int = 0
    idle_in_transaction_ms: int = 0

    def settings(self) -> list[Setting]:
        """Return them as settings; the limits that we never want among them."""
        return [
            Setting("statement_timeout", str(self.statement_ms)),
            Setting("lock_timeout", str(self.lock_ms)),
            Setting("idle_in_transaction_session_timeout", str(self.idle_in_transaction_ms)),
            Setting("idle_session_timeout", "0"),
            # From PostgreSQL 17 on.
            Setting("transaction_timeout", "0", is_sent=False),
        ]


CATALOG_ONLY: Final = "pg_catalog, pg_temp"
WITH_PUBLIC: Final = "public, pg_temp"
"""
For migrations: TimescaleDB's functions are in the schema public, and its extension goes there. The
catalogue is searched first all the same, because it is not named.
"""

MEANING: Final = (
    # What text becomes a value, and what text a value becomes.
    Setting("DateStyle", "ISO, YMD", frozenset({"ISO, DMY", "ISO, MDY"})),
    Setting("IntervalStyle", "postgres"),
    Setting("TimeZone", "UTC"),
    Setting("client_encoding", "UTF8", is_sent=False),
    Setting("standard_conforming_strings", "on"),
    Setting("bytea_output", "hex"),
    Setting("extra_float_digits", "1", frozenset({"2", "3"})),
    Setting("array_nulls", "on"),
    Setting("quote_all_identifiers", "off"),
    Setting("xmloption", "content"),
    # What a statement does.
    Setting("transform_null_equals", "off"),
    Setting("row_security", "on"),
    Setting("exit_on_error", "off"),
    Setting("role", "none"),
    Setting("restrict_nonsystem_relation_kind", "", is_sent=False),
    # What a transaction is. COMMIT waits for the disk; an operator may have it wait for a standby.
    Setting("default_transaction_isolation", "read committed"),
    Setting("default_transaction_read_only", "off"),
    Setting("default_transaction_deferrable", "off"),
    Setting("synchronous_commit", "on", frozenset({"remote_apply"}), is_sent=False),
    # Whether triggers and foreign keys fire; what a function's names mean; whether a hypertable
    # takes rows, and takes them for its own.
    Setting("session_replication_role", "origin", frozenset({"local"}), False, True),
    Setting("plpgsql.variable_conflict", "error", is_sent=False, is_privileged=True),
    Setting("timescaledb.restoring", "off", is_sent=False, is_privileged=True),
    Setting("timescaledb.disable_load", "off", is_sent=False, is_privileged=True),
)
"""Whoever changes it changes what our statements mean, or what they promise."""

_SPACE: Final = "\\ "
_UNLISTED: Final = frozenset({"role"})
"""What `pg_settings` does not show, as it shows no setting of an extension not yet loaded."""
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
    "configuration file": "it is set in the server's configuration: take it out there",
    "client": "it comes from the connection string, a service file or the environment (PG...):"
    " take it out there",
}
_ANY_REMEDY: Final = (
    "it is preset for the database, the role or the server: run ALTER DATABASE ... RESET {name}"
    " and ALTER ROLE ... RESET {name}, or take it out of postgresql.conf; timescaledb.restoring is"
    " ended by SELECT timescaledb_post_restore()"
)
_POOLED: Final = (
    "a pooler between this program and the database does not keep it: connect without the pooler,"
    " or have it pool sessions, not transactions or statements"
)


def options(settings: Sequence[Setting]) -> str:
    """Return *settings* as libpq's parameter `options`."""
    return " ".join(f"-c {s.name}={s.value.replace(' ', _SPACE)}" for s in settings if s.is_sent)


class _Session(msgspec.Struct, frozen=True):
    """What a session has."""

    pid: int
    values: Mapping[str, str | None]
    sources: Mapping[str, str]

    def wrong(self, settings: Sequence[Setting]) -> list[Setting]:
        return [s for s in settings if not s.holds(self.values.get(s.name.lower()))]

    def kept(self, settings: Sequence[Setting]) -> list[str]:
        """Return the settings that are as they should be, and were not asked for."""
        asked = [s for s in settings if not (s.is_sent or s.is_privileged)]
        values = {s.name: self.values.get(s.name.lower()) for s in asked}
        return [s.name for s in asked if values[s.name] is not None and s.holds(values[s.name])]


def checking(
    settings: Sequence[Setting], *, key_pid: int
) -> Generator[Statement, Rows, int | None]:
    """
    Yield statements, and be sent the rows of each, until the session has all of *settings*.

    Args:
        settings: What it has to have.

        key_pid: The process that the server named when it was connected to. A pooler makes it up.

    Returns:
        The server's process when a pooler is in between, otherwise None.

    Raises:
        SessionRefused: It does not get one of them.
    """
    first = _session((yield _read(settings)))
    wrong = first.wrong(settings)
    for setting in wrong:
        if setting.is_privileged:
            raise _refusal(setting, first, is_pooled=False)
        yield Statement(_SET, [setting.name, setting.value], may_fail=True)
    if kept := first.kept(settings):
        # What is not asked for at the start follows the server's configuration when that is read
        # again, under a session that was looked at before.
        yield Statement(_KEEP, [kept])
    is_pooled = first.pid != key_pid
    if not wrong and not is_pooled:
        return None
    # In another statement: a pooler of transactions may have sent this one to another session.
    second = _session((yield _read(settings)))
    is_shared = second.pid != first.pid
    if still := second.wrong(settings):
        raise _refusal(still[0], first, is_pooled=is_pooled or is_shared)
    if is_shared:
        raise shared()
    return second.pid if is_pooled else None


def shared() -> SessionRefused:
    """Return the refusal of a pooler that gives one session to several connections."""
    return SessionRefused("DateStyle and others", wanted="this session's own", remedy=_POOLED)


def _read(settings: Sequence[Setting]) -> Statement:
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
    # Text comes as bytes where the client's encoding is SQL_ASCII.
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return None if value is None else str(value)


def _refusal(setting: Setting, session: _Session, *, is_pooled: bool) -> SessionRefused:
    remedy = _REMEDIES.get(session.sources.get(setting.name.lower(), ""), _ANY_REMEDY)
    return SessionRefused(
        setting.name,
        wanted=setting.value or "empty",
        remedy=_POOLED if is_pooled else remedy.format(name=setting.name),
    )
