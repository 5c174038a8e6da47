"""The TLS identity of a program, which is loaded again after a renewal."""

import os
from pathlib import Path

from runtime.settings import TlsSettings
from runtime.tls_identity import TlsIdentity
from tests.fixtures.pki import Certificates


def test_renewed_pair_is_taken_and_a_broken_one_is_not(
    certificates: Certificates, tmp_path: Path
) -> None:
    """
    A renewed pair is loaded; a broken one is not, and the previous pair is used until the files
    change.
    """
    of = certificates.client("ingest")
    files = TlsSettings(of.ca_file, tmp_path / "own.crt", tmp_path / "own.key")
    files.certificate_file.write_bytes(of.certificate_file.read_bytes())
    files.key_file.write_bytes(of.key_file.read_bytes())
    files.key_file.chmod(0o600)
    identity = TlsIdentity(files)
    first = identity.context()
    assert identity.context() is first
    files.certificate_file.write_bytes(b"half of")
    os.utime(files.certificate_file, ns=(1, 1))
    assert identity.context() is first
    files.certificate_file.write_bytes(of.certificate_file.read_bytes())
    os.utime(files.certificate_file, ns=(2, 2))
    assert identity.context() is not first


def test_renewed_key_that_others_may_read_is_taken_once_its_mode_is_repaired(
    certificates: Certificates, tmp_path: Path
) -> None:
    """Until then the pair before stays in use: a mistake in a renewal costs no connection."""
    of = certificates.client("ingest")
    own = TlsSettings(of.ca_file, tmp_path / "own.crt", tmp_path / "own.key")
    own.certificate_file.write_bytes(of.certificate_file.read_bytes())
    own.key_file.write_bytes(of.key_file.read_bytes())
    own.key_file.chmod(0o600)
    identity = TlsIdentity(own)
    first = identity.context()
    own.key_file.chmod(0o644)
    assert identity.context() is first
    own.key_file.chmod(0o600)
    assert identity.context() is not first
