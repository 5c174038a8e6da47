"""
The page that a person reads: one HTML file with everything in it, without a script. Pure.

It opens from a folder in any browser, without a network; it prints on paper; a screen of 600 px is
enough, where each row of a table becomes a block. Names are isolated from the direction of the
text around them (`bdi`), and everything is escaped.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from charts.chart import Band, Line, draw
from formats.access.document import Access, Notice, Purpose
from formats.access.summary import Series
from formats.access.words import LANGUAGES, PAGES
from formats.access.writer import Writer, bullets, entered, escaped, pairs, unit_of

_STYLE: Final = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:17px/1.55 system-ui,sans-serif;margin:0 auto;max-width:64rem;padding:1rem 1.25rem;
color:#111827;background:#fff;overflow-wrap:break-word}
h1{font-size:1.7rem;line-height:1.2}h2{font-size:1.25rem;margin-top:2.5rem;
border-top:2px solid #111827;padding-top:.5rem}h3{font-size:1.05rem;margin-top:1.75rem}
a{color:#1d4ed8}.warn{border-inline-start:4px solid #b45309;padding:.25rem .75rem}
table{border-collapse:collapse;width:100%;font-size:.95rem;font-variant-numeric:tabular-nums}
caption{text-align:start;font-weight:600;padding:.5rem 0}
th,td{text-align:start;vertical-align:top;padding:.3rem .75rem .3rem 0;
border-bottom:1px solid #d1d5db}dt{font-weight:600;margin-top:.6rem}dd{margin:0}
caption.quiet{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
figure{margin:1.5rem 0}svg{width:100%;height:auto;display:block}ul{padding-inline-start:1.25rem}
@media (max-width:640px){table.rows,.rows caption,.rows tbody,.rows tr,.rows td{display:block}
.rows thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.rows tr{border-bottom:2px solid #9ca3af;padding:.4rem 0}.rows td{border:0;padding:.1rem 0}
.rows td::before{content:attr(data-name) ": ";font-weight:600}}
@media print{body{font-size:10.5pt;max-width:none;padding:0}nav{display:none}
h2,h3{break-after:avoid}tr,figure,dt{break-inside:avoid}a{color:inherit;text-decoration:none}}
"""
_WIDTH: Final = 600
_PARTS: Final = (
    "who", "you", "why", "answers", "measured", "sensors", "requests", "rights", "more", "files",
)  # fmt: skip
_EPOCH: Final = dt.date(1970, 1, 1).toordinal()


def render(access: Access, series: Sequence[Series], files: Mapping[str, str], tag: str) -> str:
    """
    Return the page in one language.

    Args:
        access: Everything that is told beside the measurements.

        series: The measurements, summed up by day.

        files: The keys of the words that describe the files of the package, by their names.

        tag: The language, one of `LANGUAGES`.
    """
    return _Page(access, Writer(LANGUAGES[tag], tag)).whole(series, files)


