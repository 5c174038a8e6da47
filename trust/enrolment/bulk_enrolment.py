"""
Bulk enrolment: bundles for many gateways at once, for a roll-out or a load test.

The vault and the telemetry database each get some hundred agents in one transaction. A bundle has
the files that `trust.enrolment.enrolment` writes, in a folder named after its agent.
"""

import datetime as dt
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from trust.config import CertificateSettings
from trust.enrolment.authority import Authority
from trust.enrolment.enrolment import pem
from trust.keys import file_keys, files
from trust.ports import Clock, Keys
from trust.reconcile.reconciler import Reconciler
from trust.vault.protocols import Vault

MAX_AGENTS: Final = 100_000
_GROUP: Final = 250
"""Agents in one transaction. Ingest waits that long, and a crash leaves up to that many agents
without bundles.
"""


class PreparedAgent(msgspec.Struct, frozen=True):
    """An agent that is not registered yet, with the parts of its bundle that are its own."""

    agent: str
    serial: int
    not_after: dt.datetime
    lease_key: bytes | None
    """The public half of the lease key."""
    secrets: dict[str, bytes]
    certificate: bytes

    def __repr__(self) -> str:
        return "PreparedAgent(…)"


def _make_one(authority: Authority, *, sealed: bool, now: dt.datetime) -> PreparedAgent:
    agent = secrets.token_hex(8)
    holder = authority.issue_agent(agent, now=now)
    lease_key = X25519PrivateKey.generate() if sealed else None
    own = {"agent.key": holder.key_pem()}
    if lease_key is not None:
        own["lease.key"] = pem(lease_key)
    return PreparedAgent(
        agent,
        holder.certificate.serial_number,
        holder.certificate.not_valid_after_utc,
        None if lease_key is None else lease_key.public_key().public_bytes_raw(),
        own,
        holder.certificate_pem(),
    )


class BulkEnrolment:
    """
    Enrols many agents at once.

    Args:
        vault: The vault that registers the agents.

        reconciler: Writes the agents to the telemetry database.

        trust_keys: The keys whose public halves the agents pin.

        folder: The folder of the CA.

        settings: How long the certificates are valid.

        clock: Tells the time.
    """

    def __init__(
        self,
        vault: Vault,
        reconciler: Reconciler,
        trust_keys: Keys,
        *,
        folder: Path,
        settings: CertificateSettings,
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._reconciler = reconciler
        self._keys = trust_keys
        self._folder = folder
        self._settings = settings
        self._clock = clock

    def enrol(self, count: int, *, ingest_key: bytes, out: Path, sealed: bool) -> int:
        """
        Enrol *count* agents, write each bundle into a folder of *out*, and return how many.

        Args:
            count: The number of agents.

            ingest_key: Ingest's public key in PEM, already checked.

            out: The folder that gets one folder for each agent.

            sealed: Whether each agent's leases are sealed to its own key.

        Raises:
            KeyFileError: A file has the wrong content, or cannot be written.
            Unavailable: Only some agents are enrolled, with their bundles; enrol the rest later.
        """
        authority = Authority(self._folder, self._settings)
        common = {
            "ca.crt": authority.certificate_pem(),
            "trust.pub": file_keys.public_pem(self._keys.public_key),
            "ingest.pub": ingest_key,
        }
        files.make_folder(out)
        for first in range(0, count, _GROUP):
            group = [
                _make_one(authority, sealed=sealed, now=self._clock())
                for _ in range(min(_GROUP, count - first))
            ]
            self._register(group)
            for made in group:
                _write_bundle(out / made.agent, made, common)
            # One sync for all files: one sync for each file would wait for the disk a thousand
            # times.
            os.sync()
            self._reconciler.reconcile([made.agent for made in group])
        return count

    def _register(self, group: list[PreparedAgent]) -> None:
        # The vault is written before the files, because every existing certificate must be
        # revocable.
        with self._vault.transaction() as records:
            records.agents.add_all([(m.agent, m.lease_key) for m in group])
            records.agents.add_certificates([(m.serial, m.agent, m.not_after) for m in group])


def _write_bundle(folder: Path, made: PreparedAgent, common: dict[str, bytes]) -> None:
    files.make_folder(folder)
    for name, content in made.secrets.items():
        files.write_new(folder / name, content, mode=files.SECRET)
    for name, content in {**common, "agent.crt": made.certificate}.items():
        files.write_new(folder / name, content, mode=files.PUBLIC)
