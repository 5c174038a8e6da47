"""Checks of the rights that roles of people and dashboards have by PostgreSQL's defaults."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, Final

import psycopg

from vitalveil.doctor.finding import Finding, note, sound, wrong

Facts = Mapping[str, Any]
_FACTS: Final = resources.files("vitalveil.doctor").joinpath("sql", "people.sql")
_LEAST_PLACES: Final = 20


def ask(connection: psycopg.Connection) -> Facts:
    """Return the facts of the telemetry database."""
    row = connection.execute(_FACTS.read_text(encoding="utf-8").encode()).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    facts: Facts = row[0] if isinstance(row[0], dict) else json.loads(row[0])
    return facts


def judge(facts: Facts) -> Iterable[Finding]:
    """Judge the *facts* that `ask` returned."""
    yield from _limits(facts)
    left_open = [*(facts["open"] or ()), *(facts["more"] or ())]
    if left_open:
        text = f"roles of people may use what PostgreSQL grants to PUBLIC: {', '.join(left_open)}"
        remedy = (
            "REVOKE EXECUTE on these functions, TEMPORARY on the database, USAGE on plpgsql and"
            " SELECT on pg_class FROM PUBLIC, as a superuser: migration 0017 has the statements."
        )
        yield wrong("people-open", text, remedy)
    else:
        yield sound(
            "people-open", "roles of people can use no function that counts, locks or writes"
        )
    if elsewhere := facts["elsewhere"]:
        text = f"roles of people may connect to other databases: {', '.join(elsewhere)}"
        remedy = "REVOKE CONNECT ON DATABASE ... FROM PUBLIC: those databases lack these limits."
        yield note("people-elsewhere", text, remedy)
    if facts["prepared"]:
        text = "a session can leave a prepared transaction, whose locks trust cannot end"
        yield note("people-prepared", text, "Set max_prepared_transactions = 0.")
    if facts["activities"] != "on":
        remedy = (
            "Set track_activities = on: otherwise trust cannot end sessions that exceed limits."
        )
        yield wrong("people-activities", "track_activities is off", remedy)


def _limits(facts: Facts) -> Iterable[Finding]:
    found: Sequence[tuple[str, str, str, str]] = (
        (
            "unlimited",
            "people-connections",
            "roles of people have no limit of connections",
            "ALTER ROLE ... CONNECTION LIMIT 8",
        ),
        (
            "unset",
            "people-settings",
            "roles of people lack a setting that their sessions cannot change",
            "As a superuser: ALTER ROLE ... SET temp_file_limit = '64MB'; ... SET"
            " log_min_messages = fatal",
        ),
        (
            "not_ended",
            "people-ended",
            "trust cannot end sessions of roles of people",
            "As a superuser: GRANT vv_reader, vv_grafana TO vv_owner",
        ),
    )
    for key, code, problem, remedy in found:
        if facts[key]:
            yield wrong(code, f"{problem}: {', '.join(facts[key])}", f"{remedy}.")
        else:
            yield sound(code, f"not: {problem}")
    if facts["places"] < _LEAST_PLACES:
        text = "roles of people leave fewer than 20 connections to ingest and trust"
        yield wrong("people-places", text, "Raise max_connections, or lower their limits.")
