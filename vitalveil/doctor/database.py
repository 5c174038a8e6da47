"""Checks of the telemetry database: schema, roles, grants, durability, and logs of the server."""

import json
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any, Final

import psycopg

from runtime import supported
from schema import roles
from schema.steps import telemetry
from vitalveil.doctor.finding import Finding, note, of_version, sound, wrong

Facts = Mapping[str, Any]
_FACTS: Final = resources.files("vitalveil.doctor").joinpath("sql", "facts.sql")
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
"""Settings that make the server log statements, and the value that turns each off."""
_MIGRATE: Final = "Run `vitalveil ingest migrate`."

_GRANTS: Final = (
    (
        "powerful",
        "roles-power",
        "roles of VitalVeil have more attributes than they need",
        "ALTER ROLE ... NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION",
    ),
    (
        "members",
        "roles-members",
        "a role of VitalVeil is a member of another role",
        "REVOKE the membership",
    ),
    (
        "people_read",
        "grants-people",
        "roles of dashboards can read more than views",
        "REVOKE SELECT on the relation: a user of a dashboard can send any SQL",
    ),
    (
        "vv_create",
        "grants-create",
        "a role may create objects in the schema vv",
        "REVOKE CREATE ON SCHEMA vv",
    ),
    ("ingest_lacks", "grants-ingest", "the role of ingest lacks a grant", "GRANT it as vv_owner"),
    ("trust_lacks", "grants-trust", "the role of trust lacks a grant", "GRANT it as vv_owner"),
    (
        "open_views",
        "views-barrier",
        "a view is not a security barrier",
        "ALTER VIEW ... SET (security_barrier)",
    ),
    (
        "open_functions",
        "functions-open",
        "roles of dashboards may run a function of the owner",
        "REVOKE EXECUTE on the function FROM PUBLIC",
    ),
)


def ask(connection: psycopg.Connection, *, now: float) -> Facts:
    """Return the facts of a database; *now* is this machine's time, seconds since 1970."""
    row = connection.execute(_FACTS.read_text(encoding="utf-8").encode()).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    facts: dict[str, Any] = row[0] if isinstance(row[0], dict) else json.loads(row[0])
    facts["offset"] = now - float(facts["clock"])
    facts["applied"] = _applied(connection) if facts["migrations"] else {}
    return facts


def _applied(connection: psycopg.Connection) -> dict[int, str] | None:
    """Return the digests of the applied migrations; None if this role may not read them."""
    try:
        with connection.transaction():
            found = connection.execute("SELECT number, digest FROM public.vv_migrations")
            return {int(number): str(digest) for number, digest in found}
    except psycopg.errors.InsufficientPrivilege:
        return None


def judge(facts: Facts) -> Iterable[Finding]:
    """Judge the *facts* of a telemetry database."""
    yield from _server(facts)
    if not facts["schema"]:
        yield wrong("database-schema", "the schema vv does not exist", _MIGRATE)
        return
    yield from _schema(facts)
    yield from _extension(facts)
    yield from _durability(facts["settings"])
    yield from _lax_roles(facts)
    yield from _secrecy(facts)
    yield from _grants(facts)


def vault(connection: psycopg.Connection) -> Finding:
    """Check that no role that reads or writes observations may connect to the vault."""
    found = connection.execute(_MAY_CONNECT).fetchall()
    if found:
        names = ", ".join(str(name) for (name,) in found)
        remedy = (
            "REVOKE ALL ON DATABASE ... FROM PUBLIC and from these roles; restore backups with"
            " pg_restore --create, which keeps the rights."
        )
        return wrong("vault-open", f"roles of telemetry may connect to the vault: {names}", remedy)
    return sound("vault-open", "no role of the telemetry database may connect to the vault")


def _server(facts: Facts) -> Iterable[Finding]:
    # PostgreSQL tells 15.20 as 150020.
    version = divmod(facts["version"], 10_000)
    yield of_version("database-version", supported.POSTGRESQL, version)
    if abs(facts["offset"]) > 1:
        remedy = "Run NTP on both machines: permissions begin and end at exact times."
        text = f"the clocks of this machine and the database differ by {facts['offset']:.1f} s"
        yield wrong("database-clock", text, remedy)
    else:
        yield sound("database-clock", "the clocks of this machine and the database agree")
    missing = sorted(set(roles.TELEMETRY) - set(facts["roles"] or ()))
    if missing:
        yield wrong("database-roles", f"roles are missing: {', '.join(missing)}", _MIGRATE)
    if not facts.get("sees_activity", True):
        remedy = "Use --dsn with a role that is a member of pg_read_all_stats."
        yield note("database-transaction", "long transactions could not be checked", remedy)
    if facts["long_transactions"]:
        remedy = "Find it in pg_stat_activity: old rows cannot be removed while it is open."
        yield note("database-transaction", "a transaction is open for over 15 minutes", remedy)


