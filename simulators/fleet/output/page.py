"""The report as one self-contained HTML page: tables, and charts as SVG. Pure."""

import functools
import html
import math
from collections.abc import Sequence
from typing import Final

from charts.chart import Line, Point, draw
from simulators.fleet.output.view import ceilings_of, cores_of, cost_of, drain_of, in_time, in_unit
from simulators.fleet.report.report import FleetReport

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:920px;padding:0 1rem;
color:#1f2937;background:#fff}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .7rem;border-bottom:1px solid #e5e7eb;text-align:right}
td:first-child,th:first-child{text-align:left}.broken{color:#b91c1c;font-weight:600}
.kept{color:#15803d}svg{width:100%;height:auto}
"""


def render(report: FleetReport) -> str:
    """Return the page for *report*."""
    verdict = "every limit was kept" if report.is_good else "not every limit was kept"
    parts = [
        f"<h1>{_text(report.scenario)}: {verdict}</h1>",
        f"<p>{_text(report.about)}</p>",
        f"<p>{report.agents} gateways, {report.connected} connected at once, seed {report.seed},"
        f" plan {report.plan}; {report.generator.workers} process(es) for the fleet;"
        f" {report.machine['cores']:.0f} cores.</p>",
        f"<p>{_text(cost_of(report.generator))}.</p>",
        _special(report),
        _list(report.notes),
        "<h2>Limits</h2>",
        _verdicts(report),
        "<h2>From due to queryable, by phase</h2>",
        _phases(report),
        *_cores(report),
        *_plots(report),
        "<h2>Books</h2>",
        _books(report),
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_text(report.scenario)}'
        f"</title><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def _plots(report: FleetReport) -> list[str]:
    over_time = functools.partial(
        draw,
        description="Over the seconds since the first phase began. Phases are marked.",
        x=_seconds,
        marks=[(phase.from_s, phase.name) for phase in report.phases],
    )
    gateways = [
        Line("online", [(s.at_s, float(s.online)) for s in report.samples]),
        Line("envelopes waiting", [(s.at_s, float(s.waiting)) for s in report.samples]),
    ]
    p99 = [Line("p99", _by_second(report.per_second["p99"]))]
    by_share = draw(
        [Line("queryable", _curve(report))],
        title="Time to queryable",
        description="Over the share of the envelopes. The time is on a logarithmic scale.",
        x=_share,
        y=in_time,
        is_log=True,
    )
    return [
        "<h2>Envelopes a second</h2>",
        over_time(_rates(report), title="Envelopes a second", y=_count),
        "<h2>99 % of times to queryable, by second in which it was due</h2>",
        over_time(p99, title="99 % of times to queryable", y=in_time, is_log=True),
        "<h2>Time to queryable, by share of the envelopes</h2>",
        by_share,
        "<h2>Gateways</h2>",
        over_time(gateways, title="Gateways", y=_count),
        "<h2>CPU, in cores</h2>",
        over_time(_uses(report, "cpu"), title="CPU, in cores", y=_count),
        "<h2>Memory, in MB</h2>",
        over_time(_uses(report, "rss_mb"), title="Memory, in MB", y=_count),
    ]


def _special(report: FleetReport) -> str:
    """Return the paragraphs that only some scenarios have."""
    found = [] if report.drain_s is None else [drain_of(report)]
    if any(phase.ceiling_per_s is not None for phase in report.phases):
        found.append(ceilings_of(report))
    return "".join(f"<p>{_text(line)}.</p>" for line in found)


def _seconds(value: float) -> str:
    return f"{value:g} s"


def _count(value: float) -> str:
    return f"{value:,.6g}".replace(",", "\u2009")


def _share(nines: float) -> str:
    """
    Return the share for a number of nines, such as "99 %" for 2; an empty text if *nines* is not a
    whole number.
    """
    if nines != round(nines):
        return ""
    return f"{100 - 100 * 10.0**-nines:.6g} %"


def _text(value: object) -> str:
    return html.escape(str(value))


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in lines) + "</ul>" if lines else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def _verdicts(report: FleetReport) -> str:
    rows = "".join(
        f'<tr class="{"kept" if v.is_kept else "broken"}"><td>{_text(v.text)}</td>'
        f"<td>{_text(in_unit(v))}</td>"
        f"<td>{'kept' if v.is_kept else 'broken'}</td></tr>"
        for v in report.verdicts
    )
    return f"<table><tr><th>limit</th><th>measured</th><th></th></tr>{rows}</table>"


def _phases(report: FleetReport) -> str:
    names = ("p50", "p90", "p99", "p999", "max")
    rows = [
        [
            phase.name,
            *(f"{v:.1f}" for v in (phase.offered_per_s, phase.sent_per_s, phase.stored_per_s)),
            *(in_time(phase.queryable[name]) for name in names),
            in_time(phase.receipt["p99"]),
        ]
        for phase in [*report.phases, report.overall]
    ]
    return _table(["phase", "offered/s", "sent/s", "stored/s", *names, "receipt p99"], rows)


def _cores(report: FleetReport) -> list[str]:
    """Return the table of cores by phase; nothing if no process could be watched."""
    if not report.overall.cpu:
        return []
    rows = [[name, *used] for name, used in cores_of(report)]
    return ["<h2>Cores used, by phase</h2>", _table(["phase", *report.overall.cpu], rows)]


def _rates(report: FleetReport) -> list[Line]:
    return [Line(n, _by_second(report.per_second[n])) for n in ("offered", "sent", "stored")]


def _by_second(values: Sequence[float]) -> list[Point]:
    # The last second is incomplete.
    return [(float(second), value) for second, value in enumerate(values[:-1] or values)]


def _curve(report: FleetReport) -> list[Point]:
    """Return the curve with the number of nines as x: 2 for 99 %."""
    return [(-math.log10(max(1 - quantile, 1e-6)), s) for quantile, s in report.curve]


def _uses(report: FleetReport, field: str) -> list[Line]:
    names = sorted({name for sample in report.samples for name in getattr(sample, field)})
    return [
        Line(name, [(s.at_s, getattr(s, field)[name]) for s in report.samples
                    if name in getattr(s, field)])
        for name in names
    ]  # fmt: skip


def _books(report: FleetReport) -> str:
    if report.books is None:
        return "<p>The database was not asked, or did not answer.</p>"
    fields = report.books.__struct_fields__
    rows = [[name.replace("_", " "), str(getattr(report.books, name))] for name in fields]
    rows += [
        [f"refused: {reason}", str(n)] for reason, n in report.ingest.refused_by_reason.items()
    ]
    rows += [[f"connections ended: {kind}", str(n)] for kind, n in sorted(report.links.items())]
    rows += [[f"CPU of {name}", f"{s:.1f} s"] for name, s in report.cpu_s.items()]
    rows += [[f"most memory of {name}", f"{mb:.0f} MB"] for name, mb in report.highest_mb.items()]
    return _table(["", ""], rows)
