"""The settings that a session requests and checks; no server is needed."""

from collections.abc import Mapping, Sequence

import pytest

from runtime.database import postgres
from runtime.database.session_settings import (
    MEANING,
    Limits,
    SessionSetting,
    Statement,
    checking,
    options,
)
from runtime.errors import SessionRefused

_RIGHT = {s.name: s.value for s in MEANING}


def _rows(pid: int, values: Mapping[str, str | None], source: str = "database") -> list[object]:
    return [("", str(pid), ""), *((name, value, source) for name, value in values.items())]


def _run(key_pid: int, *reads: Sequence[object]) -> tuple[list[Statement], int | None]:
    """
    Answer each query of a check with the next of *reads*; return the statements and the
    result.
    """
    steps = checking(MEANING, key_pid=key_pid)
    left, asked = list(reads), [next(steps)]
    try:
        while True:
            rows = [] if b"set_config" in asked[-1].text else left.pop(0)
            asked.append(steps.send(rows))  # type: ignore[arg-type]
    except StopIteration as done:
        assert left == []
        return asked, done.value


def test_a_session_that_has_everything_is_asked_once() -> None:
    """A session with all wanted settings is queried once."""
    asked, pid = _run(7, _rows(7, _RIGHT))
    assert len([statement for statement in asked if b"pg_settings" in statement.text]) == 1
    assert pid is None


def test_what_differs_is_set_and_looked_at_again() -> None:
    """Each differing setting is set by a statement, and the settings are queried again."""
    found = {**_RIGHT, "DateStyle": "German, DMY", "TimeZone": "CET"}
    asked, pid = _run(7, _rows(7, found), _rows(7, _RIGHT))
    assert [list(statement.arguments) for statement in asked[1:3]] == [
        ["DateStyle", "ISO, YMD"],
        ["TimeZone", "UTC"],
    ]
    assert all(statement.may_fail for statement in asked[1:3])
    assert not asked[0].may_fail
    assert pid is None


def test_what_was_not_asked_for_is_kept() -> None:
    """
    A sufficient commit mode of the session is set explicitly, so that a later reload cannot change
    it.
    """
    asked, _ = _run(7, _rows(7, {**_RIGHT, "synchronous_commit": "remote_apply"}))
    (names,) = asked[-1].arguments
    assert "synchronous_commit" in names
    assert "session_replication_role" not in names


def test_names_are_compared_without_their_case() -> None:
    """Names of settings are compared without regard to case, because poolers may change it."""
    _run(7, _rows(7, {name.upper(): value for name, value in _RIGHT.items()}))


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("database", "ALTER DATABASE ... RESET synchronous_commit"),
        ("user", "ALTER ROLE ... RESET synchronous_commit"),
        ("database user", "IN DATABASE ... RESET synchronous_commit"),
        ("configuration file", "server's configuration"),
        ("override", "postgresql.conf"),
    ],
)
def test_what_does_not_hold_is_refused_with_its_remedy(source: str, remedy: str) -> None:
    """A refusal names the setting, the source of its value, and the remedy."""
    found = _rows(7, {**_RIGHT, "synchronous_commit": "off"}, source)
    with pytest.raises(SessionRefused, match="synchronous_commit to be on") as refused:
        _run(7, found, found)
    assert remedy in str(refused.value)


def test_a_pooler_that_does_not_keep_a_setting_is_refused() -> None:
    """
    A setting that is missing in the next query is refused, because a pooler has changed the
    session.
    """
    wrong = {**_RIGHT, "DateStyle": "German, DMY"}
    with pytest.raises(SessionRefused, match=r"DateStyle.*pooler"):
        _run(99, _rows(7, wrong), _rows(8, wrong))
    with pytest.raises(SessionRefused, match="pooler"):
        _run(99, _rows(7, _RIGHT), _rows(8, _RIGHT))


def test_a_pooler_is_told_by_its_process() -> None:
    """A pooler is recognised by its process id, and then tested for sharing its sessions."""
    assert _run(99, _rows(7, _RIGHT), _rows(7, _RIGHT))[1] == 7


@pytest.mark.parametrize("name", [s.name for s in MEANING if s.is_privileged])
def test_privileged_settings_are_never_set(name: str) -> None:
    """Settings that need a superuser are never set, and a superuser's session is refused alike."""
    with pytest.raises(SessionRefused, match=name):
        _run(7, _rows(7, {**_RIGHT, name: "on"}))


def test_settings_that_a_server_does_not_know_are_no_fault() -> None:
    """
    Settings that an older server or an unloaded extension does not know are accepted as
    missing.
    """
    later = {s.name: None for s in MEANING if not s.is_sent}
    assert _run(7, _rows(7, {**_RIGHT, **later}))[1] is None
    found = {name: value for name, value in _RIGHT.items() if name != "TimeZone"}
    with pytest.raises(SessionRefused, match="TimeZone"):
        _run(7, _rows(7, found), _rows(7, found))


@pytest.mark.parametrize(
    ("found", "holds"),
    [("on", True), ("remote_apply", True), ("remote_write", False), ("local", False),
     ("off", False), ("", False)],
)  # fmt: skip
def test_a_commit_waits_for_the_disk_at_least(found: str, holds: bool) -> None:
    """`synchronous_commit` must be at least `on`, and a stronger value is kept."""
    (setting,) = [s for s in MEANING if s.name == "synchronous_commit"]
    assert setting.holds(found) is holds


def test_options_quote_blanks() -> None:
    """A value with a blank is quoted in the options."""
    text = options([SessionSetting("a", "b, c"), SessionSetting("d", "e", is_sent=False)])
    assert text == "-c a=b,\\ c"


def test_limits_are_sent_in_milliseconds() -> None:
    """Time limits are in milliseconds, as in `pg_settings`, so that they can be compared."""
    assert "-c lock_timeout=10000" in options(Limits(lock_ms=10_000).settings())


@pytest.mark.parametrize("own", ["", "-c lock_timeout=3s -c timezone=CET"])
def test_options_of_the_operator_come_between(own: str) -> None:
    """
    The operator's options may change a time limit, and can neither remove nor change other
    settings.
    """
    wanted = postgres.wanted_of(f"host=db options='{own}'", Limits(lock_ms=1), "vv")
    sent = wanted.sent["options"]
    assert own in sent
    assert sent.index("lock_timeout=1 ") < sent.index("TimeZone=UTC")
    assert sent.rindex("timezone=CET") < sent.index("TimeZone=UTC") if own else True
    assert ("lock_timeout" in {s.name for s in wanted.settings}) is not bool(own)
