"""The page that a person reads: whole, in their language, safe, and readable without a network."""

import datetime as dt
import itertools
import re
import string
from collections.abc import Mapping
from html.parser import HTMLParser

import msgspec
import pytest

from formats.access import document, page
from formats.access.document import Access, Notice
from formats.access.summary import Summary
from formats.access.words import LANGUAGES, PAGES
from tests.support.observations import AT, observed
from wire.quantities import BY_NAME

HOSTILE = '<script>alert(1)</script>"onload=x \u202egpj.exe'


def access(text: str = "Ada Lovelace", **more: object) -> Access:
    """Return everything that is told, with *text* wherever people enter text."""
    later = AT + dt.timedelta(days=30)
    told = Access(
        made_at=AT, version="1.2.3", subject="0-1-2", name=text, born="1990-05", registered_at=AT,
        notice=Notice(
            controller=text, contact=text, dpo=text, authority=text, sources=text, transfers=text,
            automated_decisions=text, purposes={"care": text}, recipients={"care-team": text},
        ),
        purposes=[document.Purpose(
            "care", 2, "6.1.a", "9.2.a", True, ["care-team"],
            [document.Detail("heart_rate", "/min", 1.0, 60.0, 0.001, "mean")],
            ["rr_interval"], 30, 365, text,
        )],
        answers=[document.AnswerGiven(
            "care", 2, "accepted", "superseded", AT, AT, later, "self")],
        sensors=[document.Sensor("C0:FF:EE:00:00:01", "gw1", "care", AT, None),
                 document.Sensor(None, "gw1", "care", AT, later)],
        gateways=[document.Gateway("gw1", AT, None)],
        corrections=[document.Correction(["name"], AT)],
        requests=[document.Request("access", AT, later, text, None, None)],
        copies=[document.Copy(AT, 7, later)],
        deputies=[document.Deputy(text, "guardian", ["care"], AT, None, "court-order")],
        openings=[document.Opening("care", "safety", AT, 2, later)],
        deletions=[document.Deletion("care", AT)],
    )  # fmt: skip
    return msgspec.structs.replace(told, **more)


def rendered(told: Access | None = None, tag: str = "en") -> str:
    """Return the page of someone with a few values."""
    summary = Summary()
    rows = [observed("heart_rate", 70 + n, at=AT + dt.timedelta(hours=7 * n)) for n in range(9)]
    list(summary.of([*rows, observed("glucose_capillary", 5.25)]))
    return page.render(told or access(), summary.series, {"observations.csv": "file_omh"}, tag)


