"""
Encodes rows in the binary format of PostgreSQL's COPY. Pure.

https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": a header, then for each
row the number of fields and each field after its length, all big-endian, then a trailer.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from ingest.admission.decide import Rows
from ingest.admission.plan import LedgerRow

_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_FIELDS: Final = 4

_POSTGRES_EPOCH_MS: Final = 946_684_800_000
"""2000-01-01T00:00Z, from which timestamptz counts microseconds."""

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

_LEDGER: Final = np.dtype(
    [
        ("fields", ">i2"),
        ("agent_size", ">i4"),
        ("agent", "V16"),
        ("spool_id_size", ">i4"),
        ("spool_id", "V16"),
        ("sequence_size", ">i4"),
        ("sequence", ">i8"),
        ("digest_size", ">i4"),
        ("digest", "V16"),
        ("outcome_size", ">i4"),
        ("outcome", ">i2"),
        ("observations_size", ">i4"),
        ("observations", ">i4"),
    ]
)

_PIECE: Final = 3200
"""Rows encoded at once: they fit into the processor's cache and into a buffer of libpq."""

_BLANK: Final = np.zeros(_PIECE, dtype=_ROW)
"""Template rows with the constant fields, copied as a whole instead of column by column."""
_BLANK["fields"] = _FIELDS
for _name in ("time", "series", "value", "flags"):
    _BLANK[f"{_name}_size"] = _ROW[_name].itemsize
_BLANK_BYTES: Final = _BLANK.view(np.uint8)
"""`_BLANK` as plain bytes: numpy copies structured rows field by field, thirty times slower."""


def encode(rows: Rows) -> bytes:
    """Return *rows* in the format of `COPY vv.observations (time, series_id, value, flags)`."""
    return b"".join(pieces(rows))


def pieces(rows: Rows) -> Iterator[bytes | memoryview]:
    """Yield the result of `encode` in pieces: the database works on one during the next."""
    yield _HEADER
    for first in range(0, len(rows), _PIECE):
        these = slice(first, first + _PIECE)
        octets = _BLANK_BYTES[: (len(rows) - first) * _ROW.itemsize].copy()
        table = octets.view(_ROW)
        table["time"] = (rows.times_ms[these] - _POSTGRES_EPOCH_MS) * 1000
        table["series"] = rows.series[these]
        table["value"] = rows.values[these]
        if rows.flags[these].any():
            table["flags"] = rows.flags[these]
        yield octets.data
    yield _TRAILER


def encode_ledger(rows: Sequence[LedgerRow]) -> bytes:
    """Return *rows* in the format of the named query `copy_ledger`."""
    table = np.empty(len(rows), dtype=_LEDGER)
    table["fields"] = 6
    for name in _LEDGER.names or ():
        if name.endswith("_size"):
            table[name] = _LEDGER[name.removesuffix("_size")].itemsize
    identities = [row.identity for row in rows]
    table["agent"] = np.frombuffer("".join([i.spool[0] for i in identities]).encode(), "V16")
    table["spool_id"] = np.frombuffer(b"".join([i.spool[1] for i in identities]), "V16")
    table["sequence"] = [i.sequence for i in identities]
    table["digest"] = np.frombuffer(b"".join([row.digest for row in rows]), "V16")
    table["outcome"] = [row.outcome for row in rows]
    table["observations"] = [row.observations for row in rows]
    return b"".join((_HEADER, table.tobytes(), _TRAILER))


def decode(data: bytes | memoryview) -> list[tuple[int, int, float, int]]:
    """
    Return time (ms since 1970), series id, value and flags of each row of *data*.

    Raises:
        ValueError: *data* is not a result of `encode`.
    """
    data = bytes(data)
    if not (data.startswith(_HEADER) and data.endswith(_TRAILER)):
        raise ValueError("the binary COPY data has no header or no trailer")
    found = []
    for fields in struct.iter_unpack(">hiqiiifih", data[len(_HEADER) : -len(_TRAILER)]):
        count, _, time_us, _, series, _, value, _, flags = fields
        if count != _FIELDS:
            raise ValueError(f"a row of the binary COPY data has {count} fields instead of four")
        found.append((time_us // 1000 + _POSTGRES_EPOCH_MS, series, value, flags))
    return found
