"""
Errors of the edge agent.

* EdgeAgentError
    * SpoolError            (software or disk: take no more measurements, try again)
        * SpoolFull         (disk: the same, and an operator must make room)
        * SpoolKeyChanged   (operator: the agent refuses to start)
        * StateInUse        (operator: the same)
    * BrokerError           (network: keep envelopes in the spool, connect again)
    * DeskUnavailable       (network or trust: try to enrol or renew again)
    * DeskRefused           (operator: this token or certificate is rejected for good)
    * CredentialError       (operator: a key or certificate cannot be read or written)
    * LeaseRefused          (sender of the lease: the lease in force stays in force)
        * RolledBack
    * FileNotImported       (operator: the file, or the gateway, is not as an import needs it)

A measurement that is not kept is not an error but a `wire.refusals.Refusal`. No message holds a
value, a handle or the address of a sensor.
"""

from runtime.errors import Explained


class EdgeAgentError(Explained):
    """A failure of the agent or of something that it depends on."""


class SpoolError(EdgeAgentError):
    """The spool could not do what its port promises. What it held before is unchanged."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the spool cannot {what}")


class SpoolFull(SpoolError):
    """The disk has no room left."""


class SpoolKeyChanged(SpoolError):
    """The spool was made with another lease key: its tags match no sensor and no handle."""

    def __init__(self) -> None:
        super().__init__(
            "be used with this lease key, because it was made with another one."
            " Restore that key, or move the spool away to start a new one"
        )


class StateInUse(SpoolError):
    """Another agent uses the folder."""

    def __init__(self) -> None:
        super().__init__("be used, because another agent is running on its folder")


class FileNotImported(EdgeAgentError):
    """No reading of a file was imported; nothing has changed."""


class BrokerError(EdgeAgentError):
    """The connection to the broker failed or ended."""


class DeskUnavailable(EdgeAgentError):
    """Trust's enrolment service cannot be reached, or cannot answer now."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"the enrolment service did not answer as it should: {cause.rstrip('.')}."
            " Try again later"
        )


class DeskRefused(EdgeAgentError):
    """Trust's enrolment service rejects the request, or cannot be verified."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"this gateway was not enrolled or renewed: {problem}")


class CredentialError(EdgeAgentError):
    """A file of keys or certificates cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"file {name} {problem}")


class LeaseRefused(EdgeAgentError):
    """A lease was rejected. The one in force stays in force."""


class RolledBack(LeaseRefused):
    """The lease is older than the newest one that this agent has ever accepted."""

    def __init__(self, *, version: int, highest: int) -> None:
        super().__init__(
            f"lease version {version} is older than version {highest}, which was accepted before"
        )
        self.version = version
        self.highest = highest
