"""
The composition root: this module alone builds the parts of trust from the settings.

`Trust` holds the parts that all programs share; `App` adds the procedures of the commands. The
daemon has one `Trust` for each of its threads.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from msgspec.structs import replace

from runtime.errors import ConfigError
from trust.config import Settings
from trust.consent.consent import Consent
from trust.consent.policy_review import PolicyReview
from trust.consent.restriction import Restriction
from trust.consent.sensors import Sensors
from trust.domain.lease_keys import montgomery
from trust.enrolment.authority import Authority
from trust.enrolment.bulk_enrolment import BulkEnrolment
from trust.enrolment.cutoff import Cutoff
from trust.enrolment.enrolment import Enrolment, ingest_pem
from trust.enrolment.service import EnrolmentService
from trust.enrolment.takeover import MqttConnectionControl
from trust.erasure.eraser import Eraser
from trust.erasure.ledger_copy import LedgerCopy
from trust.erasure.metrics import ErasureMetrics
from trust.erasure.physical_rewrite import PhysicalRewrite
from trust.erasure.restore_guard import RestoreGuard
from trust.erasure.retention import Retainer
from trust.erasure.verification import Verifier
from trust.erasure.verification_rounds import Rounds
from trust.integrity.audit import Audit
from trust.integrity.witness import Witness
from trust.keys import files
from trust.keys.file_keys import FileKeys
from trust.metrics import Metrics
from trust.reconcile.lease_publisher import LeasePublisher, publish_once
from trust.reconcile.mqtt_broker import MqttBroker
from trust.reconcile.reconciler import Reconciler, UnguardedReconciler
from trust.reconcile.rotation import Rotation
from trust.reidentification.reidentification import Reidentification
from trust.rights.access import notice_of
from trust.rights.export import Exporter
from trust.telemetry.erasure import Stores
from trust.telemetry.permissions import Telemetry
from trust.vault.erasure_file import LedgerFile
from trust.vault.vault import PostgresVault, listen

_PUBLISH_PATIENCE_S: Final = 10.0


def now() -> dt.datetime:
    """Return the current time in UTC; this function is the only clock of trust."""
    return dt.datetime.now(dt.UTC)


def own_keys(settings: Settings, keys: FileKeys) -> set[bytes]:
    """
    Return the raw public keys of trust and ingest, of 32 bytes each: no gateway may present one.

    Raises:
        KeyFileError: The public key of ingest is missing or damaged.
    """
    signing = keys.public_key.public_bytes_raw()
    found = {signing, montgomery(signing)}
    if settings.serve is not None:
        path = settings.serve.ingest_key_file
        key = files.public_key(ingest_pem(path), name=path.name)
        if isinstance(key, X25519PublicKey):
            found.add(key.public_bytes_raw())
    return found


class Trust:
    """
    The shared parts of commands, daemon threads and tests, with one connection to each database.

    Connections are opened at their first use and kept open. Not safe to share between threads.

    Args:
        settings: The settings of all parts.

        keys: The secrets; several threads may share them.

    Raises:
        ConfigError: A setting is wrong.
    """

    def __init__(self, settings: Settings, keys: FileKeys) -> None:
        self.settings = settings
        self.keys = keys
        self.vault = PostgresVault(settings.vault, keys)
        self.telemetry = Telemetry(settings.telemetry)
        self.stores = Stores(self.telemetry.link)
        self.ledger_file = _ledger_file(settings)
        self.ledger_copy = LedgerCopy(self.vault, self.stores, self.ledger_file)
        witness = Witness(self.telemetry.link, keys.witness_key)
        unguarded = UnguardedReconciler(
            self.vault,
            self.telemetry,
            keys,
            witness=witness,
            controller=settings.controller,
            lease=settings.lease,
            clock=now,
        )
        self.restore_guard = RestoreGuard(
            self.vault,
            self.stores,
            unguarded,
            keys,
            witness=witness,
            controller=settings.controller,
            verifier=self._verifier(unguarded),
            ledger_copy=self.ledger_copy,
            ledger_file=self.ledger_file,
        )
        self.reconciler = Reconciler(unguarded, self.restore_guard)
        self.verifier = self._verifier(self.reconciler)
        self.audit = Audit(self.vault, witness)
        keep_leases = dt.timedelta(days=settings.lease.keep_days)
        self.retainer = Retainer(self.vault, self.stores, keep_leases=keep_leases, clock=now)

    def _verifier(self, reconciler: Reconciler | UnguardedReconciler) -> Verifier:
        chosen = self.settings.erasure
        return Verifier(
            self.vault,
            self.stores,
            reconciler,
            self.keys,
            rewrite=None if chosen is None else PhysicalRewrite(chosen).sweep,
            ledger_file=self.ledger_file,
        )

    def close(self) -> None:
        """Close the connections to both databases."""
        self.vault.close()
        self.telemetry.close()


def _ledger_file(settings: Settings) -> LedgerFile | None:
    path = None if settings.erasure is None else settings.erasure.ledger_file
    return None if path is None else LedgerFile(path)


class App(Trust):
    """
    Trust for commands and services, with the procedure of every command.

    Args:
        settings: The settings of all parts.

    Raises:
        KeyFileError: A key is missing or damaged.
        ConfigError: A setting is wrong.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, FileKeys(settings.keys.folder))
        self.authority = Authority(settings.keys.folder, settings.certificates)
        self.consent = Consent(self.vault, self.reconciler, clock=now, ages=settings.consent)
        self.sensors = Sensors(self.vault, self.reconciler, clock=now)
        self.enrolment = Enrolment(
            self.vault, self.reconciler, self.keys, self.authority, clock=now
        )
        self.bulk_enrolment = BulkEnrolment(
            self.vault,
            self.reconciler,
            self.keys,
            folder=settings.keys.folder,
            settings=settings.certificates,
            clock=now,
        )
        self.enrolment_service = EnrolmentService(
            self.vault,
            self.reconciler,
            self.authority,
            clock=now,
            not_lease_keys=lambda: own_keys(settings, self.keys),
        )
        self.exporter = Exporter(
            self.vault,
            self.telemetry,
            self.keys,
            controller=settings.controller,
            notice=notice_of(settings.controller, settings.notice),
            clock=now,
        )
        self.rotation = Rotation(self.vault, self.reconciler, self.keys)
        self.restriction = Restriction(
            self.vault,
            self.stores,
            self.reconciler,
            self.keys,
            controller=settings.controller,
            clock=now,
        )
        self.policies = PolicyReview(self.vault, clock=now)
        self.reidentification = Reidentification(
            self.vault, self.keys, controller=settings.controller, clock=now
        )

    def cutoff(self, *, crl: Path | None = None) -> Cutoff:
        """
        Build the cut-off of revoked gateways.

        Args:
            crl: The file of the revocation list; the file of the settings when None.
        """
        chosen, broker = self.settings.certificates, self.settings.broker
        if crl is not None:
            chosen = replace(chosen, crl_file=crl)
        door = None if broker is None else MqttConnectionControl(broker)
        return Cutoff(self.vault, self.enrolment, self.authority, chosen, door=door, clock=now)

    def eraser(self) -> Eraser:
        """
        Build the eraser.

        Raises:
            ConfigError: The settings lack the section [erasure].
        """
        settings = self.settings.erasure
        if settings is None:
            raise ConfigError(
                key="erasure",
                source="settings",
                problem="it is not set, and only a database's owner can have its files rewritten",
                remedy="Add [erasure.telemetry] and [erasure.vault], each with dsn and"
                " password_file, of vv_owner or an administrator.",
            )
        return Eraser(
            self.vault,
            self.stores,
            self.consent,
            self.reconciler,
            self.keys,
            controller=self.settings.controller,
            physical_rewrite=PhysicalRewrite(settings),
            verifier=self.verifier,
            publish=self._publish_now if self.settings.broker is not None else None,
            ledger_file=self.ledger_file,
            horizon=(
                dt.timedelta(days=settings.wal_days),
                dt.timedelta(days=settings.backup_days),
            ),
            clock=now,
        )

    def _publish_now(self) -> bool:
        # In a thread, because a batch runs commands inside its own event loop.
        with ThreadPoolExecutor(1, thread_name_prefix="publish") as thread:
            publishing = self.publish(patience_s=_PUBLISH_PATIENCE_S)
            return thread.submit(asyncio.run, publishing).result()

    async def publish(self, *, patience_s: float) -> bool:
        """
        Publish every lease that the broker does not have; return whether all are published.

        Args:
            patience_s: How long to wait, in seconds.

        Raises:
            Unavailable: Some leases are not published; the daemon publishes them later.
            ConfigError: The settings name no broker.
        """
        async with self.publishing() as publish:
            return await publish(patience_s)

    @contextlib.asynccontextmanager
    async def publishing(self) -> AsyncIterator[Callable[[float], Awaitable[bool]]]:
        """
        Yield a function that does the work of `publish` and can be called many times.

        A batch uses one connection for all its commands: to connect takes longer than to record a
        withdrawal.

        Raises:
            Unavailable: The vault is out of reach.
            ConfigError: The settings name no broker.
        """
        lease_publisher, broker, opened = build_lease_publisher(
            self.settings, self.keys, Metrics()
        )
        try:
            async with listen(self.settings.vault) as listener:
                yield lambda patience_s: publish_once(
                    lease_publisher, broker, listener, patience_s=patience_s
                )
        finally:
            lease_publisher.close()
            opened.close()


