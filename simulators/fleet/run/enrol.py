"""
Enrolment of a fleet: agents, people and their consents, through the command line of trust.

Agents are enrolled by one bulk command. People are enrolled one by one, because each has a consent
of their own that can be withdrawn, and in several shells at once, because each shell waits for the
database.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from simulators.fleet.scenario.roster import Member
from simulators.people.people import address_of
from simulators.stack.trust_shell import INVENTED_BIRTH, INVENTED_YES, TrustShell

PURPOSE: Final = "fleet@1"
_SHELLS: Final = 4


class Enrolment:
    """
    Enrols a fleet.

    Args:
        folder: Parent of the bundles, each in a folder named after its agent.

        ingest_key: The public key that agents seal to.

        open_shell: Opens a further shell of trust.
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
            policy: The text of the policy of the purpose.

            count: How many.

            progress: Called with the number of people enrolled, from any thread.

        Raises:
            StackError: Trust refused.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / "policy.yaml"
        path.write_text(policy)
        with self._open_shell() as shell:
            shell.run("policy", "load", "--first", str(path))
            bundles = self._bundles(shell, count)
        shells = min(_SHELLS, max(1, count // 50))
        shares = [range(first, count, shells) for first in range(shells)]
        with ThreadPoolExecutor(shells, thread_name_prefix="enrol") as pool:
            found = list(pool.map(lambda share: self._share(share, bundles, progress), shares))
        return [found[number % shells][number // shells] for number in range(count)]

    def _bundles(self, shell: TrustShell, count: int) -> Sequence[Path]:
        """Enrol *count* agents; return the folder of each bundle."""
        out = self._folder / "agents"
        shell.run(
            "agent", "enrol", "--count", str(count), "--ingest-key", str(self._ingest_key),
            "--out", str(out),
        )  # fmt: skip
        return sorted(out.iterdir())

    def _share(
        self, numbers: Sequence[int], bundles: Sequence[Path], progress: Callable[[int], None]
    ) -> list[Member]:
        members = []
        with self._open_shell() as shell:
            for number in numbers:
                members.append(self._one(shell, number, bundles[number]))
                with self._lock:
                    self._done += 1
                    progress(self._done)
        return members

    def _one(self, shell: TrustShell, number: int, bundle: Path) -> Member:
        """Enrol a person, and have them measured at the agent of *bundle*."""
        agent = bundle.name
        name = f"Invented Person {number}"
        subject: str = shell.run("subject", "add", "--name", name, *INVENTED_BIRTH)["subject"]
        handle: str = shell.run(
            "decision", "record", "--subject", subject, "--purpose", PURPOSE, "--agent", agent,
            "--binding", address_of(f"fleet/{number}"), *INVENTED_YES,
        )["handle"]  # fmt: skip
        return Member(agent, str(bundle), subject, handle)