def _schema(facts: Facts) -> Iterable[Finding]:
    if facts["unique_index"]:
        remedy = (
            "Drop the index: the ledger keeps rows unique, and the index makes ingest four times"
            " slower."
        )
        yield note("database-unique-index", "vv.observations has a unique index", remedy)
    applied = facts["applied"]
    if applied is None:
        remedy = "Use --dsn with a role that may read public.vv_migrations."
        yield note("database-migrations", "the applied migrations could not be checked", remedy)
        return
    variant = "timescale" if facts["timescale"] else "native"
    steps = {step.number: step for step in telemetry(variant=variant)}
    pending = sorted(steps.keys() - applied.keys())
    changed = [n for n in steps.keys() & applied.keys() if steps[n].digest != applied[n]]
    if pending:
        yield wrong("database-migrations", f"{len(pending)} migrations are not applied", _MIGRATE)
    elif changed:
        remedy = "Install the version with which this database was migrated, or a later one."
        text = "a migration differs from the one that was applied"
        yield wrong("database-migrations", text, remedy)
    elif applied.keys() - steps.keys():
        remedy = "Upgrade VitalVeil on this machine."
        yield note("database-migrations", "the database has the schema of a later version", remedy)
    else:
        yield sound("database-migrations", f"all {len(steps)} migrations are applied")


def _extension(facts: Facts) -> Iterable[Finding]:
    if facts["timescale"] is None:
        remedy = "Nothing needs to be done. For years of data, TimescaleDB saves space."
        yield note(
            "timescale", "native partitions are used, because TimescaleDB is missing", remedy
        )
        return
    version = tuple(int(part) for part in str(facts["timescale"]).split(".")[:3])
    if supported.TIMESCALEDB.judge(version) is supported.Support.TOO_OLD:
        yield wrong(
            "timescale",
            supported.TIMESCALEDB.describe(version),
            "ALTER EXTENSION timescaledb UPDATE",
        )
    elif version < _PINNED_TIMESCALE:
        remedy = (
            "In production, use 2.29.2 or later: earlier ones may keep deleted rows in chunks."
        )
        yield note("timescale", "TimescaleDB is older than 2.29.2", remedy)
    else:
        yield sound("timescale", f"TimescaleDB {facts['timescale']}")
    if facts["license"] == "apache":
        remedy = "Set timescaledb.license = 'timescale' for compression and continuous aggregates."
        text = "timescaledb.license is apache: VitalVeil's own scheduler maintains the aggregates"
        yield note("timescale-licence", text, remedy)


def _durability(settings: Mapping[str, str]) -> Iterable[Finding]:
    for name, code in (
        ("synchronous_commit", "database-commit"),
        ("fsync", "database-fsync"),
        ("full_page_writes", "database-pages"),
    ):
        if settings.get(name) == "off":
            remedy = f"Set {name} = on: gateways delete envelopes that ingest has acknowledged."
            yield wrong(code, f"{name} is off: a power cut loses acknowledged envelopes", remedy)
        else:
            yield sound(code, f"{name} is {settings.get(name)}")


def _lax_roles(facts: Facts) -> Iterable[Finding]:
    if found := facts.get("lax_roles"):
        remedy = (
            "ALTER ROLE ... RESET synchronous_commit: a role's setting overrides the server's."
        )
        text = f"commits of these roles do not wait for the disk: {', '.join(found)}"
        yield wrong("database-role-commit", text, remedy)


def _secrecy(facts: Facts) -> Iterable[Finding]:
    settings: Mapping[str, str] = facts["settings"]
    if settings.get("log_statement") in ("all", "mod"):
        remedy = "Set log_statement = none or ddl."
        yield wrong("database-log", "the server logs statements, which hold values", remedy)
    samples = any(settings.get(name, unset) != unset for name, unset in _LOGS_SOME)
    if samples and settings.get("log_parameter_max_length") != "0":
        remedy = "Set log_parameter_max_length = 0."
        yield wrong(
            "database-log-parameters", "the server logs slow statements with their values", remedy
        )
    if settings.get("log_parameter_max_length_on_error", "0") != "0":
        remedy = "Set log_parameter_max_length_on_error = 0."
        yield wrong(
            "database-log-errors", "the server logs failed statements with their values", remedy
        )
    if settings.get("log_error_verbosity") != "terse":
        remedy = "Set log_error_verbosity = terse."
        text = "the server logs details of errors, which quote agents and times of observations"
        yield wrong("database-log-detail", text, remedy)
    if settings.get("password_encryption") != "scram-sha-256":
        remedy = "Set password_encryption = 'scram-sha-256', then set each password again."
        yield wrong("database-passwords", "the server stores passwords as MD5", remedy)
    if not facts["encrypted"] and not facts["local"]:
        remedy = "Add sslmode=verify-full and sslrootcert to the dsn."
        yield wrong("database-tls", "the connection crosses a network unencrypted", remedy)


def _grants(facts: Facts) -> Iterable[Finding]:
    for key, code, problem, remedy in _GRANTS:
        found = facts[key]
        if found:
            yield wrong(code, f"{problem}: {', '.join(found)}", f"{remedy}.")
        else:
            yield sound(code, f"not: {problem}")
    if facts["public_create"]:
        remedy = "REVOKE CREATE ON SCHEMA public FROM PUBLIC."
        yield wrong("grants-public", "all roles may create objects in the schema public", remedy)
