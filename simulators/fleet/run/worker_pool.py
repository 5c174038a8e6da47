"""The pool of a fleet's processes, as a campaign sees it."""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from simulators.fleet.errors import WorkerEnded
from simulators.fleet.report.tally import TallySnapshot, sum_of
from simulators.fleet.run.worker import WorkerCommand, WorkerMessage
from simulators.fleet.scenario.job import Job

_ROOT: Final = Path(__file__).resolve().parents[3]
_MAX_LINE_BYTES: Final = 16 * 1024 * 1024
_PATIENCE_S: Final = 60.0


class _Worker:
    """One process of the fleet."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self.snapshot = TallySnapshot()
        self.is_over = False
        self.error: str | None = None
        self._listening = asyncio.create_task(self._listen(), name="worker")

    @property
    def pid(self) -> int:
        return self._process.pid

    async def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        while line := await self._process.stdout.readline():
            word = msgspec.json.decode(line, type=WorkerMessage)
            self.error = word.error or self.error
            self.snapshot = word.snapshot or self.snapshot
            self.is_over = self.is_over or word.is_last
        await self._process.wait()
        if not self.is_over and self.error is None:
            lines = self._log.read_text(errors="replace").splitlines()
            self.error = " / ".join(["A process of the fleet ended", *lines[-2:]])

    def tell(self, order: WorkerCommand) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")

    async def end(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await asyncio.shield(self._listening)
        except TimeoutError:
            self._process.kill()
            await self._listening


class WorkerPool:
    """
    The processes that play one fleet.

    Args:
        jobs: One for each process.

        log: File for their standard error.
    """

    def __init__(self, jobs: Sequence[Job], *, log: Path) -> None:
        self._jobs = jobs
        self._log = log
        self._workers: list[_Worker] = []

    async def start(self) -> None:
        """Start the processes; they begin to connect at once."""
        with self._log.open("ab") as log:
            for job in self._jobs:
                path = Path(job.folder) / f"job-{job.number}.json"
                path.write_bytes(msgspec.json.encode(job))
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "simulators.fleet.run.worker", str(path),
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                    cwd=_ROOT, limit=_MAX_LINE_BYTES, start_new_session=True,
                )  # fmt: skip
                self._workers.append(_Worker(process, self._log))

    @property
    def pids(self) -> list[int]:
        """Their process ids."""
        return [worker.pid for worker in self._workers]

    def snapshot(self) -> TallySnapshot:
        """
        Return the counters of all processes together.

        Raises:
            WorkerEnded: One of them ended before it was told to.
        """
        for worker in self._workers:
            if worker.error is not None:
                raise WorkerEnded(worker.error)
        return sum_of([worker.snapshot for worker in self._workers])

    def go(self, starts_at: float) -> None:
        """Have the first phase begin at *starts_at*."""
        for worker in self._workers:
            worker.tell(WorkerCommand(go=starts_at))

    async def finish(self) -> TallySnapshot:
        """Have the processes disconnect and write their journals; return their last counters."""
        for worker in self._workers:
            worker.tell(WorkerCommand(stop=True))
        await asyncio.gather(*(worker.end() for worker in self._workers))
        return sum_of([worker.snapshot for worker in self._workers])
