"""
The CA on disk: its key stays in the key folder; certificates go where the services read them.

The configurations of mosquitto, ingest and trust name the files that `trust pki init` writes.
"""

import datetime as dt
import functools
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trust.config import CertificateSettings
from trust.domain import pki
from trust.errors import KeyFileError
from trust.keys import files

CA_KEY_FILE: Final = "ca.key"
CA_FILE: Final = "ca.crt"
CRL_FILE: Final = "crl.pem"
SERVICES: Final = ("ingest", "trust")
_MINUTES: Final = dt.timedelta(minutes=10)
_DAYS: Final = dt.timedelta(days=10)
"""Longer than any list stays the newest: the broker would refuse an expired probe in any case."""
Revocations = Iterable[tuple[int, dt.datetime]]


class Authority:
    """
    The certificate authority whose key is in a key folder.

    Args:
        folder: The folder of the CA's key and certificate.

        settings: How long the issued certificates and revocation lists are valid.
    """

    def __init__(self, folder: Path, settings: CertificateSettings) -> None:
        self._folder = folder
        self._settings = settings

    def create(self, *, now: dt.datetime) -> None:
        """
        Create the CA, unless it exists.

        Raises:
            KeyFileError: A file cannot be written.
        """
        if (self._folder / CA_KEY_FILE).exists():
            return
        files.make_folder(self._folder)
        ca = pki.create_ca(now=now, valid_for=dt.timedelta(days=self._settings.ca_days))
        # The key is written last: a key file means that the CA is complete.
        certificate_file = self._folder / CA_FILE
        files.write(certificate_file, ca.certificate_pem(), mode=files.PUBLIC, replace=True)
        files.write(self._folder / CA_KEY_FILE, ca.key_pem(), mode=files.SECRET)

    @functools.cached_property
    def _ca(self) -> pki.Holder:
        key = files.private_key(files.read_secret(self._folder / CA_KEY_FILE), name=CA_KEY_FILE)
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(CA_KEY_FILE, "not an Ed25519 key", "Restore it from its backup.")
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate_pem())
        except ValueError:
            raise KeyFileError(
                CA_FILE, "not a certificate", "Restore it from its backup."
            ) from None
        return pki.Holder(key, certificate)

    def certificate_pem(self) -> bytes:
        """
        Return the CA's certificate in PEM.

        Raises:
            KeyFileError: There is no CA.
        """
        return files.read(self._folder / CA_FILE)

    def issue_services(self, out: Path, *, hosts: list[str], now: dt.datetime) -> None:
        """
        Write the certificates and keys of the broker and the services into *out*.

        Args:
            out: The folder.

            hosts: Host names and addresses of the broker and the enrolment service.

            now: The time of issue.

        Raises:
            KeyFileError: A file exists already, or cannot be written.
        """
        files.make_folder(out)
        ca = self._ca
        valid_for = dt.timedelta(days=self._settings.service_days)
        # The certificates come before CA and CRL, so that a second run fails before any change.
        broker = pki.issue(
            ca,
            "broker",
            role=pki.CertificateRole.SERVER,
            now=now,
            valid_for=valid_for,
            hosts=hosts,
        )
        write_holder(out, "broker", broker)
        enrolment_service = pki.issue(
            ca,
            "enrolment",
            role=pki.CertificateRole.SERVER,
            now=now,
            valid_for=valid_for,
            hosts=hosts,
        )
        write_holder(out, "enrolment", enrolment_service)
        for name in SERVICES:
            holder = pki.issue(
                ca, name, role=pki.CertificateRole.CLIENT, now=now, valid_for=valid_for
            )
            write_holder(out, name, holder)
        files.write(out / CA_FILE, self.certificate_pem(), mode=files.PUBLIC, replace=True)
        # An existing list stays: an empty list would let revoked gateways in again.
        if not (out / CRL_FILE).exists():
            self.write_revocations([], out / CRL_FILE, now=now)

    def issue_agent(self, agent: str, *, now: dt.datetime) -> pki.Holder:
        """
        Create a key for *agent* and return it with its certificate.

        Raises:
            KeyFileError: There is no CA.
        """
        valid_for = dt.timedelta(days=self._settings.agent_days)
        return pki.issue(
            self._ca, agent, role=pki.CertificateRole.CLIENT, now=now, valid_for=valid_for
        )

    def certify_agent(
        self, agent: str, public_key: Ed25519PublicKey, *, now: dt.datetime
    ) -> x509.Certificate:
        """
        Return a certificate of *agent* for a key that the gateway made.

        Raises:
            KeyFileError: There is no CA.
        """
        valid_for = dt.timedelta(days=self._settings.agent_days)
        return pki.certify(
            self._ca, public_key, agent, role=pki.CertificateRole.CLIENT, term=(now, valid_for)
        )

    def stand_in(self, agent: str, *, now: dt.datetime) -> pki.Holder:
        """
        Return a key and a certificate of *agent*, valid for minutes, to end its connection with.

        Raises:
            KeyFileError: There is no CA.
        """
        return pki.issue(
            self._ca, agent, role=pki.CertificateRole.CLIENT, now=now, valid_for=_MINUTES
        )

    def probe(self, *, now: dt.datetime) -> pki.Holder:
        """
        Return a key and a certificate that only the next revocation list names.

        Raises:
            KeyFileError: There is no CA.
        """
        serial = 1 + secrets.randbelow(pki.PROBES_BELOW - 1)
        return pki.issue(
            self._ca,
            "probe",
            role=pki.CertificateRole.CLIENT,
            now=now,
            valid_for=_DAYS,
            serial=serial,
        )

    def read_revocations(self, path: Path) -> list[tuple[int, dt.datetime]]:
        """
        Return the entries of the revocation list in *path*; none if this CA signed no list there.

        Raises:
            KeyFileError: The CA is missing, or the file cannot be read.
        """
        return pki.revoked_by(self._ca, files.read(path)) if path.exists() else []

    def write_revocations(self, revoked: Revocations, path: Path, *, now: dt.datetime) -> None:
        """
        Write the revocation list that the broker reads.

        Raises:
            KeyFileError: A file cannot be written.
        """
        valid_for = dt.timedelta(days=self._settings.crl_days)
        crl = pki.revocation_list(self._ca, revoked, now=now, valid_for=valid_for)
        files.write(path, crl, mode=files.PUBLIC, replace=True)


def write_holder(folder: Path, name: str, holder: pki.Holder) -> None:
    """
    Write *holder* to *folder* as name.crt and name.key.

    Raises:
        KeyFileError: A file exists already, or cannot be written.
    """
    files.write(folder / f"{name}.key", holder.key_pem(), mode=files.SECRET)
    files.write(folder / f"{name}.crt", holder.certificate_pem(), mode=files.PUBLIC)
