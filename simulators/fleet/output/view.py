"""The terminal output of a run: progress, and the report at the end."""

from collections.abc import Callable
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simulators.fleet.report.report import FleetReport, Generator, PhaseReport, Verdict
from simulators.fleet.run.campaign import Progress
from simulators.fleet.scenario import limits
from simulators.fleet.scenario.scenario import Scenario

_LINE_EVERY_S: Final = 10.0


def in_time(seconds: float | None) -> str:
    """Return *seconds* as text, in ms below ten seconds."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def line_of(now: Progress) -> str:
    """Return the progress as one line."""
    late = now.tally.receipt_histogram()
    return (
        f"{now.elapsed_s:5.0f} s {now.phase}: {now.tally.online} online, published"
        f" {now.tally.published}, stored {now.stored}, waiting"
        f" {int(now.tally.more.get('waiting', 0))}, receipt p50 {in_time(late.quantile_s(0.5))}"
        f" p99 {in_time(late.quantile_s(0.99))}"
    )


class Lines:
    """Prints the progress as a line every ten seconds, where there is no terminal."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._next_s = 0.0

    def __call__(self, now: Progress) -> None:
        if now.elapsed_s >= self._next_s:
            self._next_s = now.elapsed_s + _LINE_EVERY_S
            self._say(line_of(now))


def render(now: Progress, scenario: Scenario) -> RenderableType:
    """Return the progress as a table."""
    table = Table(title=f"{scenario.name}: {now.phase}", show_header=False, title_justify="left")
    lag = now.tally.lag_histogram()
    table.add_row("time", f"{now.elapsed_s:.0f} of {scenario.duration_s:.0f} s")
    table.add_row("online", f"{now.tally.online} of {scenario.agents}")
    table.add_row("envelopes", line_of(now).partition(", ")[2])
    table.add_row("generator behind", in_time(lag.quantile_s(0.99)))
    for name, use in now.uses.items():
        table.add_row(name, f"{use.rss_bytes / 1e6:.0f} MB, {use.cpu_s:.1f} s of CPU")
    return table


def render_report(report: FleetReport) -> RenderableType:
    """Return the report as tables and sentences."""
    phases = Table("phase", "offered/s", "sent/s", "stored/s", "p50", "p90", "p99", "p99.9", "max",
                   "receipt p99", title=report.scenario, title_justify="left")  # fmt: skip
    for phase in [*report.phases, report.overall]:
        phases.add_row(*_cells(phase))
    parts: list[RenderableType] = [phases]
    if report.overall.cpu:
        cores = Table("phase", *report.overall.cpu, title="cores used", title_justify="left")
        for name, used in cores_of(report):
            cores.add_row(name, *used)
        parts.append(cores)
    if report.books is not None:
        parts.append(Text(_equation(report)))
    parts.append(Text(cost_of(report.generator)))
    if report.links:
        ends = ", ".join(f"{count} {kind}" for kind, count in sorted(report.links.items()))
        parts.append(Text(f"connections that ended, or never came to be: {ends}"))
    if report.drain_s is not None:
        parts.append(Text(drain_of(report)))
    if any(phase.ceiling_per_s is not None for phase in report.phases):
        parts.append(Text(ceilings_of(report)))
    parts.extend(Text(f"note: {note}") for note in report.notes)
    for verdict in report.verdicts:
        word = "kept  " if verdict.is_kept else "BROKEN"
        parts.append(Text(f"{word} {verdict.text} (measured {in_unit(verdict)})"))
    return Group(*parts)


def cost_of(generator: Generator) -> str:
    """Return the cost and the punctuality of the generator, as a sentence."""
    return (
        f"generator: {_number(generator.cpu_us_per_envelope)} µs of CPU per envelope"
        f" ({_number(generator.system_us_per_envelope)} of them in the kernel;"
        f" {_number(generator.marginal_us_per_envelope)} without what it uses to idle),"
        f" {_number(generator.connecting_ms)} ms per connection,"
        f" {_number(generator.idle_kb_per_agent)} KB per idle agent, p99"
        f" {in_time(generator.lag['p99'])} behind its plan"
        + (": IT WAS THE LIMIT" if generator.was_the_limit else "")
    )


def cores_of(report: FleetReport) -> list[tuple[str, list[str]]]:
    """Return how many cores each program used, by phase and in total."""
    names = list(report.overall.cpu)
    return [
        (phase.name, [f"{phase.cpu.get(name, 0.0):.2f}" for name in names])
        for phase in [*report.phases, report.overall]
    ]


def drain_of(report: FleetReport) -> str:
    """
    Return how long the backlog of an outage took to store, and ingest's highest memory and CPU in
    it.
    """
    most_mb = report.highest_mb.get("ingest")
    memory = "" if most_mb is None else f", ingest at most {most_mb:.0f} MB"
    return f"drained {in_time(report.drain_s)} after the outage{memory}"


def ceilings_of(report: FleetReport) -> str:
    """Return the rate of ingest at its ceiling, as a sentence."""
    ceilings = [
        f"{phase.name} {_number(phase.ceiling_per_s)}"
        + " with withdrawals" * (phase.withdrawals > 0)
        for phase in report.phases
        if phase.ceiling_per_s is not None
    ]
    return f"ingest at its ceiling, envelopes a second: {', '.join(ceilings)}"


def in_unit(verdict: Verdict) -> str:
    """Return the measured value in the unit of its limit."""
    kept_in = limits.FIGURES[limits.parse(verdict.text.removeprefix("not ")).figure]
    if verdict.measured is None:
        return "-"
    if kept_in == "s":
        return in_time(verdict.measured)
    return f"{verdict.measured * 100:.4g} %" if kept_in == "%" else _number(verdict.measured)


def _cells(phase: PhaseReport) -> list[str]:
    found = phase.queryable
    return [
        phase.name,
        *(f"{rate:.1f}" for rate in (phase.offered_per_s, phase.sent_per_s, phase.stored_per_s)),
        *(in_time(found[name]) for name in ("p50", "p90", "p99", "p999", "max")),
        in_time(phase.receipt["p99"]),
    ]


def _equation(report: FleetReport) -> str:
    books = report.books
    assert books is not None  # noqa: S101 - asked for only when there are books
    return (
        f"{books.sealed} sealed = {books.stored} stored + {books.refused} refused +"
        f" {books.quarantined} quarantined + {books.in_flight} in flight + {books.purged} purged;"
        f" {books.lost} lost, {books.doubled} doubled, {books.duplicates} duplicates settled"
        f" again\n{books.published + books.nameless} published, {books.taken} taken and"
        f" {books.denied} denied by the broker, {books.received} received by ingest"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
