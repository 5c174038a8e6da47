"""The daemon `vitalveil trust run`."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from runtime import http
from runtime.certificates import Certificates
from runtime.errors import RuntimeSetupError
from runtime.logs import Log, describe
from runtime.process import stop_requested
from trust import startup
from trust.composition import App, Trust, build_lease_publisher, build_rounds, now
from trust.config import Settings
from trust.domain.units import Cause
from trust.enrolment.cutoff import CUTOFF
from trust.errors import KeyFileError, TrustError
from trust.keys.file_keys import FileKeys
from trust.maintenance.database_jobs import Maintenance
from trust.maintenance.file_jobs import A_DAY, AN_HOUR, HALF_A_MINUTE, FileJobs, keep
from trust.maintenance.jobs import Jobs
from trust.metrics import Metrics
from trust.reconcile.lease_publisher import LeasePublisher
from trust.telemetry.session_limits import SessionLimits
from trust.vault.metrics import VaultMetrics
from trust.vault.vault import PostgresVault

CERTIFICATE_END: Final = "vitalveil_trust_certificate_end_timestamp_seconds"
_log = Log("trust")


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
    Return the exit code of *work*; log the type of an unexpected error and return 1.

    A traceback is not printed: the text of an error may quote a row of a database.

    Raises:
        TrustError: An expected error of *work*; the caller prints it.
        RuntimeSetupError: An expected error of *work*; the caller prints it.
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
        if not await startup.wait(
            settings, stop, count=lambda what: metrics.failures.labels(what).inc()
        ):
            return
        opened, verifying = Trust(settings, keys), Trust(settings, keys)
        maintenance = Maintenance(
            opened.stores,
            opened.retainer,
            opened.audit,
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
            asyncio.create_task(build_rounds(verifying, metrics).run(), name="verifying"),
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


async def alongside(working: asyncio.Task[None], keeping: Iterable[asyncio.Task[None]]) -> None:
    """
    Return when *working* ends; raise the error of any task of *keeping* that fails earlier.

    Otherwise a periodic task could fail without notice, and its work would stop.
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
        lambda: contextlib.closing(PostgresVault(settings.vault, keys)),
        settings.certificates,
        write_revocations=write_revocations,
        purge=purge,
        count=metrics.count_failures,
    )
