"""
Recover the radio after failures, with one action after another, each stronger than the last.

The radios of small computers can hang until a power cycle, and no person is there to do it. So
repeated failures escalate: a new client, a new scanner, the adapter off and on, bluetoothd
restarted, and in the end this process exits, so that the service manager restarts it.
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
    """The Bluetooth of this machine. Each method raises StackError when it fails."""

    async def connected(self) -> Collection[str]:
        """Return the addresses of the connected devices, in capital letters."""
        ...

    async def power_on(self) -> None:
        """Switch the adapter on, and wait until it is on."""
        ...

    async def power_cycle(self) -> None:
        """Switch the adapter off and on."""
        ...

    async def restart(self) -> None:
        """Restart bluetoothd, if this user has the right."""
        ...


def trouble_of(error: BluetoothError) -> FailureKind | None:
    """Return the kind of failure that *error* stands for; None if the radio works."""
    if isinstance(error, StackError):
        return FailureKind.STACK
    # A sensor that is not worn is connected and silent; the radio is not at fault.
    if isinstance(error, LinkError) and not isinstance(error, Silent):
        return FailureKind.LINK
    return None


class Recovery:
    """
    Reacts to failures of the radio.

    Args:
        host: The Bluetooth of this machine.

        clock: The clock.

        metrics: Counts each action.

        steps: After how long without success each action is due.

        is_serving: Tells whether a sensor is delivering; a disruptive action would cut its link.

        renew_scanner: Starts a new scan.

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
        self._policies = {trouble: EscalationPolicy(trouble, steps) for trouble in FailureKind}
        self._acting = asyncio.Lock()
        self._pulse = asyncio.Event()
        self._spared: Counter[FailureKind] = Counter()

    def worked(self, *troubles: FailureKind) -> None:
        """Note a success that excludes failures of these kinds."""
        for trouble in troubles:
            self._policies[trouble].worked()
            self._spared[trouble] = 0

    def wake(self) -> None:
        """Let all sensors try again now: the host's Bluetooth has come back."""
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()

    async def pause(self, seconds: float) -> None:
        """Wait *seconds*, or until the host's Bluetooth has come back."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._pulse.wait()

    async def failed(self, error: BluetoothError) -> None:
        """
        Take the recovery action that is due for *error*.

        Raises:
            GaveUp: No recovery action is left.
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
        Note a failure of the kind *trouble*, and take the action that is due.

        Raises:
            GaveUp: No recovery action is left.
        """
        action = self._policies[trouble].failed(now=self._clock.now())
        if (
            action is Action.POWER_CYCLE
            and trouble is FailureKind.STACK
            and not self._host_is_up()
        ):
            action = Action.RESTART  # No person is there to switch the adapter on.
        if action in _DISRUPTIVE and self._is_spared(trouble):
            action = Action.NEW_SCANNER
        if action is Action.EXIT:
            self._metrics.tried(action)
            _log.error("radio_given_up", trouble=trouble.value)
            raise GaveUp
        if action is Action.NEW_SCANNER:
            self._renew_scanner()
        works = {Action.POWER_CYCLE: self._host.power_cycle, Action.RESTART: self._host.restart}
        await self._act(action, works.get(action))

    def _is_spared(self, trouble: FailureKind) -> bool:
        """
        Tell whether to spare working connections, this time.

        Not for ever: a scan that hangs keeps all other sensors out of reach.
        """
        if not self._is_serving() or self._spared[trouble] >= _SPARED_TIMES:
            self._spared[trouble] = 0
            return False
        self._spared[trouble] += 1
        return True

    async def _act(
        self, action: Action, work: Callable[[], Coroutine[Any, Any, None]] | None
    ) -> None:
        self._metrics.tried(action)
        if work is None or self._acting.locked():
            return  # Another task is already recovering the radio.
        async with self._acting:
            _log.warning("recovering", step=action.value)
            try:
                await within(_ACT_S, action.value, work())
            except BluetoothError as exc:
                _log.warning("recovery_failed", step=action.value, error=describe(exc))
