"""The settings of ingest. Every key has an environment twin: `VITALVEIL_INGEST_...`."""

from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Meta

from ingest.admission.decide import ClockRules
from ingest.mqtt.session import SessionSettings
from ingest.storage.database import DatabaseSettings
from ingest.storage.monitor import MonitorSettings
from ingest.storage.quarantine import QuarantineLimits
from ingest.values.batch import FlushLimits
from runtime.errors import ConfigError
from runtime.settings import BrokerSettings, HttpSettings, LogSettings, Seconds


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ingest's X25519 private keys, PEM, mode 0600."""

    private_key_file: Path
    previous_key_file: Path | None = None
    """While a key is rotated: what agents may still seal to."""


class ReceiptSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often an agent is told what is settled."""

    interval_s: Seconds = 0.25
    """Least time between two receipts of one agent; the first after a pause goes out at once."""


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How patient the store is."""

    timeout_s: Seconds = 30.0
    """When a transaction is given up and tried again."""
    connections: Annotated[int, Meta(ge=1, le=8)] = 4
    """
    How many flushes may be on their way to the database at once: each waits for a round trip, a
    COPY or an fsync for most of its time.
    """


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that ingest is told from outside."""

    broker: BrokerSettings
    database: DatabaseSettings
    keys: KeySettings
    session: SessionSettings = SessionSettings()
    flush: FlushLimits = FlushLimits()
    clock: ClockRules = ClockRules()
    receipts: ReceiptSettings = ReceiptSettings()
    quarantine: QuarantineLimits = QuarantineLimits()
    store: StoreSettings = StoreSettings()
    watch: MonitorSettings = MonitorSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()


def read_keys(settings: KeySettings) -> list[X25519PrivateKey]:
    """
    Return ingest's private keys, the newest first.

    Raises:
        ConfigError: A file cannot be read, is open to others, or holds no such key.
    """
    keys = [_read_key(settings.private_key_file, "keys.private_key_file")]
    if settings.previous_key_file is not None:
        keys.append(_read_key(settings.previous_key_file, "keys.previous_key_file"))
    return keys


def _read_key(path: Path, key: str) -> X25519PrivateKey:
    def refused(problem: str, mend: str) -> ConfigError:
        return ConfigError(key=key, source=str(path), problem=problem, mend=mend)

    try:
        if path.stat().st_mode & 0o077:
            raise refused("others may read it", f"chmod 600 {path}")
        data = path.read_bytes()
    except OSError as exc:
        raise refused(
            f"the file cannot be read ({type(exc).__name__})",
            "Check the path and its permissions, or make one with: vitalveil ingest keygen.",
        ) from None
    try:
        found = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, X25519PrivateKey):
        raise refused(
            "not an X25519 private key in PEM", "Make one with: vitalveil ingest keygen."
        )
    return found
