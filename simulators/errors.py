"""
Errors of the simulators.

* SimulatorError
    * ListenError           (the agent: drop the connection, connect again)
    * FaultError            (the operator: a sensor has no such fault)
    * PortError             (the operator: no Bluetooth controller can be reached at the port)
"""


class SimulatorError(Exception):
    """The base of all errors of simulators."""


class ListenError(SimulatorError):
    """An agent sent something that is not a listen message."""


class FaultError(SimulatorError):
    """The text names no fault that a virtual sensor has."""

    def __init__(self) -> None:
        super().__init__("not a fault of a sensor; write KIND[=NUMBER][@FIRST[-[LAST]][/EVERY]]")


class PortError(SimulatorError):
    """No Bluetooth controller, and no host that needs one, can be reached at a port."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the port cannot be used ({cause})")
        self.cause = cause
