"""The composition root: builds trust from its settings, and runs the daemon."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from runtime import http
from runtime.certificates import Certificates
from runtime.errors import ConfigError, RuntimeSetupError
from runtime.logs import Log, describe
from runtime.stop import stop_requested
from trust.composition import (
    Opened,
    build_audit,
    build_lease_publisher,
    build_reconciler,
    build_restore_guard,
    build_retainer,
    now,
    own_keys,
)
from trust.config import Settings
from trust.consent.consent import Consent
from trust.consent.policy_review import PolicyReview
from trust.consent.restriction import Restriction
from trust.domain.units import Cause
from trust.enrolment.authority import Authority
from trust.enrolment.bulk_enrolment import BulkEnrolment
from trust.enrolment.cutoff import CUTOFF, Cutoff
from trust.enrolment.enrolment import Enrolment
from trust.enrolment.service import EnrolmentService
from trust.enrolment.takeover import MqttConnectionControl
from trust.erasure import setup
from trust.erasure.eraser import Eraser
from trust.erasure.physical_rewrite import PhysicalRewrite
from trust.erasure.verification_rounds import Rounds
from trust.errors import KeyFileError, TrustError
from trust.keys.file_keys import FileKeys
from trust.maintenance.database_jobs import Maintenance
from trust.maintenance.file_jobs import A_DAY, AN_HOUR, HALF_A_MINUTE, FileJobs, keep
from trust.maintenance.jobs import Jobs
from trust.metrics import Metrics
from trust.reconcile.lease_publisher import LeasePublisher, publish_once
from trust.reconcile.rotation import Rotation
from trust.reidentification.reidentification import Reidentification
from trust.rights.export import Exporter
from trust.telemetry.erasure import Stores
from trust.telemetry.permissions import Telemetry
from trust.telemetry.session_limits import SessionLimits
from trust.vault.metrics import VaultMetrics
from trust.vault.vault import Vault, listen

CERTIFICATE_END: Final = "vitalveil_trust_certificate_end_timestamp_seconds"
_PUBLISH_PATIENCE_S: Final = 10.0
_log = Log("trust")


class App:
    """
    Trust, for commands: everything opened at its first use and kept open.

    Args:
        settings: What it is built from.

    Raises:
        KeyFileError: A key is missing or damaged.
        ConfigError: A setting is wrong.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = FileKeys(settings.keys.folder)
        self.authority = Authority(settings.keys.folder, settings.certificates)
        self.vault = Vault(settings.vault, self.keys)
        self.telemetry = Telemetry(settings.telemetry)
        self.reconciler = build_reconciler(settings, self.keys, self.vault, self.telemetry)
        self.consent = Consent(self.vault, self.reconciler, clock=now, ages=settings.consent)
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
            self.vault, self.telemetry, self.keys, controller=settings.controller, clock=now
        )
        self.rotation = Rotation(self.vault, self.reconciler, self.keys)
        self.stores = Stores(self.telemetry.link)
        self.restore_guard = build_restore_guard(
            settings, self.keys, self.vault, self.reconciler, self.stores
        )
        self.verifier = setup.verifier(
            settings, self.keys, self.vault, self.reconciler, self.stores
        )
        self.ledger_copy = setup.ledger_copy(settings, self.vault, self.stores)
        self.audit = build_audit(self.vault, self.telemetry, self.keys)
        self.retainer = build_retainer(settings, self.vault, self.stores)
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

    def close(self) -> None:
        """Close both databases."""
        self.vault.close()
        self.telemetry.close()

    def cutoff(self, *, crl: Path | None = None) -> Cutoff:
        """Return what cuts revoked gateways off, by the list in *crl* or that of the settings."""
        chosen, broker = self.settings.certificates, self.settings.broker
        if crl is not None:
            chosen = replace(chosen, crl_file=crl)
        door = None if broker is None else MqttConnectionControl(broker)
        return Cutoff(self.vault, self.enrolment, self.authority, chosen, door=door, clock=now)

    def eraser(self) -> Eraser:
        """
        Return what erases.

        Raises:
            ConfigError: The settings lack the section erasure.
        """
        settings = self.settings.erasure
        if settings is None:
            raise ConfigError(
                key="erasure",
                source="settings",
                problem="it is not set, and only a database's owner can have its files rewritten",
                mend="Add [erasure.telemetry] and [erasure.vault], each with dsn and"
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
            ledger_file=setup.ledger_file(self.settings),
            horizon=(
                dt.timedelta(days=settings.wal_days),
                dt.timedelta(days=settings.backup_days),
            ),
            clock=now,
        )

    def _publish_now(self) -> bool:
        # In a thread: a batch runs commands inside a loop of its own.
        with ThreadPoolExecutor(1, thread_name_prefix="publish") as thread:
            publishing = self.publish(patience_s=_PUBLISH_PATIENCE_S)
            return thread.submit(asyncio.run, publishing).result()

    async def publish(self, *, patience_s: float) -> bool:
        """
        See to it that every lease is published; return whether all were.

        Raises:
            Unavailable: Not all were; the daemon does it later.
            ConfigError: There is no broker in the settings.
        """
        async with self.publishing() as publish:
            return await publish(patience_s)

    @contextlib.asynccontextmanager
    async def publishing(self) -> AsyncIterator[Callable[[float], Awaitable[bool]]]:
        """
        Yield what does as `publish`, again and again: to connect costs more than a withdrawal.

        Raises:
            Unavailable: The vault is out of reach.
            ConfigError: There is no broker in the settings.
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


def run(settings: Settings) -> int:
    """
    Run the daemon until it is asked to stop; return the exit code.

    Raises:
        KeyFileError: A key is missing or damaged.
        ConfigError: A setting is wrong.
    """
    keys = FileKeys(settings.keys.folder)
    metrics = Metrics()
    lease_publisher, _, opened = build_lease_publisher(settings, keys, metrics)
    metrics.registry.register(VaultMetrics(settings.vault))
    if settings.broker is not None:
        tls = settings.broker.tls
        ends = Certificates(CERTIFICATE_END, {"client": tls.certificate_file, "ca": tls.ca_file})
        metrics.registry.register(ends)

    def missing() -> Iterable[str]:
        for sample in next(iter(metrics.connected.collect())).samples:
            if not sample.value:
                yield sample.labels["to"]

    try:
        bound = SessionLimits(settings.telemetry, metrics).running()
        with bound, http.serve(settings.http, metrics.registry, missing=missing) as port:
            _log.info("started", http_port=port)
            asyncio.run(_serve(settings, keys, lease_publisher, metrics))
    finally:
        lease_publisher.close()
        opened.close()
    _log.info("stopped")
    return 0


def guarded(work: Callable[[], int]) -> int:
    """
    Return what *work* returns; of an error that nobody foresaw, log the type and return 1.

    A traceback would end with the text of the error, and that may quote a row.
    """
    try:
        return work()
    except (TrustError, RuntimeSetupError):
        raise
    except Exception as exc:  # noqa: BLE001 - the one broad catch: say its type, and leave
        _log.error("failed", error=describe(exc))
        return 1


async def _serve(
    settings: Settings, keys: FileKeys, lease_publisher: LeasePublisher, metrics: Metrics
) -> None:
    async with stop_requested() as stop:
        opened, verifying = Opened(settings, keys), Opened(settings, keys)
        retainer = build_retainer(settings, opened.vault, opened.stores)
        maintenance = Maintenance(
            opened.stores,
            retainer,
            build_audit(opened.vault, opened.telemetry, keys),
            Jobs(opened.vault, count=metrics.count_failures),
            clock=now,
            done=metrics.note_done,
            missing=metrics.missing.set,
        )
        files_kept = _file_jobs(settings, keys, metrics)
        cutting = App(settings)
        cutoff, jobs = cutting.cutoff(), Jobs(cutting.vault, count=metrics.count_failures)
        keeping = [
            asyncio.create_task(keep(A_DAY, files_kept.revocations), name="revocations"),
            asyncio.create_task(keep(AN_HOUR, files_kept.exports), name="exports"),
            asyncio.create_task(
                keep(HALF_A_MINUTE, lambda: jobs.do(CUTOFF, cutoff.again)), name="cutoff"
            ),
            asyncio.create_task(maintenance.run(), name="maintenance"),
            asyncio.create_task(
                _rounds(settings, keys, verifying, metrics).run(), name="verifying"
            ),
        ]
        working = asyncio.create_task(lease_publisher.run(stop), name="working")
        try:
            await alongside(working, keeping)
        finally:
            for task in (working, *keeping):
                task.cancel()
            await asyncio.gather(working, *keeping, return_exceptions=True)
            opened.close()
            cutting.close()
            verifying.close()


def _rounds(settings: Settings, keys: FileKeys, opened: Opened, metrics: Metrics) -> Rounds:
    reconciler = build_reconciler(settings, keys, opened.vault, opened.telemetry)
    build_restore_guard(settings, keys, opened.vault, reconciler, opened.stores)
    verifier = setup.verifier(settings, keys, opened.vault, reconciler, opened.stores)
    copy = setup.ledger_copy(settings, opened.vault, opened.stores)
    return setup.rounds(verifier, opened.stores, copy, metrics)


async def alongside(working: asyncio.Task[None], keeping: Iterable[asyncio.Task[None]]) -> None:
    """
    Return when *working* ends; raise what any of *keeping* failed with before.

    What is done once a day or an hour would else end unheard, and not be done any more.
    """
    left = {working, *keeping}
    while not working.done():
        ended, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()


def _file_jobs(settings: Settings, keys: FileKeys, metrics: Metrics) -> FileJobs:
    def write_revocations(path: Path) -> None:
        with contextlib.closing(App(settings)) as app:
            app.enrolment.write_revocations(path)

    def purge() -> Mapping[UUID, KeyFileError | Cause]:
        with contextlib.closing(App(settings)) as app:
            purged, left = app.exporter.purge_each()
        if purged:
            _log.info("exports_purged", exports=purged)
        return left

    return FileJobs(
        lambda: contextlib.closing(Vault(settings.vault, keys)),
        settings.certificates,
        write_revocations=write_revocations,
        purge=purge,
        count=metrics.count_failures,
    )
