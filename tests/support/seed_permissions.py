"""Writes permissions into the telemetry database with SQL, in place of trust."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psycopg
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from psycopg import Connection

from tests.fixtures.database import Database
from wire.policy import Rule
from wire.quantities import Code

LEASE_KEY = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
"""Default for all seeded agents."""


class Seed(msgspec.Struct, frozen=True):
    """
    An agent with one handle, and a permission for each rule.

    Args:
        agent: Id of the agent.

        handle: Handle of the person at the agent, 16 bytes.

        pseudonym: Pseudonym of the series.
    """

    agent: str = "0123456789abcdef"
    handle: bytes = bytes(range(16))
    pseudonym: bytes = bytes(range(100, 116))
    rules: tuple[Rule, ...] = (Rule(Code.HEART_RATE),)
    format: str = "sealed"
    lease: int = 1
    valid_from: dt.datetime = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    valid_to: dt.datetime | None = None
    lease_from: dt.datetime = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    lease_to: dt.datetime = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    lease_key: bytes | None = LEASE_KEY.public_key().public_bytes_raw()


@contextmanager
def change(database: Database) -> Iterator[tuple[Connection, int]]:
    """Yield a transaction as trust opens it, and its epoch; commit at the end."""
    with psycopg.connect(database.dsn("vv_trust")) as connection:
        row = connection.execute("SELECT vv.change_permissions()").fetchone()
        assert row is not None
        yield connection, row[0]


def sow(database: Database, *seeds: Seed) -> int:
    """Write *seeds* in one transaction; return its epoch."""
    with change(database) as (connection, epoch):
        for seed in seeds:
            _sow_one(connection, epoch, seed)
    return epoch


def _sow_one(connection: Connection, epoch: int, seed: Seed) -> None:
    connection.execute(
        "INSERT INTO vv.agents (agent, format, lease_key, changed_epoch) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        [seed.agent, seed.format, seed.lease_key if seed.format == "sealed" else None, epoch],
    )
    connection.execute(
        "INSERT INTO vv.leases VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [seed.agent, seed.lease, seed.lease_from, seed.lease_to, epoch],
    )
    for rule in seed.rules:
        connection.execute(
            "INSERT INTO vv.series (pseudonym, purpose, quantity) VALUES (%s, 'test', %s)"
            " ON CONFLICT DO NOTHING",
            [seed.pseudonym, int(rule.quantity)],
        )
        connection.execute(
            "INSERT INTO vv.permissions SELECT %s, %s, %s, series_id, %s, %s, NULL, %s, %s, %s, %s"
            " FROM vv.series WHERE pseudonym = %s AND quantity = %s",
            [
                seed.handle,
                int(rule.quantity),
                seed.agent,
                seed.valid_from,
                seed.valid_to,
                rule.step,
                rule.interval_ms,
                rule.time_step_ms,
                epoch,
                seed.pseudonym,
                int(rule.quantity),
            ],
        )


def withdraw(database: Database, handle: bytes) -> None:
    """Withdraw all permissions of *handle*."""
    with change(database) as (connection, epoch):
        connection.execute(
            "UPDATE vv.permissions SET withdrawn_at = clock_timestamp(), changed_epoch = %s"
            " WHERE handle = %s",
            [epoch, handle],
        )
