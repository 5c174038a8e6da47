"""Checks of the units that trust's daemon has set aside, and of the keys that trust needs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psycopg

from trust.domain.lease_keys import is_lease_key
from trust.domain.units import SENTENCES, Cause
from trust.errors import KeyFileError
from trust.keys.file_keys import FileKeys
from vitalveil.doctor.finding import Finding, sound, wrong

_MAX_FINDINGS: Final = 100
"""Limit of findings with one code; `vitalveil trust unit list` shows all units."""
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
    Check the vault, and the keys in *folder* that it needs.

    Findings name gateways by id, people by subject id, and key files by purpose and epoch; never
    the name of a person or the contents of a file.
    """
    if connection.execute("SELECT to_regclass('vault.set_aside')").fetchone() == (None,):
        yield wrong(
            "vault-migrations",
            "the schema of the vault is of an earlier version",
            "Run `vitalveil trust migrate`, then restart trust.",
        )
        return
    yield from _set_aside(connection)
    yield from _lease_keys(connection)
    yield from _epoch_keys(connection, folder)


def _set_aside(connection: psycopg.Connection) -> Iterable[Finding]:
    found = connection.execute(_SET_ASIDE, [_MAX_FINDINGS]).fetchall()
    for kind, unit, cause, stands_in, failures, since in found:
        problem, remedy = SENTENCES.get(cause, SENTENCES[Cause.UNFORESEEN])
        where = f", and blocks {stands_in} gateways" if stands_in > 1 else ""
        yield wrong(
            f"unit-{cause.replace('_', '-')}",
            f"{kind} {unit} has been set aside since {since} UTC{where}: {problem}"
            f" (tried {failures} times)",
            remedy,
        )
    if not found:
        yield sound("trust-units", "trust has set no unit aside")


def _lease_keys(connection: psycopg.Connection) -> Iterable[Finding]:
    bad, twice = [], []
    for key, agent, count in connection.execute(_LEASE_KEYS):
        if not is_lease_key(bytes(key)):
            bad.append(agent)
        elif count > 1:
            twice.append((agent, count))
    for agent in bad[:_MAX_FINDINGS]:
        text = f"gateway {agent} has an invalid lease key: no lease can be sealed to it"
        yield wrong("trust-lease-key", text, _ENROL)
    for agent, count in twice[:_MAX_FINDINGS]:
        text = (
            f"gateway {agent} shares its lease key with {count - 1} more: they can read each"
            " other's leases"
        )
        yield wrong("trust-lease-key-twice", text, _ENROL)
    if not bad and not twice:
        yield sound("trust-lease-keys", "each gateway has a lease key of its own")


def _epoch_keys(connection: psycopg.Connection, folder: Path) -> Iterable[Finding]:
    try:
        keys = FileKeys(folder)
    except KeyFileError as error:
        yield wrong(
            "trust-keys-file", str(error), "Repair the file: trust cannot work without it."
        )
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
                "Restore the file: until then, no one else can be measured for that purpose.",
            )
    if not problems:
        yield sound("trust-epoch-keys", "the keys of all epochs in use can be read")
