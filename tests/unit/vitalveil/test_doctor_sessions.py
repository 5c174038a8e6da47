"""The doctor's findings about presets, snapshots, prepared transactions and slots."""

from collections.abc import Mapping
from typing import Any

import pytest

from vitalveil.doctor.finding import Level
from vitalveil.doctor.sessions import judge

_SOUND: Mapping[str, Any] = {
    "database": "vv_telemetry",
    "encoding": "UTF8",
    "presets": None,
    "queue": 0,
    "sees_activity": True,
    "old_snapshots": 0,
    "idle_transactions": 0,
    "prepared": 0,
    "slots": None,
    "feedback": 0,
}
_SLOT = {"name": "backup", "active": True, "holds": False, "bytes": 0}


def _found(**facts: Any) -> dict[str, tuple[Level, str]]:
    findings = judge({**_SOUND, **facts}, name="vault")
    return {f.code: (f.level, f.remedy) for f in findings if f.level is not Level.SOUND}


def test_a_database_alone_is_sound() -> None:
    """A database without presets and old transactions gives no finding."""
    assert _found() == {}


@pytest.mark.parametrize(
    ("preset", "code", "level", "remedy"),
    [
        (("vv", None, "DateStyle", "German, DMY"), "presets", Level.NOTE,
         "ALTER DATABASE vv RESET DateStyle"),
        ((None, "vv_trust", "synchronous_commit", "off"), "presets", Level.NOTE,
         "ALTER ROLE vv_trust RESET synchronous_commit"),
        (("vv", "vv_trust", "lock_timeout", "1s"), "presets", Level.NOTE,
         "ALTER ROLE vv_trust IN DATABASE vv RESET lock_timeout"),
        ((None, None, "TimeZone", "CET"), "presets", Level.NOTE, "ALTER ROLE ALL RESET TimeZone"),
        (("vv", None, "timescaledb.restoring", "on"), "presets", Level.WRONG, "restoring"),
        (("vv", None, "search_path", "vv"), "presets", Level.NOTE, "search_path"),
        ((None, "vv_trust", "log_statement", "all"), "presets-log", Level.WRONG, "log_statement"),
        ((None, "vv_ingest", "debug_print_plan", "on"), "presets-log", Level.WRONG, "debug"),
        (("vv", None, "auto_explain.log_min_duration", "0"), "presets-log", Level.WRONG, "auto"),
    ],
)  # fmt: skip
def test_presets_are_named_with_their_undoing(
    preset: tuple[str | None, ...], code: str, level: Level, remedy: str
) -> None:
    """Each preset is named with its source and the statement that removes it."""
    found = _found(presets=[preset])[f"vault-{code}"]
    assert found[0] is level
    assert remedy in found[1]


@pytest.mark.parametrize(
    "preset",
    [
        ("vv", None, "timezone", "UTC"),
        ("vv", None, "synchronous_commit", "remote_apply"),
        ("vv", None, "work_mem", "64MB"),
        (None, "vv_trust", "log_statement", "none"),
        (None, "vv_trust", "log_error_verbosity", "terse"),
    ],
)
def test_presets_that_do_no_harm_are_no_news(preset: tuple[str | None, ...]) -> None:
    """Presets that are wanted, stronger or irrelevant are not reported."""
    assert _found(presets=[preset]) == {}


@pytest.mark.parametrize(
    ("facts", "code", "level"),
    [
        ({"encoding": "LATIN1"}, "encoding", Level.WRONG),
        ({"queue": 0.5}, "notifications", Level.NOTE),
        ({"sees_activity": False}, "sessions", Level.NOTE),
        ({"old_snapshots": 2}, "snapshots", Level.NOTE),
        ({"idle_transactions": 1}, "idle-transactions", Level.NOTE),
        ({"feedback": 1}, "standby-feedback", Level.NOTE),
        ({"prepared": 1}, "prepared", Level.WRONG),
        ({"slots": [{**_SLOT, "bytes": 2 << 30}]}, "slots", Level.WRONG),
        ({"slots": [{**_SLOT, "active": False, "bytes": None}]}, "slots", Level.NOTE),
        ({"slots": [{**_SLOT, "holds": True}]}, "slots", Level.NOTE),
    ],
)
def test_what_is_kept_for_others_is_found(
    facts: Mapping[str, Any], code: str, level: Level
) -> None:
    """
    Each old snapshot, prepared transaction and slot is reported by its name, with the
    remedy.
    """
    found = _found(**facts)
    assert list(found) == [f"vault-{code}"]
    assert found[f"vault-{code}"][0] is level
    assert found[f"vault-{code}"][1]


def test_a_slot_that_is_read_is_sound() -> None:
    """A slot that is read up to date is not reported."""
    assert _found(slots=[_SLOT]) == {}
