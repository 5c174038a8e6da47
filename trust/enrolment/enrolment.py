"""
Enrolment of gateways with ids, certificates and keys, and their revocation.

The ids, certificates and keys say neither where the gateway stands nor which people it measures.
This module makes the keys for the gateway and writes them into a bundle; a gateway that makes its
own keys uses the enrolment service (`trust.enrolment.service`) instead.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from runtime.logs import Log, describe
from trust.domain.lease_keys import is_lease_key
from trust.domain.pki import Holder
from trust.enrolment.authority import Authority, write_holder
from trust.errors import Conflict, KeyFileError, NotFound, NotInForce, Unavailable
from trust.keys import file_keys, files
from trust.ports import Clock, Keys
from trust.reconcile.reconciled import Reconciled
from trust.reconcile.reconciler import Reconciler
from trust.vault.protocols import Records, Vault
from wire.topics import is_agent

_log: Final = Log("trust.enrolment.enrolment")
_BUNDLE: Final = ("ca.crt", "agent.crt", "agent.key", "trust.pub", "ingest.pub", "lease.key")


class Enrolment:
    """
    Enrols and revokes agents.

    Args:
        vault: The vault that registers the agents.

        reconciler: Writes the agents to the telemetry database.

        trust_keys: The keys whose public halves the agents pin.

        authority: The CA that signs the agents' certificates.

        clock: Returns the current time.

        random_bytes: Returns the given number of random bytes.
    """

    def __init__(
        self,
        vault: Vault,
        reconciler: Reconciler,
        trust_keys: Keys,
        authority: Authority,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._vault = vault
        self._reconciler = reconciler
        self._keys = trust_keys
        self._authority = authority
        self._clock = clock
        self._random_bytes = random_bytes

    def enrol(self, *, ingest_key: bytes, out: Path, sealed: bool) -> str:
        """
        Enrol a new agent, write its bundle into *out*, and return its id.

        Args:
            ingest_key: Ingest's public key in PEM, already checked.

            out: The folder of the bundle.

            sealed: Whether the agent's leases are sealed to its own key.

        Raises:
            KeyFileError: A file has the wrong content, or exists already.
            Unavailable: The agent is not enrolled, or the telemetry database does not have it yet.
        """
        files.make_folder(out)
        for name in _BUNDLE:
            if (out / name).exists():
                raise KeyFileError(name, "it is there already", "Choose another folder.")
        agent = self._random_bytes(8).hex()
        lease_key = X25519PrivateKey.generate() if sealed else None
        self._register(agent, lease_key, out)
        if lease_key is not None:
            files.write(out / "lease.key", pem(lease_key), mode=files.SECRET)
        trust_pem = file_keys.public_pem(self._keys.public_key)
        files.write(out / "trust.pub", trust_pem, mode=files.PUBLIC)
        files.write(out / "ingest.pub", ingest_key, mode=files.PUBLIC)
        self._reconciler.reconcile([agent])
        return agent

    def _register(self, agent: str, lease_key: X25519PrivateKey | None, out: Path) -> None:
        holder = self._authority.issue_agent(agent, now=self._clock())
        # The vault is written before the files, because every existing certificate must be
        # revocable.
        with self._vault.transaction() as records:
            public = None if lease_key is None else lease_key.public_key().public_bytes_raw()
            records.agents.add(agent, sealed=lease_key is not None, lease_key=public)
            certificate = holder.certificate
            records.agents.add_certificate(
                agent, certificate.serial_number, not_after=certificate.not_valid_after_utc
            )
        write_holder(out, "agent", holder)
        files.write(out / "ca.crt", self._authority.certificate_pem(), mode=files.PUBLIC)

    def issue(self, agent: str, *, out: Path) -> None:
        """
        Write a new certificate of *agent* into *out*; older certificates stay valid until they
        end.

        Raises:
            Refused: There is no such agent, or it is revoked.
            KeyFileError: A file exists already, or cannot be written.
            VaultUnavailable: Nothing was issued.
            TelemetryUnavailable: The certificate is issued; ingest learns its end later.
        """
        files.make_folder(out)
        holder = self._authority.issue_agent(agent, now=self._clock())
        with self._vault.transaction() as records:
            known = records.agents.lock([agent])
            if not known:
                raise _no_such_agent()
            if known[0].revoked_at is not None:
                raise Conflict("that agent is revoked. Enrol a new one")
            certificate = holder.certificate
            records.agents.add_certificate(
                agent, certificate.serial_number, not_after=certificate.not_valid_after_utc
            )
            records.leases.mark_stale([agent])
        write_holder(out, "agent", holder)
        self._reconciler.reconcile([agent])

    def revoke(self, agent: str) -> Reconciled | None:
        """
        Revoke *agent*: its handles end, its lease empties, ingest stores nothing more of it.

        `trust.enrolment.cutoff` tells the broker.

        Returns:
            What was done; None if the revocation is only recorded, and the daemon tells ingest
            later.

        Raises:
            NotFound: There is no such agent.
            VaultUnavailable: The revocation may not be recorded.
        """
        with self._vault.transaction() as records:
            if not is_agent(agent) or not records.agents.hold_all([agent]):
                raise _no_such_agent()
            _revoke(records, agent)
        try:
            # This comes before the broker is told: ingest refuses the agent from this COMMIT on.
            return self._reconciler.reconcile([agent])
        except (Unavailable, NotInForce) as exc:
            # The broker's list is written even if ingest cannot be told.
            _log.warning("told_later", error=describe(exc))
            return None

    def write_revocations(self, path: Path, *, probe: Holder | None = None) -> int:
        """
        Write the revocation list to *path*; return how many certificates of gateways are on it.

        No certificate ever leaves the list. If the vault lost a revocation, because it was
        restored or changed by hand, the gateway is revoked there again.

        Args:
            path: The path of the list.

            probe: A certificate to list in addition: when the broker refuses it, the broker has
                read this list.

        Raises:
            KeyFileError: The list cannot be written.
            VaultUnavailable: The list is unchanged.
            TelemetryUnavailable: The list is written, with the gateways that were revoked again.
        """
        listed = dict(self._authority.read_revocations(path))
        with self._vault.transaction() as records:
            forgotten = listed.keys() - dict(records.agents.revocations()).keys()
            again = records.agents.owners_of(forgotten) if forgotten else []
            records.agents.hold_all(again)
            for agent in again:
                _revoke(records, agent)
            revoked = {**listed, **dict(records.agents.revocations())}
        now = self._clock()
        probes = {} if probe is None else {probe.certificate.serial_number: now}
        on_it = sorted({**revoked, **probes}.items())
        self._authority.write_revocations(on_it, path, now=now)
        if again:
            _log.error("revoked_again", agents=len(again))
            self._reconciler.attempt(again)
        return len(revoked)


def _revoke(records: Records, agent: str) -> None:
    records.agents.revoke(agent)
    records.handles.end_at(agent)
    records.leases.mark_stale([agent])


def _no_such_agent() -> NotFound:
    return NotFound("agent", "Enrol one with `vitalveil trust agent enrol`.")


def ingest_pem(path: Path) -> bytes:
    """
    Return ingest's public key in PEM, as bundles contain it.

    Raises:
        KeyFileError: The file cannot be read, or holds no such key.
    """
    return check_ingest_key(files.read(path), name=path.name)


def check_ingest_key(found: bytes, *, name: str) -> bytes:
    """
    Return *found* if it is ingest's public key in PEM.

    Raises:
        KeyFileError: The text is no such key; the error names its file, *name*.
    """
    key = files.public_key(found, name=name)
    if not isinstance(key, X25519PublicKey) or not is_lease_key(key.public_bytes_raw()):
        raise KeyFileError(
            name,
            "not an X25519 key that anything can be sealed to",
            "Use ingest.pub of `vitalveil ingest keygen`.",
        )
    return found


def pem(key: X25519PrivateKey) -> bytes:
    """Return *key* as unencrypted PKCS #8 in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
