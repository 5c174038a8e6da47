"""
Rows as PostgreSQL's binary COPY wants them. Pure.

https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": a header, then for each
row a field count and each field behind its length, all big-endian, then a trailer.
"""

import struct
from typing import Final

import numpy as np

from ingest.decide import Rows

_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_FIELDS: Final = 4

_POSTGRES_EPOCH_MS: Final = 946_684_800_000
"""2000-01-01T00:00Z: what timestamptz counts microseconds from."""

_ROW: Final = np.dtype(
    [
        ("fields", ">i2"),
        ("time_size", ">i4"),
        ("time", ">i8"),
        ("series_size", ">i4"),
        ("series", ">i4"),
        ("value_size", ">i4"),
        ("value", ">f4"),
        ("flags_size", ">i4"),
        ("flags", ">i2"),
    ]
)


def encode(rows: Rows) -> bytes:
    """Return *rows* as `COPY vv.observations (time, series_id, value, flags)` reads them."""
    table = np.empty(len(rows), dtype=_ROW)
    table["fields"] = _FIELDS
    table["time_size"] = 8
    table["time"] = (rows.times_ms - _POSTGRES_EPOCH_MS) * 1000
    table["series_size"] = 4
    table["series"] = rows.series
    table["value_size"] = 4
    table["value"] = rows.values
    table["flags_size"] = 2
    table["flags"] = rows.flags
    return b"".join((_HEADER, table.tobytes(), _TRAILER))


def decode(data: bytes) -> list[tuple[int, int, float, int]]:
    """
    Return time (ms since 1970), series, value and flags of each row of *data*.

    Raises:
        ValueError: Not what `encode` returns.
    """
    if not (data.startswith(_HEADER) and data.endswith(_TRAILER)):
        raise ValueError("no header or no trailer")
    found = []
    for fields in struct.iter_unpack(">hiqiiifih", data[len(_HEADER) : -len(_TRAILER)]):
        count, _, time_us, _, series, _, value, _, flags = fields
        if count != _FIELDS:
            raise ValueError("a row has not four fields")
        found.append((time_us // 1000 + _POSTGRES_EPOCH_MS, series, value, flags))
    return found
