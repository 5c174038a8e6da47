"""Certificates for tests: one CA for the run, holders on demand."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.settings import TlsSettings
from trust.domain import pki

VALID_FOR = dt.timedelta(days=1)


class Certificates:
    """A CA whose files lie in *folder*, as mosquitto and the programs want them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = pki.create_ca(now=self._now(), valid_for=VALID_FOR)
        (folder / "ca.crt").write_bytes(self.ca.certificate_pem())
        self._write("broker", pki.CertificateRole.SERVER, hosts=["127.0.0.1", "localhost"])
        self.revoke()

    @staticmethod
    def _now() -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def _write(self, name: str, role: pki.CertificateRole, hosts: list[str]) -> pki.Holder:
        holder = pki.issue(
            self.ca, name, role=role, now=self._now(), valid_for=VALID_FOR, hosts=hosts
        )
        (self.folder / f"{name}.crt").write_bytes(holder.certificate_pem())
        (self.folder / f"{name}.key").write_bytes(holder.key_pem())
        return holder

    def client(self, name: str) -> TlsSettings:
        """Return the files of a client, issued at its first use."""
        if not (self.folder / f"{name}.crt").exists():
            self._write(name, pki.CertificateRole.CLIENT, hosts=[])
        return TlsSettings(
            ca_file=self.folder / "ca.crt",
            certificate_file=self.folder / f"{name}.crt",
            key_file=self.folder / f"{name}.key",
        )

    def revoke(self, *serials: int) -> None:
        """Write a CRL with exactly these serial numbers."""
        (self.folder / "crl.pem").write_bytes(
            pki.revocation_list(
                self.ca,
                [(serial, self._now()) for serial in serials],
                now=self._now(),
                valid_for=VALID_FOR,
            )
        )


@pytest.fixture(scope="session")
def certificates(run_folder: Path) -> Certificates:
    """The CA of this run."""
    return Certificates(run_folder / "pki")


MakeTls = Callable[[str], TlsSettings]
