"""TLS contexts: only TLS 1.3, only the installation's own CA, certificates on both sides."""

import ssl

from runtime.errors import ConfigError
from runtime.settings import TlsSettings


def client_context(settings: TlsSettings, *, section: str) -> ssl.SSLContext:
    """
    Return the context of a client that presents a certificate.

    Args:
        settings: The files of the CA, the certificate and the key.

        section: Section of the settings that names the files, for errors: `broker.tls`.

    Raises:
        ConfigError: A file is missing, cannot be read, or has the wrong contents.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    for key, path in (
        ("ca_file", settings.ca_file),
        ("certificate_file", settings.certificate_file),
        ("key_file", settings.key_file),
    ):
        try:
            path.open("rb").close()
        except OSError as exc:
            raise ConfigError(
                key=f"{section}.{key}",
                source=str(path),
                problem=f"the file cannot be read ({type(exc).__name__})",
                remedy="Check the path and its permissions.",
            ) from None
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
