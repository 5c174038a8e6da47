"""
Errors of the benchmark.

* BenchError            (report the error and exit)
    * Refused           (a guarantee is off, so that the figures would not be those of this system)
    * Unaccounted       (a round lost or doubled observations, so that its figure is not valid)
    * TooSlow           (a round did not end in time)
"""


class BenchError(Exception):
    """The base of all errors of the benchmark."""


class Refused(BenchError):
    """A guarantee is off, so that the figures would not be those of this system."""

    def __init__(self, guarantee: str, found: str) -> None:
        super().__init__(f"bench does not run with {guarantee} off ({found})")


class Unaccounted(BenchError):
    """The stored observations differ from those that were sent."""

    def __init__(self, what: str, *, expected: int, got: int) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")


class TooSlow(BenchError):
    """A round did not end in time."""
