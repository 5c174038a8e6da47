"""
The report as one self-contained HTML page: first what was asked, then tables and charts. Pure.

A reader asks first whether the system held, at what rate and how late; the generator's own costs
come last. A narrow screen makes blocks of the rows of tables.
"""

import functools
import html
import math
from collections.abc import Sequence
from typing import Final

from charts.chart import Line, Point, draw
from simulators.fleet.output.view import ceilings_of, cores_of, cost_of, drain_of, in_time, in_unit
from simulators.fleet.report.report import FleetReport, PhaseReport

_STYLE: Final = """
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;
padding:1rem 1.25rem;color:#1f2937;background:#fff;overflow-wrap:break-word}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.1rem;margin-top:2rem}
dl.answers{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.75rem;
margin:1rem 0}.answers div{border:1px solid #d1d5db;border-radius:.5rem;padding:.6rem .9rem}
.answers dt{font-size:.85rem;color:#4b5563}.answers dd{margin:0;font-size:1.25rem;font-weight:600}
.answers small{display:block;font-size:.85rem;font-weight:400;color:#4b5563}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.95rem}
td,th{padding:.25rem .5rem;border-bottom:1px solid #e5e7eb;text-align:right;vertical-align:top}
td:first-child,th:first-child{text-align:left;padding-left:0}
.facts td{text-align:left}.broken,.warn{color:#b91c1c;font-weight:600}.kept{color:#166534}
code{overflow-wrap:anywhere}svg{width:100%;height:auto;display:block}
@media (max-width:640px){table,tbody,tr,td{display:block}
thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
tr{border-bottom:2px solid #d1d5db;padding:.35rem 0}
td,td:first-child{border:0;padding:.05rem 0;text-align:left}
td::before{content:attr(data-name) ": ";color:#4b5563}td[data-name=""]::before{content:""}
td:first-child{font-weight:600}}
@media print{body{font-size:10pt;max-width:none}h2{break-after:avoid}tr,svg{break-inside:avoid}}
"""
_WIDTH: Final = 600
_QUANTILES: Final = ("p50", "p90", "p99", "p999", "max")
_AGAINST_TOO_FEW: Final = {"p90": 10, "p99": 100, "p999": 1000}
"""How many times there must be for a quantile to be other than the longest time."""


