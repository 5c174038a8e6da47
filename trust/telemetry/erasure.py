"""
The observations, as far as trust may reach into them: to count, erase, retain and roll them up.

Trust never reads a value. It calls functions of the owner's, each of which does one of these and
answers with numbers.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from runtime.database import named_sql
from trust.vault.database import Connection, DatabaseLink, Row

_SQL = named_sql.read("trust.telemetry", "erasure.sql")


class FoundRows(msgspec.Struct, frozen=True):
    """What the telemetry database has of somebody."""

    series: list[int]
    names: list[bytes]
    """Every pseudonym and handle that leads there."""
    rows: dict[str, int]
    """By store."""
    relations: list[str]
    """Whose files hold them."""
    agents: list[str]
    """Gateways that were ever permitted to send them."""

    def __repr__(self) -> str:
        return "Found(…)"


class Name(msgspec.Struct, frozen=True):
    """A pseudonym or a handle, and what it leads to."""

    value: bytes
    series: int
    agent: str | None = None

    def __repr__(self) -> str:
        return "Name(…)"


class Table(msgspec.Struct, frozen=True):
    """A table that may hold somebody's series."""

    place: str
    file: int
    inserted: int
    """Rows, by the server's counters; with the same file and count it holds the same rows."""
    is_ours: bool
    """Otherwise nothing of trust's reads it."""
    is_attached: bool
    """To the observations or the aggregates."""


