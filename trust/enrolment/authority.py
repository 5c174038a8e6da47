"""
The CA on disk: its key stays in the keys' folder; what others need is written where they look.

The files of `trust pki init` are those that mosquitto, ingest and trust are pointed at.
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
"""More than a list is the newest one: a probe that had run out would be kept out by any."""
Revocations = Iterable[tuple[int, dt.datetime]]


class Authority:
    """
    The certificate authority of a keys' folder.

    Args:
        folder: Where its key and certificate are.

        settings: How long what it signs is valid.
    """

    def __init__(self, folder: Path, settings: CertificateSettings) -> None:
        self._folder = folder
        self._settings = settings

    def create(self, *, now: dt.datetime) -> None:
        """
        Make the CA, unless it is there.

        Raises:
            KeyFileError: It cannot be written.
        """
        if (self._folder / CA_KEY_FILE).exists():
            return
        files.make_folder(self._folder)
        ca = pki.create_ca(now=now, valid_for=dt.timedelta(days=self._settings.ca_days))
        # The key last: its presence says that the CA is whole.
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
        Return the CA's certificate.

        Raises:
            KeyFileError: There is none.
        """
        return files.read(self._folder / CA_FILE)

    def issue_services(self, out: Path, *, hosts: list[str], now: dt.datetime) -> None:
        """
        Write certificates of the broker and the services into *out*.

        Args:
            out: The folder.

            hosts: Names and addresses that broker and enrolment desk are reached by.

            now: The time of issue.

        Raises:
            KeyFileError: A file is there already, or cannot be written.
        """
        files.make_folder(out)
        ca = self._ca
        valid_for = dt.timedelta(days=self._settings.service_days)
        # CA and CRL after the certificates, so that a second run fails before it changes anything.
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
        # An empty one in the place of another would let everybody back in who is on that.
        if not (out / CRL_FILE).exists():
            self.write_revocations([], out / CRL_FILE, now=now)

    def issue_agent(self, agent: str, *, now: dt.datetime) -> pki.Holder:
        """
        Return a new key and certificate of *agent*.

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
        Return a certificate of *agent* for a key that it has made.

        Raises:
            KeyFileError: There is no CA.
        """
        valid_for = dt.timedelta(days=self._settings.agent_days)
        return pki.certify(
            self._ca, public_key, agent, role=pki.CertificateRole.CLIENT, term=(now, valid_for)
        )

    def stand_in(self, agent: str, *, now: dt.datetime) -> pki.Holder:
        """
        Return a key and certificate of *agent* for some minutes: to end its connection with.

        Raises:
            KeyFileError: There is no CA.
        """
        return pki.issue(
            self._ca, agent, role=pki.CertificateRole.CLIENT, now=now, valid_for=_MINUTES
        )

    def probe(self, *, now: dt.datetime) -> pki.Holder:
        """
        Return a key and certificate that is to be on the next revocation list, and on no other.

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
        Return who is on the revocation list in *path*; nobody, if there is none of this CA's.

        Raises:
            KeyFileError: There is no CA, or the file cannot be read.
        """
        return pki.revoked_by(self._ca, files.read(path)) if path.exists() else []

    def write_revocations(self, revoked: Revocations, path: Path, *, now: dt.datetime) -> None:
        """
        Write the revocation list that the broker reads.

        Raises:
            KeyFileError: It cannot be written.
        """
        valid_for = dt.timedelta(days=self._settings.crl_days)
        crl = pki.revocation_list(self._ca, revoked, now=now, valid_for=valid_for)
        files.write(path, crl, mode=files.PUBLIC, replace=True)


def write_holder(folder: Path, name: str, holder: pki.Holder) -> None:
    """
    Write *holder* as name.crt and name.key.

    Raises:
        KeyFileError: A file is there already, or cannot be written.
    """
    files.write(folder / f"{name}.key", holder.key_pem(), mode=files.SECRET)
    files.write(folder / f"{name}.crt", holder.certificate_pem(), mode=files.PUBLIC)
