"""A job: what one process of a fleet is told to do."""

from pathlib import Path

import msgspec

from simulators.fleet.scenario.scenario import Scenario


class Job(msgspec.Struct, frozen=True):
    """What one process is to do."""

    scenario: Scenario
    number: int
    workers: int
    host: str
    port: int
    roster: str
    plan: str
    folder: str
    """Where its journal goes. Paths are text, because a job is handed over as JSON."""
    resend_after_s: float = 30.0
    state_every_s: float = 30.0

    @property
    def journal(self) -> Path:
        """Where its journal goes."""
        return Path(self.folder) / f"journal-{self.number}.npz"

    @property
    def spools(self) -> Path:
        """Where the spool id of each of its gateways goes."""
        return Path(self.folder) / f"spools-{self.number}.json"
