"""
Errors of the radio.

* BluetoothError
    * LinkError             (the air's or the sensor's: leave, wait, connect anew)
        * LinkLost          (the sensor went away, or the host's Bluetooth did)
        * CallTimedOut      (a call to the sensor did not return in time)
            * Unanswered    (it has no bond, and may have asked for one: be patient next time)
        * Silent            (connected, and nothing comes)
    * SensorError           (the sensor's alone: leave, wait longer; the radio is sound)
        * NotAuthorised     (the operator's: pair it)
        * BondRefused       (the operator's: pair it anew)
        * SensorRefused     (it says no to what its profile promises)
        * Flooding          (it sends more than any sensor of its kind)
        * Endless           (it hands over more records than a memory holds)
    * StackError            (the host's: climb the ladder of recovery)
        * PoweredOff        (switch it on)
    * GaveUp                (the last rung: leave, the service manager starts us anew)

No message names a sensor.
"""

from edge_agent.errors import EdgeAgentError


class BluetoothError(EdgeAgentError):
    """The radio, or what it talks to, failed."""


class LinkError(BluetoothError):
    """A connection failed or ended."""


class LinkLost(LinkError):
    """The connection ended, and not by us."""


class CallTimedOut(LinkError):
    """A call did not return in time."""

    def __init__(self, call: str) -> None:
        super().__init__(f"{call} took too long")
        self.call = call


class Unanswered(CallTimedOut):
    """A sensor without a bond did not answer in time: it is deaf, or wants to be paired."""


class Silent(LinkError):
    """The sensor is connected and sends nothing."""


class SensorError(BluetoothError):
    """The sensor does what its profile forbids."""


class NotAuthorised(SensorError):
    """The sensor wants to be paired first."""


class BondRefused(SensorError):
    """The sensor does not know the bond that this host has with it."""


class SensorRefused(SensorError):
    """The sensor refused a request."""

    def __init__(self, call: str, *, code: int | None = None) -> None:
        super().__init__(f"{call} was refused" + ("" if code is None else f" with code {code}"))
        self.call = call
        self.code = code


class Flooding(SensorError):
    """The sensor sends far more than any sensor of its kind."""


class Endless(SensorError):
    """The sensor hands over more records than its memory can hold."""


class StackError(BluetoothError):
    """The Bluetooth of this machine failed."""


class PoweredOff(StackError):
    """The adapter is switched off."""


class GaveUp(BluetoothError):
    """Nothing that this process may do brings the radio back."""
