"""Files: settings, keys, certificates, and the disk that they are on."""

import datetime as dt
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from runtime import files
from runtime.errors import ConfigError
from runtime.settings import TlsSettings
from runtime.tls import client_context
from vitalveil.doctor.finding import Finding, note, sound, wrong

_SOON: Final = dt.timedelta(days=30)
_GIB: Final = 1 << 30


def secret(code: str, path: Path) -> Iterable[Finding]:
    """Look at a file that nobody else may read."""
    try:
        mode = path.stat().st_mode
    except OSError:
        yield wrong(code, f"{path} cannot be read", "Check the path and who runs this.")
        return
    if mode & 0o077:
        yield wrong(code, f"others may read {path}", f"chmod 600 {path}")
    else:
        yield sound(code, f"{path} is its owner's alone")


def folder(code: str, path: Path, *, is_public: bool = False) -> Iterable[Finding]:
    """Look at a folder that our programs write to, or read a secret from."""
    try:
        files.check_folder(path, is_public=is_public)
    except files.UnsafePlace as error:
        remedy = f"In {path}: {error}. Our programs write nothing there until then."
        yield wrong(code, f"others may exchange files in {path}", remedy)
    except OSError:
        yield wrong(code, f"{path} cannot be looked at", "Check the path and who runs this.")
    else:
        yield sound(code, f"nobody else may exchange files in {path}")


def tls(
    name: str, settings: TlsSettings, *, common_name: str, now: dt.datetime
) -> Iterable[Finding]:
    """Look at the certificate, the key and the authority of one program."""
    try:
        client_context(settings, section="broker.tls")
    except ConfigError as error:
        yield wrong(f"{name}-tls", f"{error.key}: {error.problem}", error.mend)
        return
    yield from secret(f"{name}-tls-key", settings.key_file)
    own = x509.load_pem_x509_certificate(settings.certificate_file.read_bytes())
    # Two, while one authority follows another.
    authorities = x509.load_pem_x509_certificates(settings.ca_file.read_bytes())
    issuers = [one for one in authorities if _is_issued(own, one)]
    yield from ends(f"{name}-certificate", own, now=now)
    yield from ends(f"{name}-ca", (issuers or authorities)[0], now=now)
    if not issuers:
        yield wrong(
            f"{name}-issuer",
            "the certificate is not issued by the authority in ca_file",
            "Take ca.crt and the certificate from the same `vitalveil trust pki` run.",
        )
    found = [str(n.value) for n in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if found == [common_name]:
        yield sound(f"{name}-name", f"the certificate is of {common_name}")
    else:
        yield wrong(
            f"{name}-name",
            f"the certificate is not of {common_name}, and the broker's rules go by that name",
            f"Use {common_name}.crt and {common_name}.key of `vitalveil trust pki`.",
        )


def _is_issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def ends(code: str, certificate: x509.Certificate, *, now: dt.datetime) -> Iterable[Finding]:
    """Look at when *certificate* begins and ends."""
    left = certificate.not_valid_after_utc - now
    if certificate.not_valid_before_utc > now:
        yield wrong(code, "it is not valid yet", "Check this machine's clock.")
    elif left < dt.timedelta(0):
        yield wrong(code, "it has ended", "Issue a new one: docs/howto/rotate-keys.md.")
    elif left < _SOON:
        mend = "Issue a new one: docs/howto/rotate-keys.md."
        yield note(code, f"it ends in {left.days} days", mend)
    else:
        yield sound(code, f"it is valid for {left.days} more days")


def disk(path: Path, *, least_gib: float) -> Iterable[Finding]:
    """Look at the room on the disk that *path* is on."""
    free = shutil.disk_usage(path).free / _GIB
    if free < least_gib:
        mend = "Free some, or enlarge the disk: a full one stops everything."
        yield wrong("disk", f"{free:.1f} GiB are free, less than {least_gib:g}", mend)
    else:
        yield sound("disk", f"{free:.1f} GiB are free")
