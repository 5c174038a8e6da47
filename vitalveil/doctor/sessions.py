"""Checks of presets and of other sessions: settings, old snapshots, locks, replication slots."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, Final

import psycopg

from runtime.database.session_settings import MEANING, Limits, SessionSetting
from vitalveil.doctor.finding import Finding, note, sound, wrong

Facts = Mapping[str, Any]
_FACTS: Final = resources.files("vitalveil.doctor").joinpath("sql", "sessions.sql")
_RELIED_ON: Final[Mapping[str, SessionSetting]] = {
    setting.name.lower(): setting
    for setting in (*MEANING, *Limits().settings(), SessionSetting("search_path", ""))
}
_LOGS: Final[Mapping[str, frozenset[str]]] = {
    "log_statement": frozenset({"none", "ddl"}),
    "log_min_duration_statement": frozenset({"-1"}),
    "log_min_duration_sample": frozenset({"-1"}),
    "log_transaction_sample_rate": frozenset({"0"}),
    "log_parameter_max_length_on_error": frozenset({"0"}),
    "auto_explain.log_min_duration": frozenset({"-1"}),
    "debug_print_parse": frozenset({"off", "false"}),
    "debug_print_rewritten": frozenset({"off", "false"}),
    "debug_print_plan": frozenset({"off", "false"}),
}
"""Settings that make the server log statements with values, and the values that are harmless."""
_QUEUE_FULL: Final = 0.1
_RETAINED: Final = 1 << 30


def ask(connection: psycopg.Connection) -> Facts:
    """Return the facts of the database of *connection*."""
    row = connection.execute(_FACTS.read_text(encoding="utf-8").encode()).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    facts: Facts = row[0] if isinstance(row[0], dict) else json.loads(row[0])
    return facts


def judge(facts: Facts, *, name: str) -> Iterable[Finding]:
    """Judge *facts*; *name*, `database` or `vault`, is the prefix of each code."""
    yield from _presets(facts, name)
    if facts["encoding"] != "UTF8":
        remedy = "Dump the database, create it again with ENCODING 'UTF8', and restore the dump."
        text = "the encoding is not UTF8: names in some languages cannot be stored"
        yield wrong(f"{name}-encoding", text, remedy)
    if float(facts["queue"]) > _QUEUE_FULL:
        remedy = (
            "Find in pg_stat_activity the session that uses LISTEN in an open transaction, and end"
            " it. VitalVeil does not use NOTIFY, but other programs on this server fail."
        )
        yield note(f"{name}-notifications", "the server's notification queue fills up", remedy)
    else:
        yield sound(f"{name}-notifications", "the server's notification queue has enough room")
    yield from _activity(facts, name)
    yield from _slots(facts, name)


def _presets(facts: Facts, name: str) -> Iterable[Finding]:
    refused: list[str] = []
    repaired: list[str] = []
    logged: list[str] = []
    for database, role, setting, value in facts["presets"] or ():
        key, where = str(setting).lower(), _where(database, role, str(setting))
        relied_on = _RELIED_ON.get(key)
        if relied_on is not None and not relied_on.holds(str(value)):
            (refused if relied_on.is_privileged else repaired).append(where)
        if key in _LOGS and str(value).lower() not in _LOGS[key]:
            logged.append(where)
    if refused:
        text = "because of presets, all programs refuse this database"
        yield wrong(f"{name}-presets", text, _undo(refused))
    elif repaired:
        text = "there are presets that VitalVeil's sessions override, but other sessions do not"
        yield note(f"{name}-presets", text, _undo(repaired))
    else:
        yield sound(f"{name}-presets", "no preset changes the meaning of statements")
    if logged:
        text = "because of presets, the server logs statements, which hold values"
        yield wrong(f"{name}-presets-log", text, _undo(logged))


def _where(database: str | None, role: str | None, setting: str) -> str:
    if role is None:
        return f"ALTER DATABASE {database} RESET {setting}" if database else (
            f"ALTER ROLE ALL RESET {setting}"
        )  # fmt: skip
    inside = f" IN DATABASE {database}" if database else ""
    return f"ALTER ROLE {role}{inside} RESET {setting}"


def _undo(statements: Sequence[str]) -> str:
    return f"Run: {'; '.join(statements)}."


def _activity(facts: Facts, name: str) -> Iterable[Finding]:
    if not facts["sees_activity"]:
        remedy = (
            "Use --dsn with a role that is a member of pg_read_all_stats."
            if name == "database"
            else "Check pg_stat_activity with a role that is a member of pg_read_all_stats."
        )
        text = "sessions of other roles and feedback of standbys could not be checked"
        yield note(f"{name}-sessions", text, remedy)
    if facts["old_snapshots"]:
        remedy = (
            "Find them in pg_stat_activity by backend_xmin, and end them: until then, erased data"
            " stay in the files of the tables."
        )
        text = f"{facts['old_snapshots']} sessions have held a snapshot for over 5 minutes"
        yield note(f"{name}-snapshots", text, remedy)
    if facts["idle_transactions"]:
        remedy = "Find them in pg_stat_activity, state idle in transaction, and end them."
        text = (
            f"{facts['idle_transactions']} sessions have been idle in a transaction for a minute"
        )
        yield note(f"{name}-idle-transactions", text, remedy)
    if facts["feedback"]:
        remedy = "Set hot_standby_feedback = off on the standby, or end its long queries."
        text = "a standby with hot_standby_feedback delays the removal of erased data"
        yield note(f"{name}-standby-feedback", text, remedy)
    if facts["prepared"]:
        remedy = "Find them in pg_prepared_xacts: COMMIT PREPARED or ROLLBACK PREPARED each."
        text = f"{facts['prepared']} prepared transactions hold locks and snapshots"
        yield wrong(f"{name}-prepared", text, remedy)
    else:
        yield sound(f"{name}-prepared", "no prepared transaction is left")


def _slots(facts: Facts, name: str) -> Iterable[Finding]:
    slots: Sequence[Mapping[str, Any]] = facts["slots"] or ()
    full = [s["name"] for s in slots if float(s["bytes"] or 0) > _RETAINED]
    idle = [s["name"] for s in slots if not s["active"] and s["name"] not in full]
    holding = [s["name"] for s in slots if s["holds"] and s["name"] not in (*full, *idle)]
    remedy = "Connect its standby or subscriber, or run SELECT pg_drop_replication_slot({})."
    if full:
        text = f"replication slots keep more than 1 GiB of WAL: {', '.join(full)}"
        yield wrong(f"{name}-slots", text, remedy.format(f"'{full[0]}'"))
    elif idle:
        text = f"replication slots without a reader keep WAL: {', '.join(idle)}"
        yield note(f"{name}-slots", text, remedy.format(f"'{idle[0]}'"))
    elif holding:
        text = f"replication slots delay the removal of erased data: {', '.join(holding)}"
        yield note(f"{name}-slots", text, remedy.format(f"'{holding[0]}'"))
    else:
        yield sound(f"{name}-slots", "no replication slot keeps WAL or erased data")