class Stores:
    """
    The telemetry database, as the role `vv_trust`. Not safe to share between threads.

    Args:
        link: To it.
    """

    def __init__(self, link: DatabaseLink) -> None:
        self._link = link

    def is_cleared(self) -> bool:
        """Tell whether trust has looked at this database since it was started or restored."""
        with self._link.transaction() as connection:
            return bool(_value(connection, "is_cleared", []))

    def clear(self, ledger: Sequence[int]) -> list[int]:
        """Clear it if it has seen every erasure of *ledger*; return those that it has not."""
        with self._link.transaction() as connection:
            missing: list[int] = _value(connection, "clear", [list(ledger)])
            return missing

    def find(self, *, pseudonyms: Sequence[bytes], handles: Sequence[bytes]) -> FoundRows:
        """Return what there is under *pseudonyms* and *handles*."""
        with self._link.transaction() as connection:
            wanted = {"pseudonyms": list(pseudonyms), "handles": list(handles)}
            series = sorted(n for (n,) in connection.execute(_SQL["series_of"], wanted))
            names = [bytes(n) for (n,) in connection.execute(_SQL["names_of"], {"series": series})]
            return FoundRows(
                series,
                sorted({*names, *pseudonyms, *handles}),
                dict(connection.execute(_SQL["count_series"], [series]).fetchall()),
                [name for (name,) in connection.execute(_SQL["relations_of"], [series])],
                [agent for (agent,) in connection.execute(_SQL["agents_of"], {"series": series})],
            )

    def permitting(self, *, pseudonyms: Sequence[bytes], handles: Sequence[bytes]) -> list[str]:
        """Return the agents that may still send something of *pseudonyms* or *handles*."""
        with self._link.transaction() as connection:
            wanted = {"pseudonyms": list(pseudonyms), "handles": list(handles)}
            return [agent for (agent,) in connection.execute(_SQL["permitting"], wanted)]

    def count(self, series: Sequence[int]) -> dict[str, int]:
        """Return how many rows each store has of *series*."""
        with self._link.transaction() as connection:
            return dict(connection.execute(_SQL["count_series"], [list(series)]).fetchall())

    def relations(self, series: Sequence[int]) -> list[str]:
        """Return the relations whose files hold rows of *series*."""
        with self._link.transaction() as connection:
            return [name for (name,) in connection.execute(_SQL["relations_of"], [list(series)])]

    def erase_rows(self, series: Sequence[int]) -> None:
        """Erase every row of *series* from every store; on return it is committed."""
        with self._link.transaction() as connection:
            connection.execute(_SQL["erase_series"], [list(series)])

    def erase_names(
        self,
        series: Sequence[int],
        *,
        agents: Sequence[str],
        numbers: Sequence[int],
        handles: Sequence[bytes] = (),
    ) -> dict[str, int]:
        """
        Erase what leads to *series*, *handles*, and the quarantine of *agents*; count the rows.

        With it the database notes that it has seen the erasures *numbers*.
        """
        with self._link.transaction() as connection:
            arguments = [list(handles), list(series), list(agents)]
            gone = connection.execute(_SQL["erase_keys"], arguments)
            rows: dict[str, int] = dict(gone.fetchall())
            connection.execute(_SQL["note_erasure"], [list(numbers)])
            return rows

    def noted_erasures(self) -> set[int]:
        """Return the erasures that this database has seen."""
        with self._link.transaction() as connection:
            return {number for (number,) in connection.execute(_SQL["noted_erasures"])}

    def note_erasures(self, numbers: Sequence[int]) -> None:
        """Note that this database has seen the erasures *numbers*."""
        with self._link.transaction() as connection:
            connection.execute(_SQL["note_erasure"], [list(numbers)])

    def tables(self) -> list[Table]:
        """Return every table that may hold somebody's series, wherever it hangs."""
        with self._link.transaction() as connection:
            return [Table(*row) for row in connection.execute(_SQL["series_tables"])]

    def unknown_series(self, place: str) -> list[int]:
        """Return the series of rows in the table *place* that no name leads to."""
        with self._link.transaction() as connection:
            return [n for (n,) in connection.execute(_SQL["unknown_series"], [place])]

    def erase_unattached(self, series: Sequence[int]) -> list[str]:
        """Erase rows of *series* from tables that hang nowhere; return those that had some."""
        with self._link.transaction() as connection:
            rows = connection.execute(_SQL["erase_unattached"], [list(series)])
            return [place for (place,) in rows]

    def names_state(self) -> str:
        """Return what changes when names may have come back: compare it with one of before."""
        with self._link.transaction() as connection:
            return str(_value(connection, "names_state", []))

    def names(self) -> Iterator[Name]:
        """Yield every pseudonym and handle that the database has: there may be millions."""
        with self._link.transaction() as connection:
            for series, value in _rows(connection, "all_pseudonyms"):
                yield Name(bytes(value), series)
            for value, series, agent in _rows(connection, "all_handles"):
                yield Name(bytes(value), series, agent)

    def remembered(self) -> list[bytes]:
        """Return what the planner's statistics remember of pseudonyms and handles."""
        with self._link.transaction() as connection:
            return [bytes(value) for (value,) in connection.execute(_SQL["statistics"])]

    def restrict(self, pseudonyms: Sequence[bytes], *, is_restricted: bool) -> int:
        """Leave the series of *pseudonyms* out of every view, or let them in again."""
        with self._link.transaction() as connection:
            return connection.execute(
                _SQL["restrict"],
                {"pseudonyms": list(pseudonyms), "is_restricted": is_restricted},
            ).rowcount

    def shut(
        self, *, series: Sequence[int], handles: Sequence[bytes], pseudonyms: Sequence[bytes]
    ) -> None:
        """Have nothing more stored under any of these, and leave it out of every view."""
        wanted = {
            "series": list(series),
            "handles": list(handles),
            "pseudonyms": list(pseudonyms),
        }
        with self._link.transaction() as connection:
            epoch = _value(connection, "exclude_storing", [])
            connection.execute(_SQL["shut"], {"epoch": epoch, **wanted})
            connection.execute(_SQL["shut_out"], wanted)

    def retain(
        self, purpose: str, *, raw_from: dt.datetime, aggregates_from: dt.datetime
    ) -> dict[str, int]:
        """Delete what of *purpose* is older; return how many rows of each store."""
        with self._link.transaction() as connection:
            arguments = [purpose, raw_from, aggregates_from]
            return dict(connection.execute(_SQL["retain"], arguments).fetchall())

    def drop_partitions(self, *, until: dt.datetime) -> int:
        """Drop the partitions that end by *until*; return how many."""
        with self._link.transaction() as connection:
            dropped: int = _value(connection, "drop_partitions", [until])
            return dropped

    def prune_leases(self, *, until: dt.datetime) -> int:
        """Delete leases that ended before *until*, but each agent's newest; return how many."""
        with self._link.transaction() as connection:
            pruned: int = _value(connection, "prune_leases", [until])
            return pruned

    def prune_periods(self, purpose: str, *, until: dt.datetime) -> int:
        """Delete periods of *purpose*'s permissions that were over by *until*; return how many."""
        with self._link.transaction() as connection:
            pruned: int = _value(connection, "prune_periods", [purpose, until])
            return pruned

    def prune_flushes(self, *, until: dt.datetime) -> int:
        """Delete what flushes before *until* held; return of how many."""
        with self._link.transaction() as connection:
            pruned: int = _value(connection, "prune_flushes", [until])
            return pruned

    def roll_up(self, *, now: dt.datetime) -> int:
        """Bring the aggregates up to *now*; return how many minutes changed."""
        with self._link.transaction() as connection:
            changed: int = _value(connection, "roll_up", [now])
            return changed

    def publish_cohorts(self, *, now: dt.datetime) -> int:
        """Publish the figures of cohorts that are due; return how many."""
        with self._link.transaction() as connection:
            figures: int = _value(connection, "publish_cohorts", [now])
            return figures

    def lease_versions(self) -> Mapping[str, int]:
        """Return the version of each agent's newest lease."""
        with self._link.transaction() as connection:
            return dict(connection.execute(_SQL["lease_versions"]).fetchall())


def _rows(connection: Connection, name: str) -> Iterator[Row]:
    with connection.cursor(name=name) as cursor:
        cursor.itersize = 10_000
        cursor.execute(_SQL[name])
        yield from cursor


def _value(connection: Connection, name: str, arguments: Sequence[object]) -> Any:
    row = connection.execute(_SQL[name], arguments).fetchone()
    assert row is not None  # noqa: S101 - a function returns a row
    return row[0]