class Reader(HTMLParser):
    """Reads a page as a browser does: its elements, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Mapping[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "line", "polyline", "polygon"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_language_says_everything() -> None:
    """The words of all languages have the same keys, and the same places for values."""
    assert LANGUAGES.keys() == PAGES.keys() == {"fr", "en", "de"}
    english = LANGUAGES["en"]
    for words in LANGUAGES.values():
        assert words.keys() == english.keys()
        for key, text in words.items():
            assert _places(text) == _places(english[key]), key
            assert text.strip() == text != "", key


def _places(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_value_that_can_be_told_has_words() -> None:
    """No state, right, ground, basis or quantity is shown by the word of the program."""
    from trust.decisions.decisions import GivenBy, State
    from trust.decisions.representatives import RepresentativeRole, Shown
    from trust.decisions.standing import Standing
    from trust.domain.due_dates import RequestKind, RequestOutcome
    from trust.domain.purposes import Article6, Article9
    from trust.domain.reidentify import Basis
    from wire.policy import Aggregate

    enums = (State, Standing, GivenBy, RepresentativeRole, Shown, RequestKind, RequestOutcome,
             Article6, Article9, Basis)  # fmt: skip
    wanted = {member.value for kind in enums for member in kind} | set(BY_NAME)
    wanted |= {f"agg_{one.value}" for one in Aggregate}
    for words in LANGUAGES.values():
        assert wanted <= words.keys()


@pytest.mark.parametrize("tag", sorted(LANGUAGES))
def test_a_page_tells_everything_of_article_15(tag: str) -> None:
    """Each letter of art. 15(1), transfers, and all that was recorded of the person."""
    words, found = LANGUAGES[tag], Reader(rendered(tag=tag))
    for key in (
        "controller", "contact", "dpo", "authority", "for", "basis", "recipients", "kept",
        "categories", "never", "answers", "measured", "sensors", "gateways", "corrections",
        "requests", "copies", "deletions", "deputies", "openings", "sources", "transfers",
        "automated", "right_access", "right_rectification", "right_erasure", "right_restriction",
        "right_portability", "right_objection", "right_withdrawal", "right_complaint",
    ):  # fmt: skip
        assert words[key] in found.text, key
    for value in ("Ada Lovelace", "C0:FF:EE:00:00:01", "gw1", "care@2", "6.1.a", "1990-05",
                  words["superseded"], words["heart_rate"], words["unreadable"]):  # fmt: skip
        assert value in found.text, value
    assert found.open == []


def test_what_the_controller_has_not_said_is_not_made_up() -> None:
    """A missing statement is said to be missing, with whom to ask."""
    found = Reader(rendered(access(notice=Notice("Example Clinic")))).text
    unsaid = LANGUAGES["en"]["unsaid"].format(controller="Example Clinic")
    # Contact, officer, authority, purpose, sources, transfers and automated decisions.
    assert found.count(unsaid) == 7
    assert Notice("x").unsaid() == [
        "contact", "dpo", "authority", "sources", "transfers", "automated_decisions",
    ]  # fmt: skip


@pytest.mark.parametrize("tag", sorted(LANGUAGES))
def test_no_text_that_people_entered_becomes_markup(tag: str) -> None:
    """A name may hold anything: it is shown as it is, isolated from the text around it."""
    text = rendered(access(HOSTILE), tag)
    found = Reader(text)
    assert "<script" not in text
    assert HOSTILE in found.text
    assert all(not name.startswith("on") for _, attrs in found.elements for name in attrs)
    for start in (match.start() for match in re.finditer("\u202e", text)):
        assert text.rfind("<bdi>", 0, start) > text.rfind("</bdi>", 0, start)


def test_a_page_needs_nothing_but_itself() -> None:
    """No script, no address of anything outside, and a policy that a browser enforces."""
    found = Reader(rendered())
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "form", "base"}
    links = [attrs["href"] for tag, attrs in found.elements if tag == "a"]
    assert links
    assert all(link and (link.startswith("#") or link in PAGES.values()) for link in links)
    assert "url(" not in rendered()
    policies = [attrs.get("content") for tag, attrs in found.elements
                if attrs.get("http-equiv") == "Content-Security-Policy"]  # fmt: skip
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_a_page_can_be_read_by_a_screen_reader() -> None:
    """Language, headings in order, tables with captions and heads, charts with a title."""
    found = Reader(rendered(tag="fr"))
    assert ("html", {"lang": "fr"}) in found.elements
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    tables = [tag for tag, _ in found.elements if tag in {"table", "caption"}]
    assert tables == ["table", "caption"] * (len(tables) // 2)
    assert all(attrs.get("scope") == "col" for tag, attrs in found.elements if tag == "th")
    assert all(attrs.get("data-name") for tag, attrs in found.elements if tag == "td")
    charts = [attrs.get("role") for tag, attrs in found.elements if tag == "svg"]
    assert charts == ["img", "img"]
    assert [tag for tag, _ in found.elements].count("title") == 1 + len(charts)


def test_values_are_summed_up_by_day() -> None:
    """Count, lowest, mean and highest are of all values, and days are those of UTC."""
    summary = Summary()
    rows = [
        observed("heart_rate", value, at=dt.datetime.fromisoformat(at))
        for value, at in (
            (60, "2026-06-01T23:59:59+00:00"), (80, "2026-06-02T00:00:00+00:00"),
            (100, "2026-06-02T01:30:00+02:00"),
        )
    ]  # fmt: skip
    assert list(summary.of(rows)) == rows
    (series,) = summary.series
    assert summary.count == series.count == 3
    assert {day.isoformat(): one.count for day, one in series.days.items()} == {
        "2026-06-01": 2, "2026-06-02": 1,
    }  # fmt: skip
    assert (series.total.low, series.total.high, series.total.total) == (60, 100, 240)


@pytest.mark.parametrize("tag", sorted(LANGUAGES))
def test_values_whose_time_is_uncertain_are_counted(tag: str) -> None:
    """A value that a moved clock dated is shown, and said to be uncertain."""
    summary = Summary()
    rows = [observed("glucose_capillary", 5.0, flags=flags) for flags in (0, 1, 3, 4)]
    list(summary.of(rows))
    found = Reader(page.render(access(), summary.series, {}, tag)).text
    words = LANGUAGES[tag]
    assert words["uncertain"].format(count="2", quantity=words["glucose_capillary"]) in found
    assert words["uncertain"][-30:] not in Reader(rendered(tag=tag)).text


def test_numbers_are_written_as_in_the_language() -> None:
    """French and German have a decimal comma."""
    assert "5.25 mmol/L" in Reader(rendered(tag="en")).text
    for tag in ("fr", "de"):
        assert "5,25 mmol/L" in Reader(rendered(tag=tag)).text


def test_someone_without_any_measurement_gets_a_page() -> None:
    """Empty lists are said to be empty."""
    bare = access(
        purposes=[], answers=[], sensors=[], gateways=[], corrections=[], requests=[], copies=[],
        deputies=[], openings=[], deletions=[], born=None,
    )  # fmt: skip
    found = Reader(page.render(bare, [], {}, "en"))
    assert found.text.count("None.") >= 10
