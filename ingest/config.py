"""
The settings of ingest.

Each setting can also be given as an environment variable, `VITALVEIL_INGEST_SECTION_KEY`.
"""

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
from runtime import files
from runtime.errors import ConfigError, unusable
from runtime.settings import BrokerSettings, HttpSettings, LogSettings, Seconds


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The X25519 private keys of ingest, in PEM files of mode 0600."""

    private_key_file: Path
    """The present private key, as `/etc/vitalveil/ingest.key`."""
    previous_key_file: Path | None = None
    """The private key before, during a rotation, as `/etc/vitalveil/ingest-previous.key`."""


class ReceiptSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often ingest sends receipts."""

    interval_s: Seconds = 0.25
    """Least time between two receipts to one agent; the first after a pause is sent at once."""


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How observations are written to the database."""

    timeout_s: Seconds = 30.0
    """After this time a transaction is rolled back and tried again."""
    connections: Annotated[int, Meta(ge=1, le=8)] = 4
    """
    Number of flushes that are written at the same time. A flush waits for a round trip, a COPY or
    an fsync for most of its time.
    """


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of ingest."""

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
    Return the private keys of ingest, the newest first.

    Raises:
        ConfigError: A file cannot be read, can be read by others, or holds no X25519 key.
    """
    keys = [_read_key(settings.private_key_file, "keys.private_key_file")]
    if settings.previous_key_file is not None:
        keys.append(_read_key(settings.previous_key_file, "keys.previous_key_file"))
    return keys


def _read_key(path: Path, key: str) -> X25519PrivateKey:
    try:
        data = files.read_secret(path)
    except OSError as exc:
        raise unusable(path, exc, key=key) from None
    try:
        found = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, X25519PrivateKey):
        raise ConfigError(
            key=key,
            source=str(path),
            problem="the file holds no X25519 private key in PEM",
            remedy="Make a key with: vitalveil ingest keygen.",
        )
    return found
