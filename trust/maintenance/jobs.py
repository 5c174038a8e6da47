"""Periodic jobs: each runs alone; the vault stores its failures, and it is tried again."""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from runtime.logs import Log, describe
from trust.domain.units import Cause, Failure, UnitKind, Work, job
from trust.errors import Unavailable
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault

Do = Callable[[], Collection[Failure] | None]
"""A function that does a job and returns the units of the job that failed."""
_log: Final = Log("trust.maintenance.jobs")


class Jobs:
    """
    Runs jobs and stores their failures in the vault. Not safe to share between threads.

    Args:
        vault: The vault, which stores the failures.

        count: Called with the units that failed.
    """

    def __init__(self, vault: Vault, *, count: Callable[[Iterable[Failure]], None]) -> None:
        self._vault = vault
        self._count = count

    def do(self, name: str, work: Do) -> bool:
        """
        Do *work* as the job *name*; return whether no unit of the job failed.

        An error of *work* ends only this job. If a server is out of reach, no failure is stored,
        and the caller tries the job again.
        """
        try:
            found = attempt(work, kind=UnitKind.JOB)
            failures = (
                {Failure(job(name), found)} if isinstance(found, Cause) else set(found or ())
            )
            self._count(failures)
            with self._vault.transaction() as records:
                records.set_aside.replace(Work.JOB, {name: failures})
        except Unavailable as exc:
            _log.warning("not_maintained", job=name, error=describe(exc))
            return False
        return not failures