class _Page:
    def __init__(self, access: Access, writer: Writer) -> None:
        self._access = access
        self._writer = writer
        self._say = writer.say
        self._word = writer.word
        self._time = writer.time
        self._number = writer.number
        self._table = writer.table
        self._words = writer.words

    def whole(self, series: Sequence[Series], files: Mapping[str, str]) -> str:
        access, say = self._access, self._say
        sections = {
            "who": self._who(access.notice),
            "you": self._you(),
            "why": "".join(self._purpose(one) for one in access.purposes) or self._writer.none(),
            "answers": self._answers(),
            "measured": self._measured(series),
            "sensors": self._sensors(),
            "requests": self._requests(),
            "rights": bullets(say(name) for name in self._words if name.startswith("right_")),
            "more": self._more(access.notice),
            "files": pairs((escaped(name), say(key)) for name, key in files.items()),
        }
        made = say("made", at=self._time(access.made_at), controller=access.notice.controller,
                   version=access.version)  # fmt: skip
        body = "".join(
            f'<section aria-labelledby="{name}"><h2 id="{name}">{say(name)}</h2>'
            f"{sections[name]}</section>"
            for name in _PARTS
        )
        return (
            f'<!doctype html>\n<html lang="{self._writer.tag}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="referrer" content="no-referrer">'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
            " style-src 'unsafe-inline'\">"
            f"<title>{say('title')}</title><style>{_STYLE}</style></head><body>"
            f"<header>{self._other_languages()}<h1>{say('title')}</h1><p>{made}</p>"
            f'<p class="warn">{say("private")}</p>{self._contents()}</header>'
            f"<main>{body}</main></body></html>\n"
        )

    def _other_languages(self) -> str:
        others = {tag: words["language"] for tag, words in LANGUAGES.items()}
        del others[self._writer.tag]
        links = [
            f'<a href="{PAGES[tag]}" hreflang="{tag}" lang="{tag}">{escaped(language)}</a>'
            for tag, language in others.items()
        ]
        return f"<nav>{' · '.join(links)}</nav>"

    def _contents(self) -> str:
        links = bullets(f'<a href="#{name}">{self._say(name)}</a>' for name in _PARTS)
        return f'<nav aria-label="{self._say("contents")}">{links}</nav>'

    def _unless_unsaid(self, said: str | None) -> str:
        if said is None:
            return self._say("unsaid", controller=self._access.notice.controller)
        return entered(said)

    def _who(self, notice: Notice) -> str:
        rows = [(self._say("controller"), entered(notice.controller))]
        for name in ("contact", "dpo", "authority"):
            rows.append((self._say(name), self._unless_unsaid(getattr(notice, name))))
        return pairs(rows)

    def _you(self) -> str:
        access, say = self._access, self._say
        told = pairs([
            (say("name"), entered(access.name)),
            (say("born"), escaped(access.born) if access.born else say("not-stated")),
            (say("subject"), escaped(access.subject)),
            (say("registered"), self._time(access.registered_at)),
        ])  # fmt: skip
        corrected = [
            (", ".join(self._word(field) for field in one.fields), self._time(one.at))
            for one in access.corrections
        ]
        deputies = [
            (
                self._say("unreadable") if one.name is None else entered(one.name),
                self._word(one.role),
                escaped(", ".join(one.purposes)) or "–",
                self._time(one.since),
                self._time(one.until, otherwise="still"),
                self._word(one.shown),
            )
            for one in access.deputies
        ]
        return (
            told
            + self._table("corrections", ("corrected", "at"), corrected)
            + self._table(
                "deputies", ("name", "role", "purpose", "from", "until", "shown"), deputies
            )
        )

    def _purpose(self, one: Purpose) -> str:
        say, notice = self._say, self._access.notice
        told = {name: notice.recipients.get(name) for name in one.recipients}
        recipients = [
            entered(name) if who is None else f"{entered(name)}: {entered(who)}"
            for name, who in told.items()
        ]
        details = [
            say(
                "detail",
                quantity=self._words.get(part.quantity, part.quantity),
                step=self._number(part.step),
                unit=unit_of(part.unit),
                aggregate=self._words.get(f"agg_{part.aggregate}", part.aggregate),
                interval=self._writer.length(part.interval_s),
                time=self._writer.length(part.time_step_s),
            )
            for part in one.details
        ]
        kept = say("kept_days", raw=str(one.raw_days), aggregate=str(one.aggregate_days))
        article6, article9 = self._word(one.art6), self._word(one.art9)
        facts = [
            (say("for"), self._unless_unsaid(notice.purposes.get(one.purpose))),
            (say("basis"), f"{article6} (art. {one.art6}); {article9} (art. {one.art9})"),
            (say("consent"), say("yes" if one.needs_consent else "no")),
            (say("recipients"), bullets(recipients) if recipients else say("none")),
            (say("kept"), kept),
            (say("categories"), bullets(details)),
            (say("never"), ", ".join(self._word(name) for name in one.never) or "–"),
        ]
        if one.justification is not None:
            facts.append((say("justification"), entered(one.justification)))
        return f"<h3>{escaped(one.purpose)}@{one.version}</h3>{pairs(facts)}"

    def _answers(self) -> str:
        rows = [
            (
                f"{escaped(one.purpose)}@{one.version}",
                self._word(one.state),
                self._word(one.standing),
                self._time(one.decided_at),
                self._time(one.valid_from),
                self._time(one.ends_at) or "–",
                self._word(one.given_by),
            )
            for one in self._access.answers
        ]
        names = ("purpose", "state", "standing", "decided", "from", "until", "given_by")
        return f"<p>{self._say('answers_note')}</p>" + self._table(
            "answers", names, rows, is_titled=True
        )

    def _measured(self, series: Sequence[Series]) -> str:
        rows = []
        for one in series:
            whole, unit = one.total, one.quantity.unit
            rows.append((
                self._word(one.quantity.name), escaped(one.purpose), str(whole.count),
                self._time(one.first), self._time(one.last),
                self._writer.amount(whole.low, unit),
                self._writer.amount(whole.total / whole.count, unit),
                self._writer.amount(whole.high, unit),
            ))  # fmt: skip
        uncertain = [
            self._say(
                "uncertain",
                count=str(one.uncertain),
                quantity=self._words.get(one.quantity.name, one.quantity.name),
            )
            for one in series
            if one.uncertain
        ]
        names = ("quantity", "purpose", "count", "first", "last", "low", "mean", "high")
        has_glucose = any("glucose" in one.quantity.name for one in series)
        return (
            f"<p>{self._say('measured_note', file='observations.csv')}</p>"
            + (f"<p>{self._say('mg_dl')}</p>" if has_glucose else "")
            + self._table("measured", names, rows, is_titled=True)
            + (bullets(uncertain) if uncertain else "")
            + "".join(_chart(one, self._writer) for one in series)
        )

    def _sensors(self) -> str:
        sensors = [
            (
                self._say("unreadable") if one.sensor is None else escaped(one.sensor),
                escaped(one.gateway),
                escaped(one.purpose),
                self._time(one.since),
                self._time(one.until, otherwise="still"),
            )
            for one in self._access.sensors
        ]
        gateways = [
            (escaped(one.gateway), self._time(one.since), self._time(one.revoked_at) or "–")
            for one in self._access.gateways
        ]
        names = ("sensor", "gateway", "purpose", "since", "until")
        return self._table("sensors", names, sensors, is_titled=True) + self._table(
            "gateways", ("gateway", "since", "revoked"), gateways
        )

    def _requests(self) -> str:
        access, time = self._access, self._time
        requests = [
            (
                self._word(one.right), time(one.received_at), time(one.due_at),
                "–" if one.extended_because is None else entered(one.extended_because),
                time(one.closed_at) or "–", self._word(one.outcome) or "–",
            )
            for one in access.requests
        ]  # fmt: skip
        copies = [
            (time(one.made_at), str(one.observations), time(one.deleted_at) or "–")
            for one in access.copies
        ]
        deletions = [
            (escaped(one.purpose or "–"), time(one.requested_at)) for one in access.deletions
        ]
        openings = [
            (
                escaped(one.purpose), self._word(one.basis), time(one.requested_at),
                str(one.approvals), time(one.opened_at) or "–",
            )
            for one in access.openings
        ]  # fmt: skip
        return (
            self._table(
                "requests",
                ("right", "received", "due", "extended", "closed", "outcome"),
                requests,
                is_titled=True,
            )
            + self._table("copies", ("at", "count", "deleted"), copies)
            + self._table("deletions", ("purpose", "asked"), deletions)
            + f"<p>{self._say('openings_note')}</p>"
            + self._table(
                "openings", ("purpose", "ground", "asked", "approvals", "opened"), openings
            )
        )

    def _more(self, notice: Notice) -> str:
        say = self._say
        return pairs([
            (say("sources"), f"{self._unless_unsaid(notice.sources)} {say('source_of_values')}"),
            (say("transfers"), self._unless_unsaid(notice.transfers)),
            (say("automated"),
             f"{say('automated_own')} {self._unless_unsaid(notice.automated_decisions)}"),
        ])  # fmt: skip


def _day(value: float) -> str:
    """Return the date of a day since 1970; nothing between whole days."""
    return dt.date.fromordinal(round(value) + _EPOCH).isoformat() if value == round(value) else ""


def _chart(one: Series, writer: Writer) -> str:
    """Return the days of *one* series as a figure."""
    days = [(float(day.toordinal() - _EPOCH), one.days[day]) for day in sorted(one.days)]
    title = writer.words["by_day"].format(
        quantity=writer.words.get(one.quantity.name, one.quantity.name),
        unit=unit_of(one.quantity.unit),
    )
    picture = draw(
        [
            Line(writer.words["mean"], [(at, day.total / day.count) for at, day in days]),
            Band(writer.words["range"], [(at, day.low, day.high) for at, day in days]),
        ],
        title=title,
        description=writer.words["chart"],
        x=_day,
        y=writer.number,
        width=_WIDTH,
        has_zero=False,
    )
    return f"<figure><figcaption>{escaped(title)} ({escaped(one.purpose)})</figcaption>" + (
        f"{picture}</figure>"
    )
