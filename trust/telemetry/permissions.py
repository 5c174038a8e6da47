"""
What trust writes into the telemetry database: who may send, under which lease, what may be stored.

Once a change has committed, nothing is stored that it took away; who stores hardly notices it. A
permission that ends is closed first, so that whoever begins to store refuses it. It is withdrawn
once those are done who had begun before. What cannot be closed, as a shorter validity, excludes
everybody who stores for one transaction.
"""

import contextlib
import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from runtime.database import named_sql
from trust.config import DatabaseSettings
from trust.decisions.leases import Term
from trust.decisions.permissions import Permission
from trust.domain.pseudonyms import Pseudonym
from trust.errors import TelemetryUnavailable
from trust.vault.database import Connection, DatabaseLink, Row

_SQL = named_sql.read("trust.telemetry", "permissions.sql")
_numbers = itertools.count()


class Change(msgspec.Struct, frozen=True):
    """What the telemetry database should hold about one agent, all of it."""

    agent: str
    format: str | None
    """None: its row stays as it is."""
    revoked_at: dt.datetime | None
    permissions: list[Permission]
    """Those of the agent that are not here are withdrawn."""
    term: Term | None
    """Of a new lease, if there is to be one."""
    lease_version: int
    """The highest version known to the vault."""
    held: Sequence[bytes] = ()
    """Handles whose permissions stay as they are, neither changed nor withdrawn."""
    lease_key: bytes | None = None
    """Public: with it ingest proves its receipts. None for one that sends JSON, or to leave it."""

    expires_at: dt.datetime | None = None
    """From when nothing of the agent is stored any more, as things are; None for no time known."""

    @classmethod
    def that_ends(cls, agent: str, *, held: Sequence[bytes]) -> "Change":
        """Return a change that withdraws all of *agent* but what is *held*, and no more."""
        return cls(agent, None, None, [], None, 0, held)


class WrittenPermissions(msgspec.Struct, frozen=True):
    """What came of it."""

    versions: dict[str, int]
    """Of each agent's new lease."""
    withdrawn_at: dt.datetime | None
    """When the last of the withdrawn permissions was, on the database's clock."""


class Telemetry:
    """
    The telemetry database, as the role `vv_trust`. Not safe to share between threads.

    Args:
        settings: Where it is.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.link = DatabaseLink(settings, section="telemetry", error=TelemetryUnavailable)

    def close(self) -> None:
        """Close the connection."""
        self.link.close()

    def check(self) -> None:
        """
        Return if the database is there.

        Raises:
            TelemetryUnavailable: It is not.
        """
        with self.link.transaction() as connection:
            connection.execute("SELECT epoch FROM vv.permission_gate")

    @contextlib.contextmanager
    def observations_of(
        self, pseudonyms: Sequence[Pseudonym]
    ) -> Iterator[Callable[[], Iterator[Row]]]:
        """
        Yield a reader of all that is stored under *pseudonyms*; each call reads the same.

        Raises:
            TelemetryUnavailable: It cannot be read now.
        """
        values = [pseudonym.value for pseudonym in pseudonyms]
        with self.link.transaction() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

            def read() -> Iterator[Row]:
                with connection.cursor(name=f"of_{next(_numbers)}") as cursor:
                    cursor.itersize = 10_000
                    cursor.execute(_SQL["observations_of"], [values])
                    yield from cursor

            yield read

    def without_lease_key(self, *, after: str, limit: int) -> list[str]:
        """
        Return sealed agents whose lease key is not written, in the order of their names.

        Raises:
            TelemetryUnavailable: It cannot be read now.
        """
        with self.link.transaction() as connection:
            rows = connection.execute(_SQL["without_lease_key"], [after, limit]).fetchall()
        return [agent for (agent,) in rows]

    def write_lease_keys(self, keys: Mapping[str, bytes]) -> None:
        """
        Write the lease key of each agent in *keys* that has none.

        Raises:
            TelemetryUnavailable: Do it again later.
        """
        with self.link.transaction() as connection:
            (epoch,) = _row(connection, "next_epoch")
            connection.execute(
                _SQL["write_lease_keys"],
                {"epoch": epoch, "agents": list(keys), "lease_keys": list(keys.values())},
            )

    def write(self, changes: Sequence[Change]) -> WrittenPermissions:
        """
        Bring the database to *changes*; on return it is committed.

        Doing it again changes nothing but the versions of leases, which only grow.

        Raises:
            TelemetryUnavailable: Do it again later.
        """
        columns = _columns(changes)
        with self.link.transaction() as connection:
            narrows, ends = _row(connection, "narrows_or_ends", columns)
            if narrows:
                (columns["epoch"],) = _row(connection, "exclude_storing")
                connection.execute(_SQL["close_permissions"], columns)
                return _write(connection, changes, columns)
            (columns["epoch"],) = _row(connection, "next_epoch")
            if not ends:
                return _write(connection, changes, columns)
            connection.execute(_SQL["close_permissions"], columns)
        with self.link.transaction() as connection:
            connection.execute(_SQL["await_storing"])
        with self.link.transaction() as connection:
            (columns["epoch"],) = _row(connection, "next_epoch")
            return _write(connection, changes, columns)


def _row(connection: Connection, name: str, columns: Mapping[str, Any] | None = None) -> Row:
    row = connection.execute(_SQL[name], columns).fetchone()
    assert row is not None  # noqa: S101 - a SELECT of functions has one row
    return row


def _columns(changes: Sequence[Change]) -> dict[str, Any]:
    permitted = [(c.agent, p) for c in changes for p in c.permissions]
    return {
        "agents": [c.agent for c in changes],
        "formats": [c.format for c in changes],
        "revoked_at": [c.revoked_at for c in changes],
        "held": [handle for c in changes for handle in c.held],
        "lease_keys": [c.lease_key for c in changes],
        "expires_at": [c.expires_at for c in changes],
        "handles": [p.handle for _, p in permitted],
        "quantities": [p.quantity for _, p in permitted],
        "handle_agents": [agent for agent, _ in permitted],
        "pseudonyms": [p.pseudonym.value for _, p in permitted],
        "purposes": [p.purpose for _, p in permitted],
        "valid_from": [p.valid_from for _, p in permitted],
        "valid_to": [p.valid_to for _, p in permitted],
        "steps": [p.step for _, p in permitted],
        "intervals_ms": [p.interval_ms for _, p in permitted],
        "time_steps_ms": [p.time_step_ms for _, p in permitted],
    }


def _write(
    connection: Connection, changes: Sequence[Change], columns: Mapping[str, Any]
) -> WrittenPermissions:
    """Write *changes*, of which what is to end is closed already."""
    connection.execute(_SQL["write_agents"], columns)
    withdrawn = connection.execute(_SQL["withdraw"], columns).fetchall()
    if columns["handles"]:
        connection.execute(_SQL["write_series"], columns)
        connection.execute(_SQL["permit"], columns)
    leased = [(c.agent, c.lease_version, c.term) for c in changes if c.term is not None]
    versions: dict[str, int] = {}
    if leased:
        rows = connection.execute(
            _SQL["write_leases"],
            {
                "epoch": columns["epoch"],
                "agents": [agent for agent, _, _ in leased],
                "versions": [version for _, version, _ in leased],
                "issued_at": [term.issued_at for _, _, term in leased],
                "not_after": [term.not_after for _, _, term in leased],
            },
        ).fetchall()
        versions = dict(rows)
    return WrittenPermissions(versions, max((at for _, at in withdrawn), default=None))
