"""Numbers on the command lines of simulators: each is refused with what it may be."""

import argparse
from collections.abc import Callable


def number(least: float, most: float, otherwise: str = "") -> Callable[[str], float]:
    """
    Return what reads a number from *least* to *most*.

    Args:
        least: The smallest that is taken.

        most: The greatest.

        otherwise: What is said of any other; the two bounds unless it is given.
    """
    refusal = otherwise or f"{least:g} to {most:g}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(refusal) from None
        # Not the other way round: what is no number is neither below nor above.
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(refusal)
        return value

    return read


def whole(least: int, most: int, otherwise: str = "") -> Callable[[str], int]:
    """Return what reads a whole number from *least* to *most*; *otherwise* as in `number`."""
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
"""Reads a number above 0."""
