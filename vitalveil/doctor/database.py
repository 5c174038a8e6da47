"""The telemetry database: its schema, roles and grants, and what a server must not be told."""

import json
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any, Final

import psycopg

from schema import roles
from schema.steps import telemetry
from vitalveil.doctor.finding import Finding, note, sound, wrong

Facts = Mapping[str, Any]
_FACTS: Final = resources.files("vitalveil.doctor").joinpath("sql", "facts.sql")
_LEAST_SERVER: Final = 150_000
_LEAST_TIMESCALE: Final = (2, 25)
_PINNED_TIMESCALE: Final = (2, 29, 2)
_MAY_CONNECT: Final = """
SELECT rolname FROM pg_roles
WHERE rolname IN ('vv_ingest', 'vv_reader', 'vv_grafana')
    AND has_database_privilege(oid, current_database(), 'CONNECT')
ORDER BY rolname
"""
_LOGS_SOME: Final = (
    ("log_min_duration_statement", "-1"),
    ("log_min_duration_sample", "-1"),
    ("log_transaction_sample_rate", "0"),
)
"""What has statements logged, and when it has none."""
_MIGRATE: Final = "Run `vitalveil ingest migrate`."

_GRANTS: Final = (
    (
        "powerful",
        "roles-power",
        "roles of ours are more than they need",
        "ALTER ROLE ... NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION",
    ),
    ("members", "roles-members", "a role of ours is a member of another", "REVOKE it"),
    (
        "people_read",
        "grants-people",
        "people's roles read more than views",
        "REVOKE SELECT on it: whoever sees a dashboard can send any SQL",
    ),
    ("vv_create", "grants-create", "a role may create in vv", "REVOKE CREATE ON SCHEMA vv"),
    ("ingest_lacks", "grants-ingest", "ingest lacks a grant", "GRANT it as vv_owner"),
    ("trust_lacks", "grants-trust", "trust lacks a grant", "GRANT it as vv_owner"),
    (
        "open_views",
        "views-barrier",
        "a view is no security barrier",
        "ALTER VIEW ... SET (security_barrier)",
    ),
    (
        "open_functions",
        "functions-open",
        "people's roles may run a function of the owner",
        "REVOKE EXECUTE on it FROM PUBLIC",
    ),
)


def ask(connection: psycopg.Connection, *, now: float) -> Facts:
    """Return what is so; *now* is this machine's time, seconds since 1970."""
    row = connection.execute(_FACTS.read_text(encoding="utf-8").encode()).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    facts: dict[str, Any] = row[0] if isinstance(row[0], dict) else json.loads(row[0])
    facts["offset"] = now - float(facts["clock"])
    facts["applied"] = _applied(connection) if facts["migrations"] else {}
    return facts


def _applied(connection: psycopg.Connection) -> dict[int, str] | None:
    """Return the digests of what was applied; None when this role may not see them."""
    try:
        with connection.transaction():
            found = connection.execute("SELECT number, digest FROM public.vv_migrations")
            return {int(number): str(digest) for number, digest in found}
    except psycopg.errors.InsufficientPrivilege:
        return None


def judge(facts: Facts) -> Iterable[Finding]:
    """Judge what a database says of itself."""
    yield from _server(facts)
    if not facts["schema"]:
        yield wrong("database-schema", "the schema vv is not there", _MIGRATE)
        return
    yield from _schema(facts)
    yield from _extension(facts)
    yield from _durability(facts["settings"])
    yield from _lax_roles(facts)
    yield from _secrecy(facts)
    yield from _grants(facts)


def vault(connection: psycopg.Connection) -> Finding:
    """Look at who may connect to the vault: nobody who reads or writes observations."""
    found = connection.execute(_MAY_CONNECT).fetchall()
    if found:
        names = ", ".join(str(name) for (name,) in found)
        mend = "REVOKE ALL ON DATABASE ... FROM PUBLIC, and from them; restore it with --create."
        return wrong("vault-open", f"they may connect to the vault: {names}", mend)
    return sound("vault-open", "nobody of the telemetry database may connect to the vault")


def _server(facts: Facts) -> Iterable[Finding]:
    if facts["version"] < _LEAST_SERVER:
        yield wrong("database-version", "PostgreSQL is older than 15", "Upgrade to 17.")
    if abs(facts["offset"]) > 1:
        mend = "Let NTP run on both machines: consent is a matter of time."
        yield wrong("database-clock", f"the clocks differ by {facts['offset']:.1f} s", mend)
    else:
        yield sound("database-clock", "the clocks agree")
    missing = sorted(set(roles.TELEMETRY) - set(facts["roles"] or ()))
    if missing:
        yield wrong("database-roles", f"roles are missing: {', '.join(missing)}", _MIGRATE)
    if not facts.get("sees_activity", True):
        mend = "Give --dsn of a role in pg_read_all_stats to have it checked."
        yield note("database-transaction", "how long transactions last cannot be seen", mend)
    if facts["long_transactions"]:
        mend = "Find it in pg_stat_activity: old rows cannot be removed while it runs."
        yield note("database-transaction", "a transaction is open for 15 minutes", mend)


