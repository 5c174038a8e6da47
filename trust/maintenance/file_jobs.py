"""Periodic jobs on files: the revocation list that the broker reads, and exports of persons."""

import asyncio
import datetime as dt
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from uuid import UUID

from trust.config import CertificateSettings
from trust.domain.units import Cause, Failure, Unit, UnitKind, back_off, job
from trust.enrolment.broker_reload import reload_broker
from trust.errors import KeyFileError
from trust.maintenance.jobs import Do, Jobs
from trust.vault.protocols import Vault

A_DAY: Final = dt.timedelta(days=1)
AN_HOUR: Final = dt.timedelta(hours=1)
HALF_A_MINUTE: Final = dt.timedelta(seconds=30)


async def keep(again: dt.timedelta, work: Callable[[], bool]) -> None:
    """
    Call *work* in a thread, now and again after each *again*, until cancelled.

    Args:
        again: The longest time between two calls; after a failure, the time may be shorter.

        work: Returns whether the work is done.
    """
    failures = 0
    while True:
        failures = 0 if await asyncio.to_thread(work) else failures + 1
        wait = again
        if failures:
            wait = min(again, back_off(failures, jitter=random.random()))  # noqa: S311
        await asyncio.sleep(wait.total_seconds())


class FileJobs:
    """
    Runs the jobs on files. Each job opens its own connection, so jobs may run in several threads.

    Args:
        vault: Opens the vault, which stores the failures.

        certificates: The file of the revocation list, and the command that reloads the broker.

        write_revocations: Writes the revocation list to a file.

        purge: Deletes exports whose time is over; returns, by export, why one was not deleted.

        count: Called with the units that failed.
    """

    def __init__(
        self,
        vault: Callable[[], AbstractContextManager[Vault]],
        certificates: CertificateSettings,
        *,
        write_revocations: Callable[[Path], object],
        purge: Callable[[], Mapping[UUID, KeyFileError | Cause]],
        count: Callable[[Iterable[Failure]], None],
    ) -> None:
        self._vault = vault
        self._certificates = certificates
        self._write_revocations = write_revocations
        self._purge = purge
        self._count = count

    def revocations(self) -> bool:
        """Write the revocation list and reload the broker; return whether both succeeded."""
        path = self._certificates.crl_file
        if path is None:
            return True

        def write() -> None:
            self._write_revocations(path)

        written = self._do("revocation-list", write)
        # Reload also after a failed write: the broker may not have read the earlier list.
        return self._do("broker-reload", self._reload) and written

    def _reload(self) -> set[Failure]:
        chosen = self._certificates
        problem = reload_broker(chosen.reload_command, timeout_s=chosen.reload_timeout_s)
        return {Failure(job("broker-reload"), Cause.COMMAND)} if problem else set()

    def exports(self) -> bool:
        """Delete exports whose time is over; return whether all of them are deleted."""
        return self._do("exports", self._purge_exports)

    def _purge_exports(self) -> set[Failure]:
        return {
            Failure(
                Unit(UnitKind.EXPORT, str(export)),
                problem if isinstance(problem, Cause) else Cause.FILE,
            )
            for export, problem in self._purge().items()
        }

    def _do(self, name: str, work: Do) -> bool:
        with self._vault() as vault:
            return Jobs(vault, count=self._count).do(name, work)
