"""
`python -m simulators.people.calibration`: compares personas with recordings.

Writes `docs/personas.md` and `docs/personas.svg`, which show how close invented people are to
recorded ones, and where they are not.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from charts.chart import Line, draw, stack
from recordings import index
from recordings.sample import Sample
from simulators.people.people import DEFAULT_SOURCE
from simulators.people.persona import glucose, heart
from simulators.people.persona.day import DAY_MS
from simulators.people.persona.likeness import (
    LikenessFigures,
    figures_of,
    interval_figures,
    on_grid,
    span,
)

_STEP_MS: Final = 300_000
_LAGS_MIN: Final = (5, 15, 30, 60, 120, 240)
_PEOPLE: Final = 8
_DAYS: Final = 4
_MIN_SAMPLES: Final = 1000
_NAMES: Final = {
    "heart_rate": "Heart rate, /min, one value each five minutes",
    "glucose_interstitial": "Interstitial glucose, mmol/L, one value each five minutes",
    "rr_interval": "RR intervals, ms",
}
_INTRODUCTION: Final = """\
# How close invented people are to recorded ones

Personas (`simulators/people/persona/`) are played where no recording is at hand. This page
compares them with the recordings that replay uses. Each figure belongs to one person; a group is
described by its lowest and its highest person.
`python -m simulators.people.calibration --source PATH` makes the page again;
`recordings/attribution.py` names the licences of the recordings.

A persona loads a system with values that move and fail like measured ones. It is not a model to
learn medicine from.
"""


class Group(msgspec.Struct, frozen=True):
    """Recorded or invented people, by quantity."""

    name: str
    people: dict[str, list[LikenessFigures]]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the table and the charts; return the exit code, 2 without recordings."""
    parser = argparse.ArgumentParser(prog="python -m simulators.people.calibration")
    parser.add_argument("--source", type=Path, default=DEFAULT_SOURCE, metavar="PATH")
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR")
    arguments = parser.parse_args(argv)
    if not arguments.source.exists():
        sys.stderr.write(
            f"There are no recordings at {arguments.source}. Name their folder with --source.\n"
        )
        return 2
    groups = [recorded(arguments.source), invented()]
    (arguments.out / "personas.md").write_text(table(groups))
    (arguments.out / "personas.svg").write_text(picture(groups))
    return 0


def recorded(source: Path) -> Group:
    """Return the figures of every recording below *source* with at least a thousand values."""
    people: dict[str, list[LikenessFigures]] = {name: [] for name in _NAMES}
    for recording in index.find(source).recordings:
        for samples in recording.load():
            _add(people, samples)
    return Group("recorded", people)


def invented() -> Group:
    """Return the figures of eight personas: two weeks of glucose, four days of heart beats."""
    people: dict[str, list[LikenessFigures]] = {name: [] for name in _NAMES}
    for number in range(_PEOPLE):
        seed = f"calibration/{number}"
        whole = list(_until(glucose.cgm(seed, start_ms=0, age_ms=0), 14 * DAY_MS))
        _add(people, whole)
        worn = list(_until(heart.strap(seed, start_ms=0), _DAYS * DAY_MS))
        rates = [s for s in worn if s.quantity == "heart_rate" and s.offset_ms % _STEP_MS == 0]
        _add(people, rates)
        beats = [s for s in worn if s.quantity == "rr_interval"]
        for start in range(0, len(beats) - 3000, len(beats) // 3):
            _add(people, beats[start : start + 3000])
    return Group("invented", people)


def _until(samples: Iterator[Sample], end_ms: int) -> Iterator[Sample]:
    return itertools.takewhile(lambda sample: sample.offset_ms < end_ms, samples)


def _add(people: dict[str, list[LikenessFigures]], samples: Sequence[Sample]) -> None:
    """Add the figures of each quantity that *samples* hold enough values of."""
    for quantity in ("heart_rate", "glucose_interstitial"):
        some = [s for s in samples if s.quantity == quantity]
        if len(some) >= _MIN_SAMPLES and _is_of_five_minutes(some):
            series = on_grid(some, quantity, step_ms=_STEP_MS)
            people[quantity].append(figures_of(series, step_ms=_STEP_MS, lags_min=_LAGS_MIN))
    intervals = [s.value for s in samples if s.quantity == "rr_interval" and s.value is not None]
    if len(intervals) >= 500:
        people["rr_interval"].append(interval_figures(intervals))


def _is_of_five_minutes(samples: Sequence[Sample]) -> bool:
    steps = sorted(b.offset_ms - a.offset_ms for a, b in itertools.pairwise(samples))
    return abs(steps[len(steps) // 2] - _STEP_MS) < _STEP_MS / 10


def table(groups: Sequence[Group]) -> str:
    """Return the page, as Markdown."""
    parts = [_INTRODUCTION, "![distributions and autocorrelations](personas.svg)\n"]
    for quantity, title in _NAMES.items():
        counts = ", ".join(f"{len(g.people[quantity])} {g.name}" for g in groups)
        parts.append(f"## {title}\n\nSeries: {counts}.\n")
        parts.append(_table_of([(g.name, g.people[quantity]) for g in groups]))
    return "\n".join(parts)


def _table_of(groups: Sequence[tuple[str, list[LikenessFigures]]]) -> str:
    spans = [span(people) for _, people in groups]
    lines = [
        "| figure | " + " | ".join(name for name, _ in groups) + " | apart |",
        "|---|" + "---|" * (len(groups) + 1),
    ]
    for name in spans[0]:
        lines.append(_row(name, [each[name] for each in spans]))
    for lag in groups[0][1][0].autocorrelation:
        pairs = [_least_and_greatest([p.autocorrelation[lag] for p in people])
                 for _, people in groups]  # fmt: skip
        lines.append(_row(f"autocorrelation, lag {lag}", pairs))
    return "\n".join([*lines, ""])


def _least_and_greatest(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _row(name: str, pairs: Sequence[tuple[float, float]]) -> str:
    cells = " | ".join(f"{low:.3g} to {high:.3g}" for low, high in pairs)
    (low, high), (other_low, other_high) = pairs[0], pairs[1]
    apart = "" if low <= other_high and other_low <= high else "apart"
    return f"| {name} | {cells} | {apart} |"


def picture(groups: Sequence[Group]) -> str:
    """Return one SVG of four charts: quantiles and autocorrelation of two quantities."""
    panels = []
    for quantity in ("heart_rate", "glucose_interstitial"):
        for kind, unit in (("quantiles", "%"), ("autocorrelation", "min")):
            heading = f"{_NAMES[quantity]}: {kind}"
            svg = draw(
                [line for group in groups for line in _lines(group, quantity, kind)],
                title=heading,
                description="The lowest and the highest person of each group.",
                x=f"{{:g}} {unit}".format,
                y="{:g}".format,
            )
            panels.append((heading, svg))
    return stack(panels)


def _lines(group: Group, quantity: str, kind: str) -> Iterator[Line]:
    """Yield the lowest and the highest person of a group, by median."""
    people = group.people[quantity]
    chosen = sorted(people, key=lambda p: p.values["q50"])
    for name, person in (("lowest", chosen[0]), ("highest", chosen[-1])):
        if kind == "quantiles":
            points = [(float(k[1:]), v) for k, v in person.values.items() if k[1:].isdigit()]
        else:
            points = [(float(lag), v) for lag, v in person.autocorrelation.items()]
        yield Line(f"{group.name} {name}", points)


if __name__ == "__main__":
    sys.exit(main())
