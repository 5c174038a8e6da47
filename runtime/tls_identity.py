"""
The TLS certificate and key of a program, which are read again when they are renewed.

If the new pair is incomplete or wrong, the pair before stays in use until the files change again.
"""

import ssl
from pathlib import Path

from runtime.errors import ConfigError
from runtime.logs import Log
from runtime.settings import TlsSettings
from runtime.tls import client_context

_log = Log("identity")
_Stamp = list[tuple[int, int, int] | None]


class TlsIdentity:
    """
    A TLS context that is made again when its files change.

    Args:
        settings: The files of the CA, the certificate and the key.

    Raises:
        ConfigError: The files are wrong at the start.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._stamp = self._look()
        self._context = client_context(settings, section="broker.tls")

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection."""
        if self.is_changed():
            self._stamp = self._look()
            try:
                self._context = client_context(self._settings, section="broker.tls")
                _log.info("identity_renewed")
            except ConfigError as exc:
                _log.error("identity_not_renewed", key=exc.key, why=str(exc))
        return self._context

    def is_changed(self) -> bool:
        """Return whether a file has changed since the context was made."""
        return self._look() != self._stamp

    def _look(self) -> _Stamp:
        files = self._settings
        return [_stamp(path) for path in (files.ca_file, files.certificate_file, files.key_file)]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    # The mode as well: a key that was refused for its mode is read again once that is repaired.
    return stat.st_mtime_ns, stat.st_ino, stat.st_mode
