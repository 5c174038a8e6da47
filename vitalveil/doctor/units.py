"""What trust's daemon has set aside: units by name, and keys by their purpose."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psycopg

from trust.domain.lease_keys import is_lease_key
from trust.domain.units import SENTENCES, Cause
from trust.errors import KeyFileError
from trust.keys.file_keys import FileKeys
from vitalveil.doctor.finding import Finding, sound, wrong

_MOST: Final = 100
"""Findings of a kind: an operator reads no more, and `trust unit list` has them all."""
_SET_ASIDE: Final = """
SELECT kind, unit, cause, count(DISTINCT stands_in), max(failures),
       to_char(min(failed_since) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
FROM vault.set_aside GROUP BY kind, unit, cause ORDER BY kind, unit, cause LIMIT %s
"""
_LEASE_KEYS: Final = """
SELECT lease_key, min(agent), count(*) FROM vault.agents
WHERE lease_key IS NOT NULL AND revoked_at IS NULL GROUP BY lease_key
"""
_EPOCHS: Final = """
SELECT DISTINCT purpose, key_epoch FROM vault.handles WHERE ended_at IS NULL
ORDER BY purpose, key_epoch
"""
_ENROL: Final = "Revoke the gateway with `vitalveil trust pki revoke`, and enrol it again."


def look(connection: psycopg.Connection, folder: Path) -> Iterable[Finding]:
    """
    Look at the vault, and at the keys in *folder* that it needs.

    What is found names gateways by their id, people by the id of the subject and files of keys by
    purpose and epoch; never a name of a person or what is in a file.
    """
    if connection.execute("SELECT to_regclass('vault.set_aside')").fetchone() == (None,):
        yield wrong(
            "vault-migrations",
            "the vault is of an earlier release",
            "Run `vitalveil trust migrate`, then start trust again.",
        )
        return
    yield from _set_aside(connection)
    yield from _lease_keys(connection)
    yield from _epoch_keys(connection, folder)


def _set_aside(connection: psycopg.Connection) -> Iterable[Finding]:
    found = connection.execute(_SET_ASIDE, [_MOST]).fetchall()
    for kind, unit, cause, stands_in, failures, since in found:
        problem, remedy = SENTENCES.get(cause, SENTENCES[Cause.UNFORESEEN])
        where = f", in the way of {stands_in} gateways" if stands_in > 1 else ""
        yield wrong(
            f"unit-{cause.replace('_', '-')}",
            f"{kind} {unit} is set aside since {since} UTC{where}: {problem}"
            f" (tried {failures} times)",
            remedy,
        )
    if not found:
        yield sound("trust-units", "trust has set nothing aside")


def _lease_keys(connection: psycopg.Connection) -> Iterable[Finding]:
    bad, twice = [], []
    for key, agent, count in connection.execute(_LEASE_KEYS):
        if not is_lease_key(bytes(key)):
            bad.append(agent)
        elif count > 1:
            twice.append((agent, count))
    for agent in bad[:_MOST]:
        text = f"gateway {agent} has a lease key that nothing can be sealed to"
        yield wrong("trust-lease-key", text, _ENROL)
    for agent, count in twice[:_MOST]:
        text = f"gateway {agent} and {count - 1} more have one lease key, and read each other's"
        yield wrong("trust-lease-key-twice", text, _ENROL)
    if not bad and not twice:
        yield sound("trust-lease-keys", "every gateway has a lease key of its own")


def _epoch_keys(connection: psycopg.Connection, folder: Path) -> Iterable[Finding]:
    try:
        keys = FileKeys(folder)
    except KeyFileError as error:
        yield wrong("trust-keys-file", str(error), "Trust needs it for everything.")
        return
    problems = 0
    for purpose, epoch in connection.execute(_EPOCHS):
        try:
            keys.pseudonym_key(purpose=purpose, epoch=epoch)
        except KeyFileError as error:
            problems += 1
            yield wrong(
                "trust-epoch-key",
                f"the key of purpose {purpose}, epoch {epoch}, cannot be used: {error}",
                "Nobody is measured anew for that purpose until it is back.",
            )
    if not problems:
        yield sound("trust-epoch-keys", "the key of every epoch in use can be read")
