"""
Limits: what a run must reach, as text that an operator writes. Pure.

Examples: `p99<=2s`, `p99@steady<=500ms`, `lost=0`, `offered>=99%`. A limit on a figure that was
not measured counts as broken.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from simulators.fleet.errors import LimitError

FIGURES: Final[Mapping[str, str]] = {
    "p50": "s", "p90": "s", "p99": "s", "p999": "s", "max": "s",
    "drain": "s", "withdrawal": "s",
    "connected": "%", "offered": "%", "stored": "%", "ceiling": "%",
    "lost": "", "doubled": "", "unbalanced": "", "in_flight": "", "unexpected": "",
    "rows_after_withdrawal": "",
    "cpu_us": "", "marginal_us": "", "agent_kb": "", "ingest_mb": "",
}  # fmt: skip
"""The figures that can be limited, with the unit in which they are kept."""

_SCALES: Final = {"s": 1.0, "ms": 0.001, "us": 1e-6, "min": 60.0, "%": 0.01, "": 1.0}
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_FORM: Final = re.compile(
    r"\s*(?P<figure>[a-z_0-9]+)\s*(?:@\s*(?P<phase>[\w-]+))?\s*(?P<sign><=|>=|<|>|=)\s*"
    r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|ms|us|min|%|)\s*",
    re.ASCII,
)


class Limit(msgspec.Struct, frozen=True):
    """A figure of a report, compared with a bound."""

    text: str
    figure: str
    phase: str | None
    sign: str
    bound: float

    def holds(self, measured: float | None) -> bool:
        """Tell whether *measured* compares as the text says; None never does."""
        return measured is not None and _COMPARE[self.sign](measured, self.bound)


def parse(text: str) -> Limit:
    """
    Return the limit that *text* describes.

    Raises:
        LimitError: The text is not a limit.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise LimitError(f"{text!r} is not a limit")
    figure, unit = match["figure"], match["unit"]
    if figure not in FIGURES:
        raise LimitError(f"there is no figure {figure!r}; the figures are {', '.join(FIGURES)}")
    kept_in = FIGURES[figure]
    is_time = unit in ("s", "ms", "us", "min")
    if (kept_in == "s") != is_time or (unit == "%" and kept_in != "%"):
        raise LimitError(f"{figure} is compared with {_wanted(kept_in)}")
    bound = float(match["number"]) * _SCALES[unit]
    return Limit(text.strip(), figure, match["phase"], match["sign"], bound)


def _wanted(kept_in: str) -> str:
    return {"s": "a time, as in 500ms", "%": "a share, as in 99%"}.get(kept_in, "a plain number")
