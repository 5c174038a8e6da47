"""CSV for a spreadsheet, and a data dictionary that explains its columns and quantities."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from formats.observed import Aggregated, Observed
from wire.quantities import QUANTITIES

COLUMNS = {
    "time": "when it was measured; RFC 3339, UTC",
    "quantity": "what was measured; see the second part of this dictionary",
    "value": "in the unit beside it, as coarse as the purpose's policy left it",
    "unit": "UCUM",
    "purpose": "what it was measured for",
    "flags": "marks; 0 for none, 1 where the time may be wrong by hours",
}


AGGREGATE_COLUMNS = {
    "from": "when the minute, hour or day begins; RFC 3339, UTC",
    "seconds": "how long it is: 60, 3600 or 86400",
    "quantity": "what was measured; see the second part of this dictionary",
    "count": "how many values there were",
    "mean": "of these values, in the unit beside it",
    "lowest": "of these values",
    "highest": "of these values",
    "unit": "UCUM",
    "purpose": "what it was measured for",
}


def aggregate_lines(aggregated: Iterable[Aggregated]) -> Iterator[bytes]:
    """Yield the table of aggregates as lines of CSV, the header first."""
    yield _line(list(AGGREGATE_COLUMNS))
    for one in aggregated:
        mean, low, high = (f"{value:.6g}" for value in (one.mean, one.low, one.high))
        yield _line(
            [one.time, str(one.seconds), one.quantity.name, str(one.count), mean, low, high,
             one.quantity.unit, one.purpose]
        )  # fmt: skip


def lines(observed: Iterable[Observed]) -> Iterator[bytes]:
    """Yield the table of observations as lines of CSV, the header first."""
    yield _line(list(COLUMNS))
    for one in observed:
        quantity = one.quantity
        yield _line(
            [one.time, quantity.name, f"{one.value:g}", quantity.unit, one.purpose, str(one.flags)]
        )


def dictionary() -> Iterator[bytes]:
    """Yield the data dictionary as lines of CSV, the header first."""
    yield _line(["column or quantity", "meaning", "unit", "LOINC"])
    for name, meaning in {**AGGREGATE_COLUMNS, **COLUMNS}.items():
        yield _line([name, meaning, "", ""])
    for quantity in QUANTITIES.values():
        meaning = quantity.name.replace("_", " ")
        yield _line([quantity.name, meaning, quantity.unit, quantity.loinc or ""])


def _line(cells: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()
