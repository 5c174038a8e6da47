"""Whether a schema is that of this software; which lists a role may read is tested on a server."""

import pytest

from runtime.database.schema_state import SchemaState, judge

STEPS = range(1, 25)


@pytest.mark.parametrize(
    ("applied", "state", "must_wait", "said"),
    [
        ([], SchemaState.MISSING, True, "the database has no schema of VitalVeil"),
        (range(1, 24), SchemaState.BEHIND, True, "1 migrations are not applied"),
        ([1], SchemaState.BEHIND, True, "23 migrations are not applied"),
        ([*range(1, 24), 25], SchemaState.BEHIND, True, "1 migrations"),
        (STEPS, SchemaState.CURRENT, False, None),
        (range(1, 27), SchemaState.AHEAD, False, "later version"),
        (None, SchemaState.UNKNOWN, False, None),
    ],
)
def test_schema_is_compared_by_numbers(
    applied: range | list[int] | None, state: SchemaState, must_wait: bool, said: str | None
) -> None:
    """Missing and earlier ones are waited for with the command; a later one is only noted."""
    found = judge(applied, STEPS)
    cause = found.cause(command="vitalveil trust migrate")

    assert (found.state, found.must_wait) == (state, must_wait)
    assert (cause is None) == (said is None)
    if cause is not None and said is not None:
        assert said in cause.text
        assert must_wait == ("Run `vitalveil trust migrate`" in cause.remedy)
