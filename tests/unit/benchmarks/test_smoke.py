"""The smoke test of the benchmark."""

import json

from benchmarks.cli import REFERENCE
from benchmarks.smoke import falls


def test_fall_of_more_than_a_quarter_is_told() -> None:
    """
    A ratio that fell by more than a quarter or is missing is reported; a smaller fall is
    noise.
    """
    reference = {"a": 1.0, "b": 1.0, "c": 1.0}
    assert falls({"a": 0.76, "b": 0.74, "d": 0.1}, reference) == [
        "b: 0.740, was 1.000",
        "c: not measured, was 1.000",
    ]


def test_reference_holds_ratios_only() -> None:
    """The reference holds only ratios, because times depend on the machine."""
    assert list(json.loads(REFERENCE.read_text())) == ["ratios"]
