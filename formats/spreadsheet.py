"""CSV for a spreadsheet, and a data dictionary that explains its columns and quantities."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from formats.observed import Observed
from wire.quantities import QUANTITIES

COLUMNS = {
    "time": "when it was measured; RFC 3339, UTC",
    "quantity": "what was measured; see the second part of this dictionary",
    "value": "in the unit beside it, as coarse as the purpose's policy left it",
    "unit": "UCUM",
    "purpose": "what it was measured for",
    "flags": "marks of the sensor; 0 for none",
}


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
    for name, meaning in COLUMNS.items():
        yield _line([name, meaning, "", ""])
    for quantity in QUANTITIES.values():
        meaning = quantity.name.replace("_", " ")
        yield _line([quantity.name, meaning, quantity.unit, quantity.loinc or ""])


def _line(cells: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()
