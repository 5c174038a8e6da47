"""Checks of files: keys, passwords, certificates, their folders, and the free disk space."""

import datetime as dt
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from runtime import files
from runtime.causes.files import of_file
from runtime.errors import ConfigError
from runtime.settings import TlsSettings
from runtime.tls import client_context
from vitalveil.doctor.finding import Finding, Level, note, sound, wrong

_SOON: Final = dt.timedelta(days=30)
_GIB: Final = 1 << 30
_ISSUE: Final = "Issue a new certificate: docs/howto/rotate-keys.md."


def secret(code: str, path: Path) -> Iterable[Finding]:
    """Check that no other user may read the file *path*, by the rule of the programs."""
    try:
        files.check_secret(path)
    except OSError as error:
        cause = of_file(error)
        yield wrong(code, f"{cause.text}: {path}", cause.remedy)
    else:
        yield sound(code, f"no other user may read {path}")


def folder(code: str, path: Path, *, is_public: bool = False) -> Iterable[Finding]:
    """Check a folder to which programs write, or from which they read secrets."""
    try:
        files.check_folder(path, is_public=is_public)
    except files.UnsafePlace as error:
        remedy = f"For {path}: {error}. Until then, the programs write no files there."
        yield wrong(code, f"other users may exchange files in {path}", remedy)
    except OSError:
        yield wrong(
            code, f"{path} cannot be checked", "Check the path, and which user runs the doctor."
        )
    else:
        yield sound(code, f"no other user may exchange files in {path}")


def tls(
    name: str, settings: TlsSettings, *, common_name: str, now: dt.datetime
) -> Iterable[Finding]:
    """Check the certificate, the key and the authority of one program."""
    key = list(secret(f"{name}-tls-key", settings.key_file))
    yield from key
    if any(finding.level is Level.WRONG for finding in key):
        return
    try:
        client_context(settings, section="broker.tls")
    except ConfigError as error:
        yield wrong(f"{name}-tls", f"{error.key}: {error.problem}", error.remedy)
        return
    own = x509.load_pem_x509_certificate(settings.certificate_file.read_bytes())
    # There are two while one authority replaces another.
    authorities = x509.load_pem_x509_certificates(settings.ca_file.read_bytes())
    issuers = [one for one in authorities if _is_issued(own, one)]
    yield from ends(f"{name}-certificate", own, now=now)
    yield from ends(f"{name}-ca", (issuers or authorities)[0], now=now)
    if not issuers:
        yield wrong(
            f"{name}-issuer",
            "the certificate is not issued by the authority in ca_file",
            "Use ca.crt and the certificate from the same run of `vitalveil trust pki`.",
        )
    found = [str(n.value) for n in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if found == [common_name]:
        yield sound(f"{name}-name", f"the certificate's name is {common_name}")
    else:
        yield wrong(
            f"{name}-name",
            f"the certificate's name is not {common_name}, which the broker's rules require",
            f"Use {common_name}.crt and {common_name}.key of `vitalveil trust pki`.",
        )


def _is_issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def ends(code: str, certificate: x509.Certificate, *, now: dt.datetime) -> Iterable[Finding]:
    """Check when *certificate* begins and ends."""
    left = certificate.not_valid_after_utc - now
    if certificate.not_valid_before_utc > now:
        yield wrong(code, "the certificate is not valid yet", "Check this machine's clock.")
    elif left < dt.timedelta(0):
        yield wrong(code, "the certificate has expired", _ISSUE)
    elif left < _SOON:
        yield note(code, f"the certificate expires in {left.days} days", _ISSUE)
    else:
        yield sound(code, f"the certificate is valid for {left.days} more days")


def disk(path: Path, *, least_gib: float) -> Iterable[Finding]:
    """Check the free space of the disk that holds *path*."""
    free = shutil.disk_usage(path).free / _GIB
    if free < least_gib:
        remedy = "Delete files or enlarge the disk: a full disk stops all programs."
        yield wrong(
            "disk", f"{free:.1f} GiB of the disk are free, less than {least_gib:g}", remedy
        )
    else:
        yield sound("disk", f"{free:.1f} GiB of the disk are free")
