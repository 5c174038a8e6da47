"""Rows of a delimited table."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.parsing.table import Title, has_form, rows, title, titles


def read(text: str, delimiter: str = ",") -> list[tuple[int, list[str] | None]]:
    """Return the rows of *text*, each with its line."""
    return [
        (row.line, row.fields) for row in rows(enumerate(text.split("\n"), start=1), delimiter)
    ]


def test_quoted_field_goes_on_in_the_next_line() -> None:
    """A note with line breaks is one field, and rows are numbered by their first line."""
    assert read('a,"one\n\ntwo,2",c\nd,e,f') == [
        (1, ["a", "one\n\ntwo,2", "c"]),
        (4, ["d", "e", "f"]),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('a,"b\nc,d\ne,f', [(1, None), (2, ["c", "d"]), (3, ["e", "f"])], id="open"),
        pytest.param('a,"b"x\nc,d', [(1, None), (2, ["c", "d"])], id="text after a quote"),
        pytest.param('a,5" b\nc,d', [(1, ["a", '5" b']), (2, ["c", "d"])], id="inches"),
        pytest.param('a,"b\nc,"d"\ne,f', [(1, None), (2, ["c", "d"]), (3, ["e", "f"])], id="two"),
        pytest.param("a,\0b\nc,d", [(1, None), (2, ["c", "d"])], id="NUL"),
        pytest.param("a,b\n\n \nc,d", [(1, ["a", "b"]), (4, ["c", "d"])], id="blank lines"),
    ],
)
def test_bad_quote_spoils_its_own_line(
    text: str, expected: list[tuple[int, list[str] | None]]
) -> None:
    """Lines after it are rows of their own."""
    assert read(text) == expected


def test_quote_that_never_ends_costs_little() -> None:
    """A thousand opened quotes are looked at a bounded number of lines each."""
    found = read('a,"b\n' * 1000 + "c,d")

    assert len(found) == 1001
    assert found[-1] == (1001, ["c", "d"])


_FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(st.lists(st.lists(_FIELD, min_size=2, max_size=4), min_size=1, max_size=6))
def test_rows_inverts_what_a_writer_writes(table: list[list[str]]) -> None:
    """Every table that the csv module writes is read back."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    text = written.getvalue().removesuffix("\n")

    assert [row.fields for row in rows(enumerate(text.split("\n"), 1), ",")] == table


@pytest.mark.parametrize(
    ("text", "name", "unit"),
    [
        ("Glucose Value (mg/dL)", "glucose value", "mg/dL"),
        ("Glukosewert (mmol/l)", "glukosewert", "mmol/L"),
        ("Historic Glucose mg/dl", "historic glucose", "mg/dL"),
        ("Historic Glucose(MMOL/L)", "historic glucose", "mmol/L"),
        ("Timestamp (YYYY-MM-DDThh:mm:ss)", "timestamp", None),
        ("Glucose Rate of Change (mg/dL/min)", "glucose rate of change", None),
        ("Glucose (mg)", "glucose", None),
        ("Horodatage de l\u2019appareil", "horodatage de l'appareil", None),
    ],
)
def test_title_is_name_and_unit(text: str, name: str, unit: str | None) -> None:
    """Case, brackets and apostrophes do not matter; a rate is another unit."""
    assert title(text) == Title(name, unit)


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
def test_delimiter_is_the_one_with_the_most_columns(delimiter: str) -> None:
    """A comma within a title does not hide the delimiter."""
    found, columns = titles(delimiter.join(["Index", "Date, local", "Value (mg/dL)"]))

    assert found == delimiter
    assert columns[0] == Title("index", None)
    assert columns[-1] == Title("value", "mg/dL")


@pytest.mark.parametrize(
    ("fields", "expected"), [(4, True), (5, False), (3, True), (2, False), (1, False)]
)
def test_row_must_fit_below_its_heading(fields: int, expected: bool) -> None:
    """More fields come of a decimal comma, fewer of an end in the middle of a value."""
    [row] = rows([(1, ",".join(["x"] * fields))], ",")

    assert has_form(row, 4, [1]) is expected
