"""
The observations, as far as erasure and retention need them: count, erase, retain and roll up.

This module reads no value of an observation. It calls functions of the owner of the database; each
of them does one of these tasks and returns counts, names or relations.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from runtime.database import named_sql
from trust.vault.database import Connection, DatabaseLink, Row

_SQL = named_sql.read("trust.telemetry", "erasure.sql")


class FoundRows(msgspec.Struct, frozen=True):
    """The data of one person in the telemetry database."""

    series: list[int]
    names: list[bytes]
    """Every pseudonym and handle that leads to one of the series."""
    rows: dict[str, int]
    """Number of rows, by store."""
    relations: list[str]
    """Relations whose files hold the rows."""
    agents: list[str]
    """Agents that were ever permitted to send to one of the series."""

    def __repr__(self) -> str:
        return "FoundRows(…)"


class Name(msgspec.Struct, frozen=True):
    """A pseudonym or a handle, with its series; a handle also has its agent."""

    value: bytes
    series: int
    agent: str | None = None

    def __repr__(self) -> str:
        return "Name(…)"


class Table(msgspec.Struct, frozen=True):
    """A table that may hold rows of a series."""

    place: str
    file: int
    inserted: int
    """Number of inserted rows, by the server; with equal file and count, no row is new."""
    is_ours: bool
    """Whether the functions of trust can read the table."""
    is_attached: bool
    """Whether the table is a part of the observations or the aggregates."""


class Stores:
    """
    The stores of the telemetry database, as the role `vv_trust`.

    Not safe to share between threads. Every method is one transaction, and raises
    TelemetryUnavailable when the database is out of reach or refuses.

    Args:
        link: The connection to the telemetry database.
    """

    def __init__(self, link: DatabaseLink) -> None:
        self._link = link

    def is_cleared(self) -> bool:
        """Return whether this database was cleared since its last start or restore."""
        with self._link.transaction() as connection:
            return bool(_value(connection, "is_cleared", []))

    def clear(self, ledger: Sequence[int]) -> list[int]:
        """
        Clear the database if it has noted every erasure of *ledger*.

        Returns:
            The erasures that the database has not noted; it stays closed if there are any.
        """
        with self._link.transaction() as connection:
            missing: list[int] = _value(connection, "clear", [list(ledger)])
            return missing

    def find(self, *, pseudonyms: Sequence[bytes], handles: Sequence[bytes]) -> FoundRows:
        """Return all data that *pseudonyms* and *handles* lead to."""
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
        """Return the agents that may still send for *pseudonyms* or *handles*."""
        with self._link.transaction() as connection:
            wanted = {"pseudonyms": list(pseudonyms), "handles": list(handles)}
            return [agent for (agent,) in connection.execute(_SQL["permitting"], wanted)]

    def count(self, series: Sequence[int]) -> dict[str, int]:
        """Return the number of rows of *series*, by store."""
        with self._link.transaction() as connection:
            return dict(connection.execute(_SQL["count_series"], [list(series)]).fetchall())

    def relations(self, series: Sequence[int]) -> list[str]:
        """Return the relations whose files hold rows of *series*."""
        with self._link.transaction() as connection:
            return [name for (name,) in connection.execute(_SQL["relations_of"], [list(series)])]

    def erase_rows(self, series: Sequence[int]) -> None:
        """Erase every row of *series* from every store; on return the erasure is committed."""
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
        Erase the names of *series*, the *handles* and the quarantine of *agents*.

        In the same transaction, the database notes that it has seen the erasures *numbers*.

        Returns:
            The number of erased rows, by store.
        """
        with self._link.transaction() as connection:
            arguments = [list(handles), list(series), list(agents)]
            gone = connection.execute(_SQL["erase_keys"], arguments)
            rows: dict[str, int] = dict(gone.fetchall())
            connection.execute(_SQL["note_erasure"], [list(numbers)])
            return rows

    def noted_erasures(self) -> set[int]:
        """Return the numbers of the erasures that this database has noted."""
        with self._link.transaction() as connection:
            return {number for (number,) in connection.execute(_SQL["noted_erasures"])}

    def note_erasures(self, numbers: Sequence[int]) -> None:
        """Note that this database has seen the erasures *numbers*."""
        with self._link.transaction() as connection:
            connection.execute(_SQL["note_erasure"], [list(numbers)])

    def tables(self) -> list[Table]:
        """Return every table that may hold rows of a series, attached or not."""
        with self._link.transaction() as connection:
            return [Table(*row) for row in connection.execute(_SQL["series_tables"])]

    def unknown_series(self, place: str) -> list[int]:
        """Return the series with rows in the table *place* to which no name leads."""
        with self._link.transaction() as connection:
            return [n for (n,) in connection.execute(_SQL["unknown_series"], [place])]

    def erase_unattached(self, series: Sequence[int]) -> list[str]:
        """Erase rows of *series* from tables that are not attached; return these tables."""
        with self._link.transaction() as connection:
            rows = connection.execute(_SQL["erase_unattached"], [list(series)])
            return [place for (place,) in rows]

    def names_state(self) -> str:
        """Return a text that changes when names may have come back; compare two of them."""
        with self._link.transaction() as connection:
            return str(_value(connection, "names_state", []))

    def names(self) -> Iterator[Name]:
        """Yield every pseudonym, then every handle, of the database: there may be millions."""
        with self._link.transaction() as connection:
            for series, value in _rows(connection, "all_pseudonyms"):
                yield Name(bytes(value), series)
            for value, series, agent in _rows(connection, "all_handles"):
                yield Name(bytes(value), series, agent)

    def remembered(self) -> list[bytes]:
        """Return the pseudonyms and handles that the planner's statistics hold."""
        with self._link.transaction() as connection:
            return [bytes(value) for (value,) in connection.execute(_SQL["statistics"])]

    def restrict(self, pseudonyms: Sequence[bytes], *, is_restricted: bool) -> int:
        """Hide the series of *pseudonyms* from every view, or show them; return their number."""
        with self._link.transaction() as connection:
            return connection.execute(
                _SQL["restrict"],
                {"pseudonyms": list(pseudonyms), "is_restricted": is_restricted},
            ).rowcount

    def shut(
        self, *, series: Sequence[int], handles: Sequence[bytes], pseudonyms: Sequence[bytes]
    ) -> None:
        """Withdraw all permissions of these series and names, and hide the series from views."""
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
        """
        Delete the rows of *purpose* that are older than the given times.

        Args:
            purpose: The name of the purpose, without a version.

            raw_from: Observations before this time are deleted.

            aggregates_from: Aggregates before this time are deleted.

        Returns:
            The number of deleted rows, by store.
        """
        with self._link.transaction() as connection:
            arguments = [purpose, raw_from, aggregates_from]
            return dict(connection.execute(_SQL["retain"], arguments).fetchall())

    def drop_partitions(self, *, until: dt.datetime) -> int:
        """Drop the partitions that end by *until*; return their number."""
        with self._link.transaction() as connection:
            dropped: int = _value(connection, "drop_partitions", [until])
            return dropped

    def prune_leases(self, *, until: dt.datetime) -> int:
        """Delete leases that ended before *until*, except the newest of each agent; count them."""
        with self._link.transaction() as connection:
            pruned: int = _value(connection, "prune_leases", [until])
            return pruned

    def prune_periods(self, purpose: str, *, until: dt.datetime) -> int:
        """Delete periods of permissions of *purpose* that ended by *until*; return the count."""
        with self._link.transaction() as connection:
            pruned: int = _value(connection, "prune_periods", [purpose, until])
            return pruned

    def prune_flushes(self, *, until: dt.datetime) -> int:
        """Delete the epochs of flushes before *until*; return the number of flushes."""
        with self._link.transaction() as connection:
            pruned: int = _value(connection, "prune_flushes", [until])
            return pruned

    def roll_up(self, *, now: dt.datetime) -> int:
        """Update the aggregates up to *now*; return the number of changed minutes."""
        with self._link.transaction() as connection:
            changed: int = _value(connection, "roll_up", [now])
            return changed

    def publish_cohorts(self, *, now: dt.datetime) -> int:
        """Publish the cohort figures that are due at *now*; return their number."""
        with self._link.transaction() as connection:
            figures: int = _value(connection, "publish_cohorts", [now])
            return figures

    def lease_versions(self) -> Mapping[str, int]:
        """Return the version of the newest lease, by agent."""
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
