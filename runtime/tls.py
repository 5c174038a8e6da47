"""TLS contexts: only TLS 1.3, only the installation's own CA, certificates on both sides."""

import ssl
from pathlib import Path
from typing import Protocol

from runtime import files
from runtime.errors import ConfigError, unusable
from runtime.settings import TlsSettings


class TlsFiles(Protocol):
    """The files of a certificate, of its key, and of the authority of the other side."""

    @property
    def ca_file(self) -> Path: ...

    @property
    def certificate_file(self) -> Path: ...

    @property
    def key_file(self) -> Path: ...


def check_files(settings: TlsFiles, *, section: str) -> None:
    """
    Check that the files of *settings* can be read, and the key by no other user.

    Raises:
        ConfigError: A file cannot be read, or other users may read the key.
    """
    for key, path in (
        ("ca_file", settings.ca_file),
        ("certificate_file", settings.certificate_file),
        ("key_file", settings.key_file),
    ):
        try:
            if key == "key_file":
                files.check_secret(path)
            else:
                path.open("rb").close()
        except OSError as exc:
            raise unusable(path, exc, key=f"{section}.{key}") from None


def client_context(settings: TlsSettings, *, section: str) -> ssl.SSLContext:
    """
    Return the context of a client that presents a certificate.

    Args:
        settings: The files of the CA, the certificate and the key.

        section: Section of the settings that names the files, for errors: `broker.tls`.

    Raises:
        ConfigError: A file is missing, cannot be read, or has the wrong contents, or other users
            may read the key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    check_files(settings, section=section)
    try:
        context.load_verify_locations(settings.ca_file)
    except ssl.SSLError:
        raise ConfigError(
            key=f"{section}.ca_file",
            source=str(settings.ca_file),
            problem="the file holds no PEM certificate",
            remedy="Name the file of the CA certificate that trust issued.",
        ) from None
    try:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
    except ssl.SSLError:
        raise ConfigError(
            key=f"{section}.certificate_file",
            source=str(settings.certificate_file),
            problem="the file holds no PEM certificate that belongs to the key",
            remedy="Name a matching pair of files in certificate_file and key_file.",
        ) from None
    return context
