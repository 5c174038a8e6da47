"""People who withdraw at the times of the plan, through the command line of trust."""

import asyncio
import time
from collections.abc import Callable

from simulators.fleet.run.site import Site
from simulators.fleet.scenario.plan import Plan
from simulators.stack.trust_shell import TrustCommandFailed, TrustShell


class Withdrawals:
    """
    Withdraws consents, and records for which gateways.

    A withdrawal waits only for a free shell of trust.

    Args:
        plan: The plan, which holds the times and gateways of the withdrawals.

        site: The system whose trust records the withdrawals.

        note: Called with a sentence for each failure.
    """

    def __init__(self, plan: Plan, site: Site, *, note: Callable[[str], None]) -> None:
        self._due = list(plan.withdrawals())
        self._site = site
        self._note = note
        self.withdrawn: set[int] = set()
        """Numbers of the gateways whose person has withdrawn."""
        self._latest_s = 0.0

    @property
    def latest_s(self) -> float | None:
        """
        How long after it was due the latest withdrawal took effect; None unless all did, and there
        were any.
        """
        return self._latest_s if 0 < len(self._due) == len(self.withdrawn) else None

    async def run(self, starts_at: float) -> None:
        """Withdraw all of them; the first phase begins at *starts_at*."""
        if self._due and not self._site.shells:
            self._note("no consent was withdrawn, because no trust was named")
            return
        free: asyncio.Queue[TrustShell] = asyncio.Queue()
        for shell in self._site.shells:
            free.put_nowait(shell)
        async with asyncio.TaskGroup() as group:
            for at_s, number in self._due:
                await asyncio.sleep(max(0.0, starts_at + at_s - time.time()))
                shell = await free.get()
                group.create_task(self._one(shell, free, number, starts_at + at_s))

    async def _one(
        self, shell: TrustShell, free: asyncio.Queue[TrustShell], number: int, due_at: float
    ) -> None:
        subject = self._site.members[number].subject
        try:
            await asyncio.to_thread(
                shell.run, "decision", "withdraw", "--subject", subject, "--purpose", "fleet"
            )
        except TrustCommandFailed as exc:
            self._note(str(exc))
        else:
            self.withdrawn.add(number)
            self._latest_s = max(self._latest_s, time.time() - due_at)
        finally:
            free.put_nowait(shell)

    async def finish(self, running: asyncio.Task[None], *, patience_s: float) -> None:
        """Wait for the remaining withdrawals; note it if not all took effect."""
        await asyncio.wait([running], timeout=patience_s)
        if len(self.withdrawn) < len(self._due):
            self._note(f"{len(self.withdrawn)} of {len(self._due)} withdrawals took effect")
        elif self._due:
            self._note(
                f"all {len(self._due)} withdrawals took effect, at most {self._latest_s:.1f} s"
                " after they were due"
            )
