"""The terminal view of the demo. Pure: takes a snapshot, returns a renderable of rich."""

import msgspec
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from simulators.demo.accounts import DemoReport, Withdrawal


class DemoSnapshot(msgspec.Struct, frozen=True):
    """The state of the system at one moment of the demo."""

    elapsed_s: float
    duration_s: float
    source: str
    played: int
    played_per_s: float
    stored_by_quantity: dict[str, int]
    stored_per_s: float
    refused: dict[str, int]
    dropped_at_edge: dict[str, int]
    """Measurements that minimisation or a fault kept from leaving the gateways, by reason."""
    spooled: list[int]
    """Envelopes in each agent's spool that are not settled yet."""
    p50_ms: float | None
    p99_ms: float | None
    withdraws_at_s: float
    withdrawal: Withdrawal | None


def render(now: DemoSnapshot) -> RenderableType:
    """Return the live view of *now*."""
    head = Text.assemble(
        ("VitalVeil demo  ", "bold"),
        f"{now.elapsed_s:4.0f} s of {now.duration_s:.0f} s   ",
        (now.source, "cyan"),
    )
    flow = Table.grid(padding=(0, 2))
    flow.add_row("played", f"{now.played:,}", f"{now.played_per_s:,.1f}/s")
    flow.add_row(
        "stored", f"{sum(now.stored_by_quantity.values()):,}", f"{now.stored_per_s:,.1f}/s"
    )
    flow.add_row("measured → queryable", f"p50 {_ms(now.p50_ms)}", f"p99 {_ms(now.p99_ms)}")
    flow.add_row("spooled, not settled", "  ".join(map(str, now.spooled)), "envelopes an agent")
    counts = Table.grid(padding=(0, 4))
    counts.add_row(
        _counts("stored, by quantity", now.stored_by_quantity),
        _counts("kept at the edge", now.dropped_at_edge),
        _counts("refused by ingest", now.refused),
    )
    return Panel(
        Group(head, Text(), flow, Text(), counts, Text(), _withdrawal(now)), padding=(1, 2)
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"


def _counts(title: str, counts: dict[str, int]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row(Text(title, style="bold"))
    for name, count in sorted(counts.items()):
        table.add_row(name, Text(f"{count:,}", justify="right"))
    if not counts:
        table.add_row(Text("none", style="dim"))
    return table


def _withdrawal(now: DemoSnapshot) -> Text:
    if now.withdrawal is None:
        return Text(f"At {now.withdraws_at_s:.0f} s one subject withdraws their consent.", "dim")
    return Text("\n".join(describe_withdrawal(now.withdrawal)), style="yellow")


def describe_withdrawal(withdrawal: Withdrawal) -> list[str]:
    """Return the effects of the withdrawal, a sentence a line."""
    lines = ["One subject has withdrawn their consent."]
    if withdrawal.last_row_before_ms is not None:
        lines.append(
            f"  Their last row was committed {withdrawal.last_row_before_ms:,.0f} ms before the"
            " COMMIT of the withdrawal."
        )
    if withdrawal.refused_after_ms is not None:
        lines.append(f"  Ingest knew {withdrawal.refused_after_ms:,.0f} ms after that COMMIT.")
    if withdrawal.agent_stopped_after_s is not None:
        lines.append(
            f"  Their agent stopped listening to their sensors after"
            f" {withdrawal.agent_stopped_after_s:.2f} s."
        )
    lines.append(f"  Rows of theirs since: {withdrawal.rows_after_commit}.")
    return lines


def render_report(report: DemoReport) -> RenderableType:
    """Return the accounting at the end."""
    table = Table.grid(padding=(0, 2))
    for name, count in (
        ("published by the agents", report.published),
        ("= stored", report.stored),
        ("+ refused by ingest", sum(report.refused.values())),
        ("+ purged from spools at the withdrawal", report.purged),
        ("+ in flight (envelopes)", report.in_flight),
        ("+ quarantined (envelopes)", report.quarantined),
        ("lost", report.lost),
        ("doubled", report.doubled),
    ):
        table.add_row(name, Text(f"{count:,}", justify="right"))
    latency = ", ".join(f"{name} {_ms(value)}" for name, value in report.latency_ms.items())
    lines: list[RenderableType] = [Text("The books", style="bold"), table, Text()]
    lines.append(Text(f"measured → queryable: {latency}"))
    if report.withdrawal is not None:
        lines.append(Text("\n".join(describe_withdrawal(report.withdrawal))))
    return Panel(Group(*lines, Text(), _verdict(report)), padding=(1, 2))


def _verdict(report: DemoReport) -> Text:
    if report.is_good:
        said = "Nothing lost, nothing doubled, nothing stored without consent."
        if report.in_flight:
            said += " What is in flight waits in the spools of the gateways."
        return Text(said, style="bold green")
    if not report.stored or report.withdrawal is None:
        return Text("Nothing is shown, because too little happened; see above.", style="bold red")
    return Text("The promises were broken; see above.", style="bold red")
