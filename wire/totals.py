"""
The counters of a gateway in its state message: closed names and counts, nothing about a person.

A gateway stands in a home and cannot be scraped by Prometheus. Its state message carries its
counters, and ingest adds those of all gateways together.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from wire.refusals import DecodeFault, Refusal

MAX_ENTRIES: Final = 128
OTHER: Final = "other"
"""Stands for a label that the receiving software does not know."""


class Family(msgspec.Struct, frozen=True):
    """Counters that only grow while a gateway runs, one for each value of a label."""

    name: str
    label: str
    values: tuple[str, ...]
    text: str

    def key(self, value: str) -> str:
        """Return the name of the counter of *value* in a state message."""
        return f"{self.name}.{value if value in self.values else OTHER}"

    def names(self) -> dict[str, str]:
        """Return the value of the label for each name in a state message."""
        return {f"{self.name}.{value}": value for value in (*self.values, OTHER)}


FAMILIES: Final = (
    Family(
        "measurements",
        "outcome",
        ("kept", "coarsened", "refused"),
        "Measurements, by their outcome at the gateways.",
    ),
    Family(
        "refused_measurements",
        "reason",
        tuple(Refusal),
        "Measurements that the gateways refused.",
    ),
    Family(
        "observations",
        "step",
        ("appended", "settled"),
        "Observations that were written to the gateways' spools, and removed on a receipt.",
    ),
    Family(
        "purged_observations",
        "reason",
        ("withdrawn", "evicted_bytes", "evicted_age", "evicted_disk"),
        "Observations that the gateways gave up without a receipt.",
    ),
    Family(
        "faults",
        "fault",
        (
            "spool_damaged", "spool_errors", "broker_errors", "refused_leases",
            "refused_receipts", "old_receipts",
        ),
        "Faults at the gateways.",
    ),
    Family(
        "sensor_attempts",
        "ending",
        (
            "done", "lost", "timed_out", "silent", "not_authorised", "bond_refused", "refused",
            "flooding", "endless", "stack",
        ),
        "Attempts of the gateways to connect to a sensor, by how they ended.",
    ),
    Family(
        "decode_errors",
        "reason",
        tuple(DecodeFault),
        "Bytes from sensors that hold no value.",
    ),
)  # fmt: skip

LEVELS: Final = ("spool_bytes", "spool_oldest_ms", "bound_sensors", "connected_sensors")
"""Values that go up and down. The one in ms is a waiting time of the gateway, not a date."""

LEASE_TAKEN_MS: Final = "lease_taken_ms"
"""A level: how long after its issue the lease in force was accepted, in ms."""


def is_sound(numbers: Mapping[str, int]) -> bool:
    """Tell whether *numbers* are at most `MAX_ENTRIES` non-negative counts below 2**63."""
    return len(numbers) <= MAX_ENTRIES and all(
        len(name) <= 64 and 0 <= number < 1 << 63 for name, number in numbers.items()
    )
