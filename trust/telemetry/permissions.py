"""
The permissions that trust writes into the telemetry database: agents, leases and handles.

Once a change has committed, ingest stores nothing that the change took away, and ingest is hardly
delayed. A permission that ends is closed first, so that later transactions of ingest refuse its
readings. The permission is withdrawn once all earlier transactions of ingest have ended. A change
that cannot be closed, such as a shorter validity, blocks ingest for one transaction.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from runtime.database import named_sql
from trust.config import DatabaseSettings
from trust.decisions.leases import Term
from trust.decisions.permissions import Permission
from trust.domain.pseudonyms import Pseudonym
from trust.errors import TelemetryUnavailable
from trust.telemetry.stored import Stored, stored_of
from trust.vault.database import Connection, DatabaseLink, Row

_SQL = named_sql.read("trust.telemetry", "permissions.sql")


class Change(msgspec.Struct, frozen=True):
    """The complete state of one agent that the telemetry database should have."""

    agent: str
    format: str | None
    """The format of its envelopes; None leaves the row of the agent unchanged."""
    revoked_at: dt.datetime | None
    permissions: list[Permission]
    """All permissions of the agent; any other permission of the agent is withdrawn."""
    term: Term | None
    """The term of a new lease; None for no new lease."""
    lease_version: int
    """The highest lease version that the vault knows."""
    held: Sequence[bytes] = ()
    """Handles whose permissions are neither changed nor withdrawn."""
    lease_key: bytes | None = None
    """The public lease key, with which ingest proves its receipts; None for JSON or no change."""

    expires_at: dt.datetime | None = None
    """The time from which nothing of the agent is stored any more; None if it is unknown."""

    @classmethod
    def that_ends(cls, agent: str, *, held: Sequence[bytes]) -> "Change":
        """Return a change that only withdraws all permissions of *agent*, except those *held*."""
        return cls(agent, None, None, [], None, 0, held)


class WrittenPermissions(msgspec.Struct, frozen=True):
    """The result of writing changes."""

    versions: dict[str, int]
    """The version of the new lease, by agent."""
    withdrawn_at: dt.datetime | None
    """The time of the last withdrawal, by the clock of the database; None for no withdrawal."""


class Telemetry:
    """
    The telemetry database, as the role `vv_trust`. Not safe to share between threads.

    Args:
        settings: The address of the database.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.link = DatabaseLink(settings, section="telemetry", error=TelemetryUnavailable)

    def close(self) -> None:
        """Close the connection to the telemetry database."""
        self.link.close()

    def check(self) -> None:
        """
        Check that the telemetry database answers.

        Raises:
            TelemetryUnavailable: The database is out of reach or refuses.
        """
        with self.link.transaction() as connection:
            connection.execute("SELECT epoch FROM vv.permission_gate")

    def stored_of(self, pseudonyms: Sequence[Pseudonym]) -> AbstractContextManager[Stored]:
        """
        Return a context that yields what is stored of *pseudonyms*.

        Raises:
            TelemetryUnavailable: The database cannot be read now.
        """
        return stored_of(self.link, pseudonyms)

    def without_lease_key(self, *, after: str, limit: int) -> list[str]:
        """
        Return agents with sealed leases whose lease key is not written, sorted by name.

        Args:
            after: Only agents whose names follow this name are returned.

            limit: The largest number of agents to return.

        Raises:
            TelemetryUnavailable: The database cannot be read now.
        """
        with self.link.transaction() as connection:
            rows = connection.execute(_SQL["without_lease_key"], [after, limit]).fetchall()
        return [agent for (agent,) in rows]

    def write_lease_keys(self, keys: Mapping[str, bytes]) -> None:
        """
        Write the public lease keys of the agents in *keys* that have none yet.

        Raises:
            TelemetryUnavailable: No key is written; call this again later.
        """
        with self.link.transaction() as connection:
            (epoch,) = _row(connection, "next_epoch")
            connection.execute(
                _SQL["write_lease_keys"],
                {"epoch": epoch, "agents": list(keys), "lease_keys": list(keys.values())},
            )

    def write(self, changes: Sequence[Change]) -> WrittenPermissions:
        """
        Write *changes* into the database; on return they are committed.

        A repetition changes only the versions of leases, which always grow.

        Raises:
            TelemetryUnavailable: The changes may be partly written; call this again later.
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
        "sources": [p.source for _, p in permitted],
        "measured_to": [p.measured_to for _, p in permitted],
    }


def _write(
    connection: Connection, changes: Sequence[Change], columns: Mapping[str, Any]
) -> WrittenPermissions:
    """Write *changes*; the permissions that end are closed already."""
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
