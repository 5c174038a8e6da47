"""
Bulk enrolment: agents, people and their consents, through trust's own command line.

Several shells at once, because each waits for the disk; how long it takes is in the report.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from simulators.fleet.roster import Member
from simulators.people import address_of
from simulators.stack.trust_shell import TrustShell

PURPOSE: Final = "fleet@1"
_SHELLS: Final = 4


class Enrolment:
    """
    Enrols a fleet.

    Args:
        folder: Where bundles go, each in a folder of its own.

        ingest_key: The public key that agents seal to.

        open_shell: Opens one more shell of trust.
    """

    def __init__(
        self, folder: Path, *, ingest_key: Path, open_shell: Callable[[], TrustShell]
    ) -> None:
        self._folder = folder
        self._ingest_key = ingest_key
        self._open_shell = open_shell
        self._lock = threading.Lock()
        self._done = 0

    def run(self, policy: str, count: int, *, progress: Callable[[int], None]) -> Sequence[Member]:
        """
        Enrol *count* agents, each with a person who consents to *policy*.

        Args:
            policy: The text of the purpose's policy.

            count: How many.

            progress: Told how many there are, from any thread.

        Raises:
            StackError: Trust refused.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / "policy.yaml"
        path.write_text(policy)
        with self._open_shell() as shell:
            shell.run("policy", "load", str(path))
        shells = min(_SHELLS, max(1, count // 50))
        shares = [range(first, count, shells) for first in range(shells)]
        with ThreadPoolExecutor(shells, thread_name_prefix="enrol") as pool:
            found = list(pool.map(lambda share: self._share(share, progress), shares))
        return [found[number % shells][number // shells] for number in range(count)]

    def _share(self, numbers: Sequence[int], progress: Callable[[int], None]) -> list[Member]:
        members = []
        with self._open_shell() as shell:
            for number in numbers:
                members.append(self._one(shell, number))
                with self._lock:
                    self._done += 1
                    progress(self._done)
        return members

    def _one(self, shell: TrustShell, number: int) -> Member:
        # Not all in one folder: a directory of ten thousand entries is slow to write.
        folder = self._folder / f"{number // 256:03d}" / f"{number:06d}"
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        agent: str = shell.run(
            "agent", "enrol", "--ingest-key", str(self._ingest_key), "--out", str(folder)
        )["agent"]
        subject: str = shell.run("subject", "add", "--name", f"Invented Person {number}")[
            "subject"
        ]
        handle: str = shell.run(
            "decision", "record", "--subject", subject, "--purpose", PURPOSE, "--agent", agent,
            "--binding", address_of(f"fleet/{number}"),
        )["handle"]  # fmt: skip
        return Member(agent, str(folder), subject, handle)
