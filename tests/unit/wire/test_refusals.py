"""The vocabulary of refusals: names that are on the wire and in metrics."""

from wire.refusals import FROM_SENSOR, DecodeFault, Refusal

_SENT = (
    "no_lease", "unknown_sensor", "not_allowed", "implausible", "undated", "late",
    "already_seen", "withdrawn", "malformed", "off_body", "warm_up", "saturated",
    "sensor_fault", "no_value", "poor_signal", "demonstration", "control_solution",
    "ketone", "unknown_analyte", "other_specimen", "context_missing", "flood",
)  # fmt: skip
_UNDECODED = (
    "truncated", "trailing_bytes", "reserved_value", "bad_crc", "malformed", "oversized",
)  # fmt: skip


def test_names_that_were_sent_stay() -> None:
    """Gateways of every version send these names, in this order of the metrics."""
    assert tuple(Refusal)[: len(_SENT)] == _SENT
    assert tuple(DecodeFault)[: len(_UNDECODED)] == _UNDECODED


def test_decisions_of_the_agent_are_none_of_a_sensor() -> None:
    """What only the agent can know is not among the reasons that a source may give."""
    decided = {
        Refusal.NO_LEASE,
        Refusal.UNKNOWN_SENSOR,
        Refusal.NOT_ALLOWED,
        Refusal.LATE,
        Refusal.ALREADY_SEEN,
        Refusal.WITHDRAWN,
        Refusal.MALFORMED,
        Refusal.FLOOD,
    }
    assert frozenset(Refusal) - decided == FROM_SENSOR
