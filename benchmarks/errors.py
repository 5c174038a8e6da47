"""
Errors of the benchmark.

* BenchError            (report and leave)
    * Refused           (a guarantee is off: what would be measured is not this system)
    * Unaccounted       (a round lost or doubled something: its figure would be worth nothing)
    * TooSlow           (a round did not end in time)
"""


class BenchError(Exception):
    """The base of all errors of the benchmark."""


class Refused(BenchError):
    """A guarantee is off, so that the figures would not be those of this system."""

    def __init__(self, guarantee: str, found: str) -> None:
        super().__init__(f"bench does not run with {guarantee} off ({found})")


class Unaccounted(BenchError):
    """What was sent differs from what is stored."""

    def __init__(self, what: str, *, expected: int, got: int) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")


class TooSlow(BenchError):
    """A round did not end in time."""