def render(report: FleetReport) -> str:
    """Return the page for *report*."""
    verdict = "every limit was kept" if report.is_good else "not every limit was kept"
    parts = [
        f"<h1>{_text(report.scenario)}: {verdict}</h1>",
        f"<p>{_text(report.about)}</p>",
        _answers(report),
        _warning(report),
        _list(report.notes),
        _special(report),
        "<h2>The run</h2>",
        _run(report),
        "<h2>Limits</h2>",
        _verdicts(report),
        "<h2>From due to queryable, by phase</h2>",
        _phases(report),
        *_plots(report),
        "<h2>Every envelope accounted for</h2>",
        _books(report),
        *_cores(report),
        "<h2>What the generator itself cost</h2>",
        f"<p>{_text(cost_of(report.generator))}.</p>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(report.scenario)}: {verdict}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _answers(report: FleetReport) -> str:
    """Return what is asked first: did it hold, at what rate, how late, was anything lost."""
    kept = sum(verdict.is_kept for verdict in report.verdicts)
    whole, books = report.overall, report.books
    late = whole.queryable
    held = "yes" if report.is_good else "no"
    answers = [
        ("Did it hold?", held, f"{kept} of {len(report.verdicts)} limits were kept"),
        (
            "At what rate?",
            f"{_count(round(whole.stored_per_s, 1))} envelopes/s stored",
            f"{_count(round(whole.offered_per_s, 1))}/s were due, from {report.agents} gateways",
        ),
        (
            "How late?",
            f"{in_time(late['p99'])} for 99 %"
            if _is_enough(report, "p99")
            else f"{in_time(late['max'])} at most",
            f"half within {in_time(late['p50'])}, the latest {in_time(late['max'])};"
            f" {_count(report.timed)} envelopes timed",
        ),
        (
            "Was anything lost?",
            "not known"
            if books is None
            else "nothing"
            if books.lost == books.doubled == 0
            else f"{books.lost} lost, {books.doubled} stored twice",
            "the database was not asked"
            if books is None
            else f"{_count(books.sealed)} sealed, {_count(books.stored)} stored",
        ),
    ]
    rows = "".join(
        f"<div><dt>{_text(asked)}</dt><dd>{_text(answer)}<small>{_text(more)}</small></dd></div>"
        for asked, answer, more in answers
    )
    return f'<dl class="answers">{rows}</dl>'


def _is_enough(report: FleetReport, quantile: str) -> bool:
    """Tell whether enough envelopes were timed for a *quantile* of its own."""
    return report.timed >= _AGAINST_TOO_FEW.get(quantile, 1)


def _warning(report: FleetReport) -> str:
    if not report.generator.was_the_limit:
        return ""
    return (
        '<p class="warn">The generator was the limit: it offered'
        f" {report.generator.offered * 100:.4g} % of its plan in time, so that the figures are"
        " of this machine rather than of the system.</p>"
    )


def _run(report: FleetReport) -> str:
    context = report.context
    versions = ", ".join(f"{name} {version}" for name, version in context.versions.items())
    facts = [
        ("when", _text(f"{context.began_at} to {context.ended_at}")),
        ("command", f"<code>{_text(context.command)}</code>"),
        ("versions", _text(versions)),
        ("host", _text(context.host)),
        ("fleet", _text(
            f"{report.agents} gateways, {report.connected} connected at once, in"
            f" {report.generator.workers} process{'es' * (report.generator.workers > 1)}"
        )),
        ("plan", _text(f"seed {report.seed}, digest {report.plan}")),
    ]  # fmt: skip
    rows = "".join(
        f'<tr><td data-name="">{name}</td><td data-name="" class="fact">{value}</td></tr>'
        for name, value in facts
    )
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def _plots(report: FleetReport) -> list[str]:
    over_time = functools.partial(
        draw,
        description="Over the seconds since the first phase began. Phases are marked.",
        x=_seconds,
        marks=[(phase.from_s, phase.name) for phase in report.phases],
        width=_WIDTH,
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
        width=_WIDTH,
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


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], marks: Sequence[str] = ()) -> str:
    """Return a table; *marks* are the classes of its rows, if they have some."""
    cells = "".join(f'<th scope="col">{_text(name)}</th>' for name in head)
    body = "".join(
        f"<tr{mark}>"
        + "".join(
            f'<td data-name="{_text(name)}">{_text(cell)}</td>'
            for name, cell in zip(("", *head[1:]), row, strict=True)
        )
        + "</tr>"
        for row, mark in zip(rows, marks or [""] * len(rows), strict=True)
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _verdicts(report: FleetReport) -> str:
    words = ["kept" if verdict.is_kept else "broken" for verdict in report.verdicts]
    rows = [
        [verdict.text, in_unit(verdict), word]
        for verdict, word in zip(report.verdicts, words, strict=True)
    ]
    return _table(["limit", "measured", ""], rows, [f' class="{word}"' for word in words])


def _phases(report: FleetReport) -> str:
    names = [name for name in _QUANTILES if _is_enough(report, name)]
    rows = [_phase(phase, names) for phase in [*report.phases, report.overall]]
    titles = [_title(name) for name in names]
    return _table(["phase", "due/s", "sent/s", "stored/s", *titles, "receipt, 99 %"], rows)


def _phase(phase: PhaseReport, names: Sequence[str]) -> list[str]:
    return [
        phase.name,
        *(f"{v:.1f}" for v in (phase.offered_per_s, phase.sent_per_s, phase.stored_per_s)),
        *(in_time(phase.queryable[name]) for name in names),
        in_time(phase.receipt["p99"]),
    ]


def _title(quantile: str) -> str:
    """Return how a quantile is called in a table: 99.9 % for p999."""
    if quantile == "max":
        return "longest"
    digits = quantile.removeprefix("p")
    return f"{digits[:2]}{'.' * (len(digits) > 2)}{digits[2:]} %"


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
    return _table(["what", "how many"], rows)
