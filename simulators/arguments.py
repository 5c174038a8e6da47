"""Numbers on the command lines of simulators. A refusal names the range that is accepted."""

import argparse
from collections.abc import Callable


def number(least: float, most: float, otherwise: str = "") -> Callable[[str], float]:
    """
    Return a parser for numbers from *least* to *most*.

    Args:
        least: The smallest number that is accepted.

        most: The greatest number that is accepted.

        otherwise: The range, as the error message words it; the two bounds if None.
    """
    refusal = otherwise or f"{least:g} to {most:g}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(refusal) from None
        # The comparison is written so that NaN, which is neither below nor above, is refused.
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(refusal)
        return value

    return read


def whole(least: int, most: int, otherwise: str = "") -> Callable[[str], int]:
    """Return a parser for whole numbers from *least* to *most*; *otherwise* as in `number`."""
    refusal = otherwise or f"{least} to {most}"

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(refusal) from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(refusal)
        return value

    return read


positive = number(1e-9, 1e9, "a number above 0, and below 1e9")
"""A parser for numbers above 0 and below 1e9."""
