"""
Errors of the edge agent.

* EdgeAgentError
    * SpoolError            (ours or the disk's: take no more measurements, try again)
        * SpoolFull         (the disk's: the same, and an operator must make room)
        * SpoolKeyChanged   (the operator's: refuse to start)
        * StateInUse        (the same)
    * BrokerError           (the network's: keep in the spool, connect again)
    * DeskUnavailable       (the network's or trust's: try to enrol or renew again)
    * DeskRefused           (the operator's: this token or certificate will never do)
    * CredentialError       (the operator's: a key or certificate cannot be read or written)
    * LeaseRefused          (trust's or a stranger's: keep what was in force before)
        * RolledBack

A measurement that is not kept is no error but a `Reason`. No message holds a value, a handle or a
sensor's address.
"""


class EdgeAgentError(Exception):
    """Something that the agent did not decide."""


class SpoolError(EdgeAgentError):
    """The spool could not do what its port promises; what it held before, it holds."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the spool cannot {what}")


class SpoolFull(SpoolError):
    """The disk has no room left."""


class SpoolKeyChanged(SpoolError):
    """The spool was begun with another lease key, so that its tags fit no sensor and no handle."""

    def __init__(self) -> None:
        super().__init__(
            "be used with this lease key: it was begun with another."
            " Bring that key back, or move the spool away to begin a new one"
        )


class StateInUse(SpoolError):
    """Another agent runs on the folder."""

    def __init__(self) -> None:
        super().__init__("be used: an agent is running on its folder")


class BrokerError(EdgeAgentError):
    """The connection to the broker failed or ended."""


class DeskUnavailable(EdgeAgentError):
    """Trust's enrolment desk cannot be reached, or cannot do its part now."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the enrolment desk did not do its part ({cause}). Try again")


class DeskRefused(EdgeAgentError):
    """Trust's enrolment desk refuses, or is not the one that it should be."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"not enrolled or renewed: {problem}")


class CredentialError(EdgeAgentError):
    """A file of keys or certificates cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"file {name} {problem}")


class LeaseRefused(EdgeAgentError):
    """A lease was not taken over."""


class RolledBack(LeaseRefused):
    """The lease is older than the highest that was ever taken over here."""

    def __init__(self, *, version: int, highest: int) -> None:
        super().__init__(f"lease version {version} is below {highest}")
        self.version = version
        self.highest = highest
