"""
Errors of the Bluetooth radio and of the sensors that it reaches.

* BluetoothError
    * LinkError             (radio link or sensor: disconnect, wait, connect again)
        * LinkLost          (the sensor or the host's Bluetooth disappeared)
        * CallTimedOut      (a call to the sensor did not return in time)
            * Unanswered    (the sensor has no bond, and may want one: wait longer next time)
        * Silent            (the sensor is connected, and sends nothing)
    * SensorError           (the sensor alone: disconnect, wait longer; the radio works)
        * NotAuthorised     (operator: pair the sensor)
        * BondRefused       (operator: pair the sensor again)
        * SensorRefused     (the sensor refuses what its profile promises)
        * Flooding          (the sensor sends more than any sensor of its kind)
        * Endless           (the sensor sends more records than its memory can hold)
    * StackError            (host: escalate the recovery)
        * PoweredOff        (operator: switch the adapter on)
    * GaveUp                (last resort: the process exits, and the service manager restarts it)

No message names a sensor.
"""

from edge_agent.errors import EdgeAgentError


class BluetoothError(EdgeAgentError):
    """The radio or a sensor failed."""


class LinkError(BluetoothError):
    """A connection failed or ended."""


class LinkLost(LinkError):
    """The connection ended without a request of this host."""


class CallTimedOut(LinkError):
    """A call to a sensor did not return in time."""

    def __init__(self, call: str) -> None:
        super().__init__(f"{call} did not finish in time")
        self.call = call


class Unanswered(CallTimedOut):
    """A sensor without a bond did not answer in time: it is out of reach, or wants a bond."""


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
    """The radio does not work, and this process has tried everything that it may do."""
