"""
How a page says things: words of one language, times, numbers, tables. Pure.

Everything is escaped. A text that people entered is isolated from the direction of the text around
it (`bdi`).
"""

import datetime as dt
import html
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

_UNITS: Final[Mapping[str, str]] = MappingProxyType({"mm[Hg]": "mmHg", "Cel": "°C"})
"""Units of UCUM that people write otherwise."""


class Writer:
    """
    Writes in one language.

    Args:
        words: The words by key.

        tag: The language's tag (BCP 47).
    """

    def __init__(self, words: Mapping[str, str], tag: str) -> None:
        self.words = words
        self.tag = tag

    def say(self, key: str, **values: str) -> str:
        """Return the words of *key* with *values* in them; all escaped, the values isolated."""
        isolated = {name: entered(value) for name, value in values.items()}
        return escaped(self.words[key]).format(**isolated)

    def word(self, key: str | None) -> str:
        """Return the words of a value that has some; otherwise the value itself."""
        return "" if key is None else escaped(self.words.get(key, key))

    def none(self) -> str:
        """Return a paragraph that says that there is none."""
        return f"<p>{self.say('none')}</p>"

    def time(self, at: dt.datetime | None, *, otherwise: str = "") -> str:
        """Return a time in UTC, to the minute; for None the words of the key *otherwise*."""
        if at is None:
            return self.say(otherwise) if otherwise else ""
        return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M")

    def number(self, value: float) -> str:
        """Return *value* with at most two digits after the decimal sign of the language."""
        text = f"{round(value, 2):g}"
        return text if self.tag == "en" else text.replace(".", ",")

    def amount(self, value: float, unit: str) -> str:
        """Return *value* with its *unit* of UCUM, as people write it."""
        return f"{self.number(value)} {escaped(unit_of(unit))}"

    def length(self, seconds: float) -> str:
        """Return a length of time in the largest unit of which it is a whole number."""
        for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
            if seconds >= length and seconds % length == 0:
                return f"{self.number(seconds / length)} {unit}"
        return f"{self.number(seconds * 1000)} ms"

    def table(
        self,
        caption: str,
        names: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        is_titled: bool = False,
    ) -> str:
        """
        Return a table, whose cells are HTML already; a paragraph where it has no rows.

        Args:
            caption: The key of its title.

            names: The keys of the titles of its columns.

            rows: Its cells.

            is_titled: Whether a heading above has the same title, so that none is seen here.
        """
        heads = [self.say(name) for name in names]
        if not rows:
            return self.none() if is_titled else f"<h3>{self.say(caption)}</h3>{self.none()}"
        head = "".join(f'<th scope="col" role="columnheader">{one}</th>' for one in heads)
        body = "".join(
            '<tr role="row">'
            + "".join(
                f'<td role="cell" data-name="{name}">{cell}</td>'
                for name, cell in zip(heads, row, strict=True)
            )
            + "</tr>"
            for row in rows
        )
        quiet = ' class="quiet"' if is_titled else ""
        # The roles keep it a table for a screen reader where a style makes blocks of its rows.
        return (
            f'<table class="rows" role="table"><caption{quiet}>{self.say(caption)}</caption>'
            f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
            f'<tbody role="rowgroup">{body}</tbody></table>'
        )


def unit_of(ucum: str) -> str:
    """Return a unit of UCUM as people write it."""
    return _UNITS.get(ucum, ucum)


def escaped(value: str) -> str:
    """Return *value* escaped."""
    return html.escape(value)


def entered(value: str) -> str:
    """Return a text that people entered: with its own direction, its lines kept."""
    return "<bdi>" + "<br>".join(map(html.escape, value.splitlines())) + "</bdi>"


def bullets(parts: Iterable[str]) -> str:
    """Return a list, whose *parts* are HTML already."""
    return "<ul>" + "".join(f"<li>{item}</li>" for item in parts) + "</ul>"


def pairs(named: Iterable[tuple[str, str]]) -> str:
    """Return a list of names with their values, which are HTML already."""
    return "<dl>" + "".join(f"<dt>{head}</dt><dd>{value}</dd>" for head, value in named) + "</dl>"
