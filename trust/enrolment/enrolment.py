"""
Enrolment: a gateway gets its id, its certificate and its keys; and loses them again.

Nothing in them says where it will stand or who will be measured. Here the keys are made for it and
travel in a bundle; a gateway that makes its own goes to the desk (`trust.enrolment.service`)
instead.
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
        vault: Where they are registered.

        reconciler: What tells the telemetry database.

        trust_keys: Whose public half they pin.

        authority: Who signs their certificates.

        clock: Tells the time.

        random_bytes: Returns so many random bytes.
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
            ingest_key: Ingest's public key, checked, in PEM.

            out: The folder.

            sealed: The agent's leases are sealed to a key of its own.

        Raises:
            KeyFileError: A file is not what it should be, or is there already.
            Unavailable: The agent is not enrolled, or not everywhere yet.
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
        # The vault before the files: a certificate that nobody could revoke must not exist.
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
        Write a new certificate of *agent* into *out*; the old ones stay valid to their end.

        Raises:
            Refused: There is no such agent, or it is revoked.
            KeyFileError: A file is there already, or cannot be written.
            VaultUnavailable: Nothing was issued.
            TelemetryUnavailable: It is issued, and ingest knows later how long it is valid.
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

        The broker is told by `trust.enrolment.cutoff`.

        Returns:
            What was done; None when it is recorded, and the daemon tells ingest later.

        Raises:
            NotFound: There is no such agent.
            VaultUnavailable: It may not be recorded.
        """
        with self._vault.transaction() as records:
            if not is_agent(agent) or not records.agents.hold_all([agent]):
                raise _no_such_agent()
            _revoke(records, agent)
        try:
            # Before the broker is told: ingest refuses the agent from this COMMIT on.
            return self._reconciler.reconcile([agent])
        except (Unavailable, NotInForce) as exc:
            # Whatever keeps ingest from being told, the broker's list is written all the same.
            _log.warning("told_later", error=describe(exc))
            return None

    def write_revocations(self, path: Path, *, probe: Holder | None = None) -> int:
        """
        Write the revocation list to *path*; return how many certificates of gateways are on it.

        Nobody who is on it ever leaves it. Whom the vault has forgotten, because it was restored
        or somebody changed it, is revoked there again.

        Args:
            path: Where it is.

            probe: To be on it besides: who sees it kept out knows that the list was read.

        Raises:
            KeyFileError: It cannot be written.
            VaultUnavailable: The list is as it was.
            TelemetryUnavailable: The list is written; who was revoked again is in it.
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
    Return ingest's public key, as it stands in a bundle.

    Raises:
        KeyFileError: It cannot be read, or is none.
    """
    return check_ingest_key(files.read(path), name=path.name)


def check_ingest_key(found: bytes, *, name: str) -> bytes:
    """
    Return *found* if it is ingest's public key in PEM.

    Raises:
        KeyFileError: It is none; the error says the *name* of its file.
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
    """Return *key*, PKCS #8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