def _schema(facts: Facts) -> Iterable[Finding]:
    if facts["unique_index"]:
        mend = "Drop it: the ledger makes rows unique, and it costs three quarters of the speed."
        yield note("database-unique-index", "vv.observations has a unique index", mend)
    applied = facts["applied"]
    if applied is None:
        mend = "Give --dsn of a role that may read public.vv_migrations to have it checked."
        yield note("database-migrations", "which migrations were applied cannot be seen", mend)
        return
    variant = "timescale" if facts["timescale"] else "native"
    steps = {step.number: step for step in telemetry(variant=variant)}
    pending = sorted(steps.keys() - applied.keys())
    changed = [n for n in steps.keys() & applied.keys() if steps[n].digest != applied[n]]
    if pending:
        yield wrong("database-migrations", f"{len(pending)} migrations are not applied", _MIGRATE)
    elif changed:
        mend = "Install the release that this database was migrated with, or a later one."
        yield wrong("database-migrations", "a migration is another than was applied", mend)
    elif applied.keys() - steps.keys():
        mend = "Upgrade the software: the database is ahead of it."
        yield note("database-migrations", "the database is of a later release", mend)
    else:
        yield sound("database-migrations", f"all {len(steps)} migrations are applied")


def _extension(facts: Facts) -> Iterable[Finding]:
    if facts["timescale"] is None:
        mend = "Nothing to do; for years of data, TimescaleDB compresses them."
        yield note("timescale", "TimescaleDB is not there: native partitions", mend)
        return
    version = tuple(int(part) for part in str(facts["timescale"]).split(".")[:3])
    if version < _LEAST_TIMESCALE:
        yield wrong(
            "timescale", "TimescaleDB is older than 2.25", "ALTER EXTENSION timescaledb UPDATE"
        )
    elif version < _PINNED_TIMESCALE:
        mend = "In production, use 2.29.2 or later: earlier ones may keep deleted rows in chunks."
        yield note("timescale", "TimescaleDB is older than 2.29.2", mend)
    else:
        yield sound("timescale", f"TimescaleDB {facts['timescale']}")
    if facts["license"] == "apache":
        mend = "Set timescaledb.license = 'timescale' for compression and continuous aggregates."
        yield note("timescale-licence", "the licence is apache: our own scheduler serves", mend)


def _durability(settings: Mapping[str, str]) -> Iterable[Finding]:
    for name, code in (
        ("synchronous_commit", "database-commit"),
        ("fsync", "database-fsync"),
        ("full_page_writes", "database-pages"),
    ):
        if settings.get(name) == "off":
            mend = f"Set {name} = on: gateways forget what ingest said was committed."
            yield wrong(code, f"{name} is off: a power cut loses what was acknowledged", mend)
        else:
            yield sound(code, f"{name} is {settings.get(name)}")


def _lax_roles(facts: Facts) -> Iterable[Finding]:
    if found := facts.get("lax_roles"):
        mend = "ALTER ROLE ... RESET synchronous_commit: what a role is told wins over the server."
        text = f"commits of these do not wait for the disk: {', '.join(found)}"
        yield wrong("database-role-commit", text, mend)


def _secrecy(facts: Facts) -> Iterable[Finding]:
    settings: Mapping[str, str] = facts["settings"]
    if settings.get("log_statement") in ("all", "mod"):
        mend = "Set log_statement = none or ddl."
        yield wrong("database-log", "the server logs statements, and these hold values", mend)
    samples = any(settings.get(name, unset) != unset for name, unset in _LOGS_SOME)
    if samples and settings.get("log_parameter_max_length") != "0":
        mend = "Set log_parameter_max_length = 0."
        yield wrong("database-log-parameters", "slow statements are logged with values", mend)
    if settings.get("log_parameter_max_length_on_error", "0") != "0":
        mend = "Set log_parameter_max_length_on_error = 0."
        yield wrong("database-log-errors", "statements that fail are logged with values", mend)
    if settings.get("log_error_verbosity") != "terse":
        mend = "Set log_error_verbosity = terse."
        text = "an error's detail is logged, and quotes agents and times of observations"
        yield wrong("database-log-detail", text, mend)
    if settings.get("password_encryption") != "scram-sha-256":
        mend = "Set password_encryption = 'scram-sha-256', then set each password anew."
        yield wrong("database-passwords", "passwords are stored as MD5", mend)
    if not facts["encrypted"] and not facts["local"]:
        mend = "Add sslmode=verify-full and sslrootcert to the dsn."
        yield wrong("database-tls", "the connection crosses a network unencrypted", mend)


def _grants(facts: Facts) -> Iterable[Finding]:
    for key, code, problem, mend in _GRANTS:
        found = facts[key]
        if found:
            yield wrong(code, f"{problem}: {', '.join(found)}", f"{mend}.")
        else:
            yield sound(code, f"not: {problem}")
    if facts["public_create"]:
        mend = "REVOKE CREATE ON SCHEMA public FROM PUBLIC."
        yield wrong("grants-public", "everybody may create in the schema public", mend)
