"""Faults to plant in an installation, each with the finding of the doctor that it causes."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import psycopg

from simulators.stack.system import System


@contextlib.contextmanager
def _text(path: Path, old: str, new: str) -> Iterator[None]:
    """Replace *old* in a file while the context is open."""
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    try:
        yield
    finally:
        path.write_text(before)


@contextlib.contextmanager
def open_to_others(path: Path) -> Iterator[None]:
    """Let others read a file while the context is open."""
    before = path.stat().st_mode
    path.chmod(0o644)
    try:
        yield
    finally:
        path.chmod(before)


@contextlib.contextmanager
def _swapped(path: Path, other: Path) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(other.read_bytes())
    try:
        yield
    finally:
        path.write_bytes(before)


@contextlib.contextmanager
def _sql(whole: System, do: str, undo: str, database: str) -> Iterator[None]:
    with psycopg.connect(whole.databases.admin(database), autocommit=True) as admin:
        admin.execute(do.encode())
        try:
            yield
        finally:
            admin.execute(undo.encode())


@contextlib.contextmanager
def _stopped(whole: System) -> Iterator[None]:
    whole.broker.stop()
    try:
        yield
    finally:
        whole.broker.start()


def _option(old: str, new: str) -> Callable[[System], AbstractContextManager[None]]:
    return lambda whole: _text(whole.broker.folder / "mosquitto.conf", old, new)


def _rule(old: str, new: str) -> Callable[[System], AbstractContextManager[None]]:
    return lambda whole: _text(whole.broker.folder / "acl", old, new)


def _statement(
    do: str, undo: str, *, database: str = "telemetry"
) -> Callable[[System], AbstractContextManager[None]]:
    return lambda whole: _sql(whole, do, undo, database)


def _database(setting: str, value: str) -> Callable[[System], AbstractContextManager[None]]:
    return _statement(
        f"ALTER DATABASE vv_telemetry SET {setting} = '{value}'",
        f"ALTER DATABASE vv_telemetry RESET {setting}",
    )


def _trust(old: str, new: str) -> Callable[[System], AbstractContextManager[None]]:
    return lambda whole: _text(whole.folder / "trust.toml", old, new.format(folder=whole.folder))


_REVOKE: Final = """
INSERT INTO vault.agents (agent, format, applied, revoked_at, cut_at)
    VALUES ('00000000000000a1', 'json', 1, now(), now());
INSERT INTO vault.certificates (serial, agent, not_after)
    VALUES (36893488147419103232, '00000000000000a1', now() + interval '1 year');
INSERT INTO vault.revocations (serial) VALUES (36893488147419103232)
"""
"""Deleted from the vault alone, as if the list had not reached the broker."""
_FORGET: Final = """
DELETE FROM vault.revocations WHERE serial = 36893488147419103232;
DELETE FROM vault.certificates WHERE agent = '00000000000000a1';
DELETE FROM vault.clone_signs WHERE agent = '00000000000000a1';
DELETE FROM vault.agents WHERE agent = '00000000000000a1'
"""
_UNCUT: Final = """
INSERT INTO vault.agents (agent, format, applied, revoked_at)
    VALUES ('00000000000000a1', 'json', 1, now())
