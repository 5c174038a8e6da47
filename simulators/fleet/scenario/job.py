"""A job: the task of one process of a fleet."""

from pathlib import Path

import msgspec

from simulators.fleet.scenario.scenario import Scenario


class Job(msgspec.Struct, frozen=True):
    """The task of one process."""

    scenario: Scenario
    number: int
    workers: int
    host: str
    port: int
    roster: str
    plan: str
    folder: str
    """Where its journal is written. Paths are text, because a job is passed on as JSON."""
    resend_after_s: float = 30.0
    state_every_s: float = 30.0

    @property
    def journal(self) -> Path:
        """The file of its journal."""
        return Path(self.folder) / f"journal-{self.number}.npz"

    @property
    def spools(self) -> Path:
        """The file of the spool ids of its gateways."""
        return Path(self.folder) / f"spools-{self.number}.json"
