"""Jobs of the clock: each is done alone; a failure is named in the vault, and tried again."""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from runtime.logs import Log, describe
from trust.domain.units import Cause, Failure, UnitKind, Work, job
from trust.errors import Unavailable
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault

Do = Callable[[], Collection[Failure] | None]
"""Does a job; returns the units in it that failed alone."""
_log: Final = Log("trust.maintenance.jobs")


class Jobs:
    """
    Does jobs, and keeps in the vault what fails of them. Not safe to share between threads.

    Args:
        vault: Where it is kept.

        count: Told each unit that failed.
    """

    def __init__(self, vault: Vault, *, count: Callable[[Iterable[Failure]], None]) -> None:
        self._vault = vault
        self._count = count

    def do(self, name: str, work: Do) -> bool:
        """
        Do *work*, the job *name*; return whether all of it is done.

        Whatever it raises ends this job and no other. A server that is away is nobody's fault:
        then nothing is noted, and it is to be tried again.
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