"""
_CLONED: Final = """
INSERT INTO vault.agents (agent, format, applied) VALUES ('00000000000000a1', 'json', 1);
INSERT INTO vault.clone_signs (agent, kind) VALUES ('00000000000000a1', 'renewed_twice')
"""


PLANTS: Final[dict[str, tuple[str, Callable[[System], AbstractContextManager[None]]]]] = {
    "a setting that is none": (
        "ingest-settings",
        lambda w: _text(w.folder / "ingest.toml", "[broker]", "[brocker]"),
    ),
    "ingest's key open to others": (
        "ingest-settings",
        lambda w: open_to_others(w.keys / "ingest.key"),
    ),
    "a TLS key open to others": ("ingest-tls-key", lambda w: open_to_others(w.pki / "ingest.key")),
    "a password open to others": (
        "ingest-password",
        lambda w: open_to_others(w.databases.password_file("vv_ingest")),
    ),
    "trust's password open to others": (
        "trust-vault-password",
        lambda w: open_to_others(w.databases.password_file("vv_trust")),
    ),
    "a key of another certificate": (
        "ingest-tls",
        lambda w: _swapped(w.pki / "ingest.key", w.pki / "trust.key"),
    ),
    "another program's certificate": (
        "ingest-name",
        lambda w: _text(w.folder / "ingest.toml", "pki/ingest.", "pki/trust."),
    ),
    "a broker that is away": ("broker-reachable", _stopped),
    "anyone may connect": ("broker-anonymous", _option("allow_anonymous false", "")),
    "no certificates wanted": (
        "broker-certificates",
        _option("require_certificate true", "require_certificate false"),
    ),
    "names that are not of certificates": (
        "broker-identity",
        _option("use_identity_as_username true", ""),
    ),
    "client ids that are free": ("broker-client-id", _option("use_username_as_clientid true", "")),
    "older TLS": ("broker-tls-version", _option("tls_version tlsv1.3", "tls_version tlsv1.2")),
    "no revocation list": ("broker-revocations", _option("crlfile", "#crlfile")),
    "a list without one who is revoked": (
        "trust-revocations",
        _statement(_REVOKE, _FORGET, database="vault"),
    ),
    "a gateway that is not cut off": (
        "trust-uncut",
        _statement(_UNCUT, _FORGET, database="vault"),
    ),
    "a gateway that was copied": (
        "trust-clone",
        _statement(_CLONED, _FORGET, database="vault"),
    ),
    "a list that trust writes elsewhere": (
        "broker-revocations-file",
        _trust("crl.pem", "other.pem"),
    ),
    "a list that the broker's user may not read": (
        "broker-revocations-readable",
        _option("user root", "user nobody"),
    ),
    "no rules": ("broker-acl", _option("acl_file", "#acl_file")),
    "a listener without TLS": ("broker-server-certificate", _option("certfile", "#certfile")),
    "a second listener, open to all": (
        "broker-server-certificate",
        _option("log_dest stdout", "log_dest stdout\nlistener 1883"),
    ),
    "a number that is none": (
        "broker-packet-size",
        _option("max_packet_size 131072", "max_packet_size lots"),
    ),
    "nothing persistent": (
        "broker-persistence",
        _option("persistence true", "persistence false"),
    ),
    "small packets": (
        "broker-packet-size",
        _option("max_packet_size 131072", "max_packet_size 4096"),
    ),
    "a short queue": (
        "broker-queue",
        _option("max_queued_messages 0", "max_queued_messages 100"),
    ),
    "a rule too many": (
        "broker-acl-wide",
        _rule("topic write vv1/lease/+", "topic write vv1/lease/+\ntopic readwrite #"),
    ),
    "a rule too few": ("broker-acl-missing", _rule("pattern read vv1/receipt/%u\n", "")),
    "a grant too many": (
        "grants-people",
        _statement(
            "GRANT SELECT ON vv.observations TO vv_grafana",
            "REVOKE SELECT ON vv.observations FROM vv_grafana",
        ),
    ),
    "a grant on a column": (
        "grants-people",
        _statement(
            "GRANT SELECT (value) ON vv.observations TO vv_grafana",
            "REVOKE SELECT (value) ON vv.observations FROM vv_grafana",
        ),
    ),
    "a role whose commits do not wait": (
        "database-role-commit",
        _statement(
            "ALTER ROLE vv_trust SET synchronous_commit = off",
            "ALTER ROLE vv_trust RESET synchronous_commit",
        ),
    ),
    "details of errors in the log": (
        "database-log-detail",
        _database("log_error_verbosity", "default"),
    ),
    "a listener that is not written down": (
        "broker-default-listener",
        _option("per_listener_settings false", "use_username_as_clientid true"),
    ),
    "a grant too few": (
        "grants-ingest",
        _statement(
            "REVOKE INSERT ON vv.envelopes FROM vv_ingest",
            "GRANT INSERT ON vv.envelopes TO vv_ingest",
        ),
    ),
    "trust without a grant": (
        "grants-trust",
        _statement(
            "REVOKE INSERT ON vv.series FROM vv_trust", "GRANT INSERT ON vv.series TO vv_trust"
        ),
    ),
    "people without a number": (
        "people-connections",
        _statement(
            "ALTER ROLE vv_grafana CONNECTION LIMIT -1", "ALTER ROLE vv_grafana CONNECTION LIMIT 8"
        ),
    ),
    "people whose files are unbounded": (
        "people-settings",
        _statement(
            "ALTER ROLE vv_reader RESET temp_file_limit",
            "ALTER ROLE vv_reader SET temp_file_limit = '64MB'",
        ),
    ),
    "people whose sessions cannot be ended": (
        "people-ended",
        _statement("REVOKE vv_reader FROM vv_owner", "GRANT vv_reader TO vv_owner"),
    ),
    "locks for everyone": (
        "people-open",
        _statement(
            "GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC",
            "REVOKE EXECUTE ON FUNCTION pg_advisory_lock(bigint) FROM PUBLIC",
        ),
    ),
    "temporary tables for everyone": (
        "people-open",
        _statement(
            "GRANT TEMPORARY ON DATABASE vv_telemetry TO PUBLIC",
            "REVOKE TEMPORARY ON DATABASE vv_telemetry FROM PUBLIC",
        ),
    ),
    "sessions that are not seen": ("people-activities", _database("track_activities", "off")),
    "a superuser of ours": (
        "roles-power",
        _statement("ALTER ROLE vv_grafana SUPERUSER", "ALTER ROLE vv_grafana NOSUPERUSER"),
    ),
    "a role in the owner's": (
        "roles-members",
        _statement("GRANT vv_owner TO vv_ingest", "REVOKE vv_owner FROM vv_ingest"),
    ),
    "everybody creates": (
        "grants-public",
        _statement(
            "GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        ),
    ),
    "a vault that others may connect to": (
        "vault-open",
        _statement(
            "GRANT CONNECT ON DATABASE vv_vault TO vv_grafana",
            "REVOKE CONNECT ON DATABASE vv_vault FROM vv_grafana",
        ),
    ),
    "a view without its barrier": (
        "views-barrier",
        _statement(
            "ALTER VIEW vv.ops_series RESET (security_barrier)",
            "ALTER VIEW vv.ops_series SET (security_barrier)",
        ),
    ),
    "a function of the owner for all": (
        "functions-open",
        _statement(
            "GRANT EXECUTE ON FUNCTION vv.change_permissions() TO PUBLIC",
            "REVOKE EXECUTE ON FUNCTION vv.change_permissions() FROM PUBLIC",
        ),
    ),
    "a preset that sessions override": (
        "database-presets",
        _database("datestyle", "German, DMY"),
    ),
    "a preset of a role in the vault": (
        "vault-presets",
        _statement(
            "ALTER ROLE vv_trust IN DATABASE vv_vault SET timezone = 'Asia/Kolkata'",
            "ALTER ROLE vv_trust IN DATABASE vv_vault RESET timezone",
        ),
    ),
    "a preset that programs refuse": (
        "vault-session",
        _statement(
            "ALTER DATABASE vv_vault SET session_replication_role = replica",
            "ALTER DATABASE vv_vault RESET session_replication_role",
        ),
    ),
    "a role's statements in the log": (
        "database-presets-log",
        _statement(
            "ALTER ROLE vv_trust SET log_statement = 'all'",
            "ALTER ROLE vv_trust RESET log_statement",
        ),
    ),
    "a replication slot without a reader": (
        "database-slots",
        _statement(
            "SELECT pg_create_physical_replication_slot('planted', true)",
            "SELECT pg_drop_replication_slot('planted')",
        ),
    ),
    "commits that do not wait": ("database-commit", _database("synchronous_commit", "off")),
    "statements in the log": ("database-log", _database("log_statement", "all")),
    "passwords as MD5": ("database-passwords", _database("password_encryption", "md5")),
    "a unique index on observations": (
        "database-unique-index",
        _statement(
            "CREATE UNIQUE INDEX planted ON vv.observations (series_id, time)",
            "DROP INDEX vv.planted",
        ),
    ),
    "a password that is wrong": (
        "database-reachable",
        lambda w: _text(
            w.databases.password_file("vv_ingest"),
            w.databases.password_file("vv_ingest").read_text(),
            "wrong",
        ),
    ),
}
