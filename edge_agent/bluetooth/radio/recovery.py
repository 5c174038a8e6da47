"""
Bring the radio back: what to do about a failure, one rung of the ladder after the other.

Radios of small computers wedge until somebody pulls the plug; nobody is there to pull it. So
failures in a row climb: a new client, a new scanner, the adapter off and on, bluetoothd restarted,
and in the end this process leaves, for the service manager to start it anew.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final, Protocol

from edge_agent.bluetooth.errors import (
    BluetoothError,
    GaveUp,
    LinkError,
    PoweredOff,
    Silent,
    StackError,
)
from edge_agent.bluetooth.radio.deadline import within
from edge_agent.bluetooth.radio.escalation import (
    Action,
    EscalationDelays,
    EscalationPolicy,
    FailureKind,
)
from edge_agent.bluetooth.radio.metrics import RadioMetrics
from edge_agent.ports import Clock
from runtime.logs import Log, describe

_ACT_S: Final = 15.0
_DISRUPTIVE: Final = frozenset({Action.POWER_CYCLE, Action.RESTART})
_SPARED_TIMES: Final = 2
_log = Log("agent.bluetooth")


class Host(Protocol):
    """The Bluetooth of this machine. Every method raises StackError when it cannot."""

    async def connected(self) -> Collection[str]:
        """Return the addresses of the devices that are connected, in capitals."""
        ...

    async def power_on(self) -> None:
        """Switch the adapter on; on return it is."""
        ...

    async def power_cycle(self) -> None:
        """Switch the adapter off and on."""
        ...

    async def restart(self) -> None:
        """Restart bluetoothd, where this user may."""
        ...


def trouble_of(error: BluetoothError) -> FailureKind | None:
    """Return what kind of trouble *error* tells of; None when the radio is sound."""
    if isinstance(error, StackError):
        return FailureKind.STACK
    # A sensor that nobody wears is connected and silent; that is no fault of the radio's.
    if isinstance(error, LinkError) and not isinstance(error, Silent):
        return FailureKind.LINK
    return None


class Recovery:
    """
    What is done about failures.

    Args:
        host: What can be done at all.

        clock: The clock.

        metrics: Counts each rung.

        steps: How patient to be.

        is_serving: Tells whether some sensor delivers, whose link a disruptive rung would cost.

        renew_scanner: Begins a new scan.

        host_is_up: Tells whether bluetoothd answers.
    """

    def __init__(  # noqa: PLR0913 - everything that it stands on, once
        self,
        *,
        host: Host,
        clock: Clock,
        metrics: RadioMetrics,
        steps: EscalationDelays,
        is_serving: Callable[[], bool],
        renew_scanner: Callable[[], None],
        host_is_up: Callable[[], bool],
    ) -> None:
        self._host = host
        self._clock = clock
        self._metrics = metrics
        self._is_serving = is_serving
        self._renew_scanner = renew_scanner
        self._host_is_up = host_is_up
        self._ladders = {trouble: EscalationPolicy(trouble, steps) for trouble in FailureKind}
        self._acting = asyncio.Lock()
        self._pulse = asyncio.Event()
        self._spared: Counter[FailureKind] = Counter()

    def worked(self, *troubles: FailureKind) -> None:
        """Note that there is no trouble of these kinds."""
        for trouble in troubles:
            self._ladders[trouble].worked()
            self._spared[trouble] = 0

    def wake(self) -> None:
        """Let everyone who waits try again now: the host's Bluetooth has come back."""
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()

    async def pause(self, seconds: float) -> None:
        """Wait *seconds*, or until it is worth while to try again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._pulse.wait()

    async def failed(self, error: BluetoothError) -> None:
        """
        Do about *error* what is due.

        Raises:
            GaveUp: Nothing is left.
        """
        if isinstance(error, GaveUp):
            raise error
        trouble = trouble_of(error)
        if isinstance(error, PoweredOff):
            await self._act(Action.POWER_CYCLE, self._host.power_on)
        if trouble is None:
            self._metrics.tried(Action.NEW_CLIENT)
        else:
            await self.climb(trouble)

    async def climb(self, trouble: FailureKind) -> None:
        """
        Note *trouble*, and do what is due.

        Raises:
            GaveUp: Nothing is left.
        """
        rung = self._ladders[trouble].failed(now=self._clock.now())
        if rung is Action.POWER_CYCLE and trouble is FailureKind.STACK and not self._host_is_up():
            rung = Action.RESTART  # Nobody is there to switch anything.
        if rung in _DISRUPTIVE and self._is_spared(trouble):
            rung = Action.NEW_SCANNER
        if rung is Action.EXIT:
            self._metrics.tried(rung)
            _log.error("radio_given_up", trouble=trouble.value)
            raise GaveUp
        if rung is Action.NEW_SCANNER:
            self._renew_scanner()
        actions = {Action.POWER_CYCLE: self._host.power_cycle, Action.RESTART: self._host.restart}
        await self._act(rung, actions.get(rung))

    def _is_spared(self, trouble: FailureKind) -> bool:
        """
        Tell whether to leave the links alone that deliver, this time.

        Not for ever: a scan that is wedged keeps every other sensor out of reach.
        """
        if not self._is_serving() or self._spared[trouble] >= _SPARED_TIMES:
            self._spared[trouble] = 0
            return False
        self._spared[trouble] += 1
        return True

    async def _act(
        self, rung: Action, action: Callable[[], Coroutine[Any, Any, None]] | None
    ) -> None:
        self._metrics.tried(rung)
        if action is None or self._acting.locked():
            return  # What somebody else does already helps us too.
        async with self._acting:
            _log.warning("recovering", rung=rung.value)
            try:
                await within(_ACT_S, rung.value, action())
            except BluetoothError as exc:
                _log.warning("recovery_failed", rung=rung.value, error=describe(exc))
