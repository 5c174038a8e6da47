"""
Errors of a fleet.

* FleetError
    * ScenarioError     (the operator: refuse to start, name the line and the remedy)
    * LimitError        (the operator: refuse to start)
    * RosterError       (the operator: the list of enrolled agents cannot be used)
    * LinkEnded         (the broker or the network: count it, connect again)
    * WorkerEnded       (this machine: end the run, report its results so far)
    * UnansweredError   (the database: refuse to start; at the end, say so in the report)
"""

from simulators.errors import SimulatorError


class FleetError(SimulatorError):
    """The base of all errors of fleets."""


class ScenarioError(FleetError):
    """A scenario file is not valid; the error names the line, the problem and the remedy."""

    def __init__(self, *, line: int | None, problem: str, remedy: str) -> None:
        where = "" if line is None else f"line {line}: "
        super().__init__(f"{where}{problem}. {remedy}")
        self.line = line
        self.problem = problem
        self.remedy = remedy


class LimitError(FleetError):
    """A text is not a limit."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}. Write it as p99<=2s, lost=0 or offered>=99%")


class RosterError(FleetError):
    """The list of enrolled agents cannot be used."""


class LinkEnded(FleetError):
    """A connection to the broker ended, or could not be made; `kind` is from a closed set."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"a connection ended: {kind}")
        self.kind = kind


class WorkerEnded(FleetError):
    """A process that plays gateways ended before it was told to."""


class UnansweredError(FleetError):
    """The database did not answer."""
