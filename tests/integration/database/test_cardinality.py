"""The number of series in the metrics: equal for a hundred and a thousand gateways under load."""

import asyncio
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from simulators.fleet.report.report import FleetReport
from simulators.fleet.run.campaign import Campaign, CampaignOptions
from simulators.fleet.run.site import Site, own_site
from simulators.fleet.scenario import plan
from simulators.fleet.scenario.scenario import Phase, Scenario

pytestmark = [
    pytest.mark.broker,
    pytest.mark.database,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

_SCENARIO: Final = Scenario(
    name="counted",
    agents=100,
    every_s=5.0,
    quantities={"heart_rate": 1.0},
    settle_s=120.0,
    phases=[
        Phase(name="steady", duration_s=3.0, withdrawals=3),
        Phase(name="bad", duration_s=3.0, duplicates=0.1, corrupt=0.1, hostile=0.2,
              churn_per_min=60),
    ],
    limits=["lost=0"],
)  # fmt: skip
_VALUES: Final = re.compile(r"[a-z][a-z0-9_]*|[0-9][0-9.e\-+]*|\+Inf")
_NAMES: Final = frozenset(
    ("cause", "characteristic", "ending", "fault", "file", "kind", "le", "of", "outcome", "sign",
     "quantity", "reason", "state", "step", "to", "what")
)  # fmt: skip
_Series = frozenset[tuple[str, frozenset[tuple[str, str]]]]


class Scraped(msgspec.Struct):
    """The metrics of both programs during a fleet's run, one entry for each scrape."""

    report: FleetReport
    forbidden: set[str]
    texts: list[tuple[str, str]]

    def series(self, program: int) -> set[_Series]:
        """
        Return the distinct sets of series that a program exported; one set if they never
        changed.
        """
        return {
            frozenset(
                (sample.name, frozenset(sample.labels.items()))
                for family in text_string_to_metric_families(text[program])
                for sample in family.samples
            )
            for text in self.texts
        }


def scraped(agents: int, *, ramp_s: float, every_s: float = 5.0) -> Scraped:
    """Run a fleet of *agents* on a new system, and scrape both programs twice a second."""
    scenario = msgspec.structs.replace(_SCENARIO, agents=agents, ramp_s=ramp_s, every_s=every_s)
    with own_site(scenario, say=lambda _: None) as site:
        options = CampaignOptions(resend_after_s=10.0, state_every_s=3.0)
        campaign = Campaign(
            scenario, plan.draw(scenario), site, options, say=lambda _: None, show=lambda _: None
        )
        with _scraping(site) as texts:
            report = asyncio.run(campaign.run())
        members = site.members
    assert report.connected == agents
    forbidden = {name for one in members for name in (one.agent, one.subject, one.handle)}
    return Scraped(report, forbidden, texts)


@contextmanager
def _scraping(site: Site) -> Iterator[list[tuple[str, str]]]:
    texts: list[tuple[str, str]] = []
    is_over = threading.Event()

    def work() -> None:
        while not is_over.wait(0.5):
            texts.append((_text(site.ingest_port), _text(site.trust_port)))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield texts
    finally:
        is_over.set()
        worker.join()


def _text(port: int | None) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply:
        text: str = reply.read().decode()
    return text


@pytest.fixture(scope="module")
def hundred() -> Scraped:
    """The metrics for a hundred gateways."""
    return scraped(100, ramp_s=1.0)


@pytest.fixture(scope="module")
def thousand() -> Scraped:
    """The metrics for a thousand gateways."""
    return scraped(1_000, ramp_s=5.0)


def test_the_load_was_one(thousand: Scraped) -> None:
    """
    The load was real: a thousand gateways connected and had envelopes stored, refused and
    quarantined, and people withdrew.
    """
    books = thousand.report.books
    assert books is not None
    assert min(books.stored, books.refused, books.nameless, books.duplicates) > 10
    assert thousand.report.withdrawals == 3
    assert len(thousand.texts) > 10
    assert len({ingest for ingest, _ in thousand.texts}) > 10


def test_ten_times_the_fleet_has_as_many_series(hundred: Scraped, thousand: Scraped) -> None:
    """
    The series of a thousand gateways equal those of a hundred, from the first scrape to
    the last.
    """
    _are_the_same(hundred, thousand)


def test_no_label_holds_anything_personal(thousand: Scraped) -> None:
    """No gateway, person or handle is in the metrics, and labels come from closed sets."""
    _is_about_nobody(thousand)


def test_a_label_with_a_name_would_be_noticed(hundred: Scraped) -> None:
    """A label that holds a gateway, person or handle is detected: the test above can fail."""
    name = next(iter(hundred.forbidden))
    for line in (f'x{{to="{name}"}} 1\n', 'x{agent="a"} 1\n', 'x{to="Jane Doe"} 1\n'):
        named = msgspec.structs.replace(hundred, texts=[(line, "")])
        with pytest.raises(AssertionError):
            _is_about_nobody(named)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_gateways_have_as_many_series(hundred: Scraped) -> None:
    """With ten thousand gateways the series are the same, and name no person or gateway."""
    region = scraped(10_000, ramp_s=90.0, every_s=30.0)
    _are_the_same(hundred, region)
    _is_about_nobody(region)


def _are_the_same(few: Scraped, many: Scraped) -> None:
    for program in (0, 1):
        assert few.series(program) == many.series(program)
        (shown,) = many.series(program)
        print(f"{len(few.forbidden)} and {len(many.forbidden)} names: {len(shown)} series")  # noqa: T201
        assert len(shown) > (250, 30)[program]


def _is_about_nobody(found: Scraped) -> None:
    for program in (0, 1):
        for series in found.series(program):
            for _, labels in series:
                for label, value in labels:
                    assert label in _NAMES
                    assert _VALUES.fullmatch(value), (label, value)
    words = {
        word for pair in found.texts for text in pair for word in re.findall(r"[\w\-]+", text)
    }
    assert not words & found.forbidden
