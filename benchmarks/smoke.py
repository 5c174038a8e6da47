"""The smoke test of the benchmark: compares ratios with the recorded ones. Pure."""

from collections.abc import Mapping
from typing import Final

TOLERANCE: Final = 0.25


def falls(found: Mapping[str, float], reference: Mapping[str, float]) -> list[str]:
    """Return a line for each ratio that fell by more than a quarter, or is missing."""
    lines = []
    for name, before in reference.items():
        now = found.get(name)
        if now is None:
            lines.append(f"{name}: not measured, was {before:.3f}")
        elif now < (1 - TOLERANCE) * before:
            lines.append(f"{name}: {now:.3f}, was {before:.3f}")
    return lines
