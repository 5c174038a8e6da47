"""The page of a run: the answers first, then the evidence, the generator's own costs last."""

import argparse
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from simulators.fleet.output import page
from simulators.fleet.report.accounting import Accounting, Ingested
from simulators.fleet.report.histogram import Histogram
from simulators.fleet.report.report import (
    Context,
    FleetReport,
    Generator,
    PhaseReport,
    UsageSample,
    Verdict,
)
from simulators.fleet.run import context

_SUMMARY: dict[str, float | None] = {
    "p50": 0.05,
    "p90": 0.06,
    "p99": 0.07,
    "p999": 0.08,
    "max": 0.09,
}


def phase(name: str, at_s: float) -> PhaseReport:
    """Return the figures of a phase of half a minute."""
    return PhaseReport(
        name, at_s, at_s + 30, 100.0, 99.5, 99.25, _SUMMARY, _SUMMARY,
        cpu=dict.fromkeys(("broker", "ingest", "trust", "database", "fleet", "relay"), 0.1),
    )  # fmt: skip


def report(timed: int = 600, offered: float = 1.0, **more: object) -> FleetReport:
    """Return the report of a run in which *timed* envelopes have a time."""
    times = Histogram()
    for n in range(timed):
        times.record(0.05 + n / 1e5)
    quantiles = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999]
    last = 1 - 1 / timed
    made = FleetReport(
        scenario="ward", about="A ward.", seed=1, plan="00ff",
        context=Context(
            "2026-06-01T00:00:00Z", "2026-06-01T00:01:10Z", "vitalveil simulate fleet ward",
            {"VitalVeil": "1.2.3", "PostgreSQL": "18.1"}, "Linux, 2 cores, 24 GB of memory",
        ),
        agents=30, connected=30, enrolment_s=1.0, ramp_s=1.0, drain_s=None, settle_s=1.0,
        phases=[phase("steady", 0.0), phase("night", 30.0)], overall=phase("overall", 0.0),
        books=Accounting(*([0] * len(Accounting.__struct_fields__))),
        ingest=Ingested(),
        generator=Generator(1, 20.0, 8.0, 15.0, 0.01, 1.5, None, _SUMMARY, offered),
        links={}, rows_after_withdrawal=None, withdrawals=0, withdrawn_late_s=None,
        highest_mb={"ingest": 80.0}, cpu_s={"fleet": 1.0}, machine={"cores": 2}, notes=[],
        verdicts=[Verdict("lost=0", 0.0, True), Verdict("p99<=50ms", 0.07, False)],
        samples=[UsageSample(float(n), 30, 0, {}, {}) for n in range(60)],
        per_second={name: [5.0] * 60 for name in ("offered", "sent", "stored", "p99")},
        curve=times.curve([*(q for q in quantiles if q < last), last]), timed=timed,
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


class _Text(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[dict[str, str | None]] = []
        self.all = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "td":
            self.cells.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.all += data + "\n"


def shown(made: FleetReport) -> str:
    """Return the text of the page, line by line."""
    return _Text(page.render(made)).all


def test_the_answers_come_first_and_the_generator_last() -> None:
    """Whether it held, at what rate and how late; then the run; the generator's costs last."""
    text = shown(report())
    order = [
        "Did it hold?", "At what rate?", "How late?", "Was anything lost?", "The run", "Limits",
        "From due to queryable, by phase", "Every envelope accounted for",
        "What the generator itself cost", "µs of CPU per envelope",
    ]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    answers = text[: places[4]]
    for answer in ("no", "1 of 2 limits were kept", "99.2 envelopes/s stored", "70 ms for 99 %",
                   "half within 50 ms", "nothing"):  # fmt: skip
        assert answer in answers, answer
    assert "CPU" not in answers


def test_a_reader_can_tell_when_where_and_how_it_ran() -> None:
    """Date, command, versions and host are on the page and in the JSON."""
    made = report()
    for fact in ("2026-06-01T00:00:00Z to 2026-06-01T00:01:10Z", "vitalveil simulate fleet ward",
                 "VitalVeil 1.2.3, PostgreSQL 18.1", "Linux, 2 cores", "seed 1"):  # fmt: skip
        assert fact in shown(made)
    assert msgspec.json.decode(made.to_json())["context"]["versions"]["PostgreSQL"] == "18.1"


@pytest.mark.parametrize(
    ("timed", "highest"), [(5, "0 %"), (60, "90 %"), (600, "99 %"), (60_000, "99.99 %")]
)
def test_an_axis_ends_where_the_envelopes_end(timed: int, highest: str) -> None:
    """600 envelopes have no time of their own for 99.9 % and above, and none is shown."""
    found = page.render(report(timed))
    chart = found[found.index("<title>Time to queryable</title>") :]
    labels = re.findall(r">([\d.]+ %)</text>", chart[: chart.index("</svg>")])
    assert labels[-1] == highest
    phases = found[found.index("by phase</h2>") : found.index("Envelopes a second</h2>")]
    assert ("99.9 %" in phases) is (timed >= 1000)
    assert ("99 %</th>" in phases.replace("receipt, 99 %", "")) is (timed >= 100)


def test_no_cell_of_a_table_is_without_its_title_on_a_narrow_screen() -> None:
    """Where rows become blocks, each cell but the first says what it is."""
    cells = _Text(page.render(report())).cells
    assert cells
    assert all("data-name" in cell for cell in cells)
    assert {cell["data-name"] for cell in cells} >= {"due/s", "stored/s", "measured", "how many"}


def test_charts_are_as_narrow_as_the_narrowest_screen() -> None:
    """A label that is 11 high in a picture 600 wide can be read at 600 px."""
    found = page.render(report())
    assert set(re.findall(r'viewBox="0 0 (\d+) ', found)) == {"600"}


def test_a_generator_that_was_the_limit_is_said_at_once() -> None:
    """Figures that are not of the system are marked before anyone reads them."""
    text = shown(report(offered=0.9))
    assert text.index("The generator was the limit") < text.index("The run")
    assert "The generator was the limit" not in shown(report())


def test_without_a_database_nothing_is_claimed() -> None:
    """What was not asked is said to be not known."""
    text = shown(report(books=None))
    assert "not known" in text
    assert "nothing\n" not in text


def _arguments(**more: object) -> argparse.Namespace:
    usual: dict[str, object] = {
        "scenario": "ward-30", "with_stack": False, "broker": None, "dsn": None, "agents": None,
        "scale_time": 1.0, "seed": None, "workers": 1, "ingest_port": None, "programs": None,
        "roster": None, "record": None, "replay": None, "json": None, "html": None,
        "fail_if": [],
    }  # fmt: skip
    return argparse.Namespace(**{**usual, **more})


def test_a_command_is_shown_without_addresses_and_folders() -> None:
    """A report is passed on: it names no host, user, password or folder of the site."""
    found = context.command_of(_arguments(
        scenario="/home/ada/secret/ward.yaml", broker=("broker.clinic.example", 8883),
        dsn="host=10.1.2.3 user=admin password=hunter2", roster=Path("/srv/clinic/roster.json"),
        html=Path("out/report.html"), seed=7, scale_time=0.5, fail_if=["p99>1s"],
    ))  # fmt: skip
    assert found == (
        "vitalveil simulate fleet ward.yaml --broker … --dsn … --scale-time 0.5 --seed 7"
        " --roster roster.json --html report.html --fail-if 'p99>1s'"
    )
    assert context.command_of(_arguments(with_stack=True)) == (
        "vitalveil simulate fleet ward-30 --with-stack"
    )


def test_every_option_of_the_command_is_known_to_its_rendering() -> None:
    """A new option appears in reports, or is left out on purpose."""
    from simulators.fleet import cli

    parser = argparse.ArgumentParser()
    cli.add_to(parser.add_subparsers())
    options = set(vars(parser.parse_args(["fleet", "ward-30"]))) - {"run", "list", "check"}
    assert options == set(vars(_arguments()))


def test_the_host_is_described_without_its_name() -> None:
    """System, cores and memory, and nothing that leads to the machine."""
    import socket

    found = context.host()
    assert "cores" in found
    assert "GB of memory" in found
    assert socket.gethostname() not in found