def build_lease_publisher(
    settings: Settings, keys: FileKeys, metrics: Metrics
) -> tuple[LeasePublisher, MqttBroker, Trust]:
    """
    Build the lease publisher, its broker, and its own `Trust`, because it works in a thread.

    The caller closes the lease publisher and the `Trust`.

    Raises:
        ConfigError: The settings name no broker.
    """
    if settings.broker is None:
        raise ConfigError(
            key="broker",
            source="settings",
            problem="it is not set, and leases are published there",
            remedy="Add a section [broker] with [broker.tls].",
        )
    broker = MqttBroker(settings.broker, max_packet_bytes=settings.lease.max_packet_bytes)
    opened = Trust(settings, keys)
    lease_publisher = LeasePublisher(
        opened.vault,
        opened.reconciler,
        broker,
        listen_to=settings.vault,
        metrics=metrics,
        repair_after=dt.timedelta(seconds=settings.repair.after_s),
    )
    return lease_publisher, broker, opened


def build_rounds(trust: Trust, metrics: Metrics) -> Rounds:
    """Build the rounds that verify erasures with *trust* and report their results to *metrics*."""
    return Rounds(
        trust.verifier,
        trust.stores,
        trust.ledger_copy,
        note=ErasureMetrics(metrics.registry),
        done=lambda: metrics.note_done("erasures_verified"),
    )
