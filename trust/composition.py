"""How the parts that commands and the daemon share are built from the settings."""

import datetime as dt

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from runtime.errors import ConfigError
from trust.config import Settings
from trust.domain.lease_keys import montgomery
from trust.enrolment.enrolment import ingest_pem
from trust.erasure import setup
from trust.erasure.restore_guard import RestoreGuard
from trust.erasure.retention import Retainer
from trust.integrity.audit import Audit
from trust.integrity.witness import Witness
from trust.keys import files
from trust.keys.file_keys import FileKeys
from trust.metrics import Metrics
from trust.reconcile.lease_publisher import LeasePublisher
from trust.reconcile.mqtt_broker import MqttBroker
from trust.reconcile.reconciler import Reconciler
from trust.telemetry.erasure import Stores
from trust.telemetry.permissions import Telemetry
from trust.vault.vault import Vault


def now() -> dt.datetime:
    """Return the time, from the one clock that trust has."""
    return dt.datetime.now(dt.UTC)


def own_keys(settings: Settings, keys: FileKeys) -> set[bytes]:
    """Return the public keys of trust and ingest, raw: none of them is a gateway's."""
    signing = keys.public_key.public_bytes_raw()
    found = {signing, montgomery(signing)}
    if settings.serve is not None:
        path = settings.serve.ingest_key_file
        key = files.public_key(ingest_pem(path), name=path.name)
        if isinstance(key, X25519PublicKey):
            found.add(key.public_bytes_raw())
    return found


class Opened:
    """The connections of a lease publisher: its own, because it works in a thread."""

    def __init__(self, settings: Settings, keys: FileKeys) -> None:
        self.vault = Vault(settings.vault, keys)
        self.telemetry = Telemetry(settings.telemetry)
        self.stores = Stores(self.telemetry.link)

    def close(self) -> None:
        self.vault.close()
        self.telemetry.close()


def build_restore_guard(
    settings: Settings, keys: FileKeys, vault: Vault, reconciler: Reconciler, stores: Stores
) -> RestoreGuard:
    """Return what clears the telemetry database, and have *reconciler* ask it before it writes."""
    restore_guard = RestoreGuard(
        vault,
        stores,
        reconciler,
        keys,
        controller=settings.controller,
        verifier=setup.verifier(settings, keys, vault, reconciler, stores),
        ledger_copy=setup.ledger_copy(settings, vault, stores),
        ledger_file=setup.ledger_file(settings),
    )
    reconciler.guard = restore_guard.ensure
    return restore_guard


def build_reconciler(
    settings: Settings, keys: FileKeys, vault: Vault, telemetry: Telemetry
) -> Reconciler:
    """Return what brings permissions and leases to what the vault says, with its witnesses."""
    reconciler = Reconciler(
        vault,
        telemetry,
        keys,
        controller=settings.controller,
        lease=settings.lease,
        clock=now,
    )
    witness = Witness(telemetry.link, keys.witness_key)
    reconciler.cut, reconciler.exchanged = witness.cut, witness.exchanged
    return reconciler


def build_retainer(settings: Settings, vault: Vault, stores: Stores) -> Retainer:
    """Return what deletes what its purpose needs no longer."""
    keep_leases = dt.timedelta(days=settings.lease.keep_days)
    return Retainer(vault, stores, keep_leases=keep_leases, clock=now)


def build_audit(vault: Vault, telemetry: Telemetry, keys: FileKeys) -> Audit:
    """Return what compares the decisions of the vault with what witnesses remember."""
    return Audit(vault, Witness(telemetry.link, keys.witness_key))


def build_lease_publisher(
    settings: Settings, keys: FileKeys, metrics: Metrics
) -> tuple[LeasePublisher, MqttBroker, Opened]:
    """
    Return what publishes leases, its broker, and its own connections; ConfigError without a
    broker.
    """
    if settings.broker is None:
        raise ConfigError(
            key="broker",
            source="settings",
            problem="it is not set, and leases are published there",
            mend="Add a section [broker] with [broker.tls].",
        )
    broker = MqttBroker(settings.broker, max_packet_bytes=settings.lease.max_packet_bytes)
    opened = Opened(settings, keys)
    reconciler = build_reconciler(settings, keys, opened.vault, opened.telemetry)
    build_restore_guard(settings, keys, opened.vault, reconciler, opened.stores)
    lease_publisher = LeasePublisher(
        opened.vault,
        reconciler,
        broker,
        listen_to=settings.vault,
        metrics=metrics,
        repair_after=dt.timedelta(seconds=settings.repair.after_s),
    )
    return lease_publisher, broker, opened
