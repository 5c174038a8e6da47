"""The vocabulary of refusals, whose names are on the wire and in metrics."""

from wire.refusals import FROM_SENSOR, DecodeFault, Refusal

_SENT = (
    "no_lease", "unknown_sensor", "not_allowed", "implausible", "undated", "late",
    "already_seen", "withdrawn", "malformed", "off_body", "warm_up", "saturated",
    "sensor_fault", "no_value", "poor_signal", "demonstration", "control_solution",
    "ketone", "unknown_analyte", "other_specimen", "context_missing", "flood",
    "unbound_user",
)  # fmt: skip
_UNDECODED = (
    "truncated", "trailing_bytes", "reserved_value", "bad_crc", "malformed", "oversized",
)  # fmt: skip


def test_names_that_were_sent_stay() -> None:
    """Published names stay, in the order of the metrics."""
    assert tuple(Refusal)[: len(_SENT)] == _SENT
    assert tuple(DecodeFault)[: len(_UNDECODED)] == _UNDECODED


def test_decisions_of_the_agent_are_none_of_a_sensor() -> None:
    """Refusals that only the agent can decide are not among those of a source."""
    decided = {
        Refusal.NO_LEASE,
        Refusal.UNKNOWN_SENSOR,
        Refusal.NOT_ALLOWED,
        Refusal.LATE,
        Refusal.ALREADY_SEEN,
        Refusal.WITHDRAWN,
        Refusal.MALFORMED,
        Refusal.FLOOD,
        Refusal.UNBOUND_USER,
    }
    assert frozenset(Refusal) - decided == FROM_SENSOR
